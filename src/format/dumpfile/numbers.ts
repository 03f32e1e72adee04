/** Numbers in a composefs dump. Each throws SyntaxError or RangeError that names the field. */

/** The largest value of most fields. */
export const U32 = 0xffffffff;

export function parseMode(text: string): number {
  if (!/^[0-7]{1,11}$/.test(text)) throw new SyntaxError(`MODE "${text}" is not an octal number`);
  const mode = Number.parseInt(text, 8);
  if (mode > 0o177777) throw new RangeError(`MODE "${text}" is more than 177777`);
  return mode;
}

export function parseNumber(text: string, what: string, max: number): number {
  let value = 0;
  for (let index = 0; index < text.length; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) throw new SyntaxError(`${what} "${text}" is not a number`);
    value = value * 10 + digit;
  }
  if (text === "") throw new SyntaxError(`${what} "" is not a number`);
  if (value > max) throw new RangeError(`${what} "${text}" is more than ${max}`);
  return value;
}

/** `sec.nsec`, two integers: "1.5" is one second and five nanoseconds. */
export function parseTime(text: string): readonly [sec: number, nsec: number] {
  const dot = text.indexOf(".");
  if (dot === -1) throw new SyntaxError(`MTIME "${text}" is not SECONDS.NANOSECONDS`);
  const seconds = text.slice(0, dot);
  const sign = seconds.startsWith("-") ? -1 : 1;
  const magnitude = parseNumber(sign === -1 ? seconds.slice(1) : seconds, "MTIME", Number.MAX_SAFE_INTEGER);
  return [magnitude === 0 ? 0 : sign * magnitude, parseNumber(text.slice(dot + 1), "MTIME", U32)];
}
