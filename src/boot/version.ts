/**
 * compareVersions(): order of version strings as boot loaders see it.
 *
 * @see UAPI.10 Version Format Specification
 */

/** Negative when `left` is older. Separators only separate; `~` is older than anything, even the end; then `-`, `^`, `.`. */
export function compareVersions(left: string, right: string): number {
  let a = left;
  let b = right;
  for (;;) {
    a = a.replace(SKIPPED, "");
    b = b.replace(SKIPPED, "");
    const tilde = compareMark(a, b, "~", -1);
    if (tilde !== undefined) {
      if (tilde !== 0) return tilde;
      [a, b] = [a.slice(1), b.slice(1)];
      continue;
    }
    if (a === "" || b === "") return Math.sign(a.length - b.length);
    const mark = MARKS.find((sign) => a.startsWith(sign) || b.startsWith(sign));
    if (mark !== undefined) {
      const order = compareMark(a, b, mark, -1);
      if (order !== undefined && order !== 0) return order;
      [a, b] = [a.slice(1), b.slice(1)];
      continue;
    }
    const digits = /^[0-9]/.test(a) || /^[0-9]/.test(b);
    const pattern = digits ? /^[0-9]*/ : /^[A-Za-z]*/;
    const partA = pattern.exec(a)?.[0] ?? "";
    const partB = pattern.exec(b)?.[0] ?? "";
    const order = digits ? compareNumbers(partA, partB) : comparePlain(partA, partB);
    if (order !== 0) return order;
    [a, b] = [a.slice(partA.length), b.slice(partB.length)];
  }
}

const SKIPPED = /^[^A-Za-z0-9~.^-]+/;
const MARKS = ["-", "^", "."];

function compareMark(a: string, b: string, mark: string, whenLeft: number): number | undefined {
  const inA = a.startsWith(mark);
  const inB = b.startsWith(mark);
  if (!inA && !inB) return undefined;
  return inA === inB ? 0 : inA ? whenLeft : -whenLeft;
}

function compareNumbers(a: string, b: string): number {
  const left = a.replace(/^0+/, "");
  const right = b.replace(/^0+/, "");
  if ((a === "") !== (b === "")) return a === "" ? -1 : 1;
  return left.length - right.length || comparePlain(left, right);
}

function comparePlain(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
