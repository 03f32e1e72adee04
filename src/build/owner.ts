/**
 * Owners and modes of COPY: `--chown=user[:group]` by the image's own passwd and group files, `--chmod` in octal or symbols.
 */
import { Failure } from "../core/failure.ts";
import type { Files } from "../host/host.ts";
import { join, resolveInRoot } from "../host/resolve-in-root.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT: Owner = { uid: 0, gid: 0 };

type Reader = Pick<Files, "lstat" | "stat" | "readlink" | "readTextIfAny">;

/** Only a user: the group is that user's own. Failure "not-found" for a name that the image does not know. */
export function resolveOwner(files: Reader, root: string, text: string): Owner {
  const [user = "", group] = text.split(":");
  const fail = (what: string, name: string, file: string): Failure =>
    new Failure("not-found", `Cannot find ${what} "${name}": the image's /etc/${file} has no such name`);
  const passwd = entriesOf(files, root, "passwd");
  const known = passwd.find((fields) => fields[0] === user) ?? passwd.find((fields) => fields[2] === user);
  const uid = toId(user) ?? toId(known?.[2] ?? "");
  if (uid === undefined) throw fail("user", user, "passwd");
  if (group === undefined || group === "")
    return { uid, gid: toId(known?.[3] ?? "") ?? (toId(user) === undefined ? 0 : uid) };
  const gid = toId(group) ?? toId(entriesOf(files, root, "group").find((fields) => fields[0] === group)?.[2] ?? "");
  if (gid === undefined) throw fail("group", group, "group");
  return { uid, gid };
}

function entriesOf(files: Reader, root: string, name: string): string[][] {
  const { path, stat } = resolveInRoot(files, root, `etc/${name}`);
  if (stat?.kind !== "file") return [];
  return (files.readTextIfAny(join(root, path)) ?? "").split("\n").map((line) => line.split(":"));
}

function toId(text: string): number | undefined {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value <= 0xffff_fffe ? value : undefined;
}

const WHO: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007 };

/** `spec` is checked already: octal digits, or clauses such as `u=rwX,go-w`. */
export function applyMode(mode: number, spec: string, isDirectory: boolean): number {
  if (/^[0-7]+$/.test(spec)) return Number.parseInt(spec, 8);
  let result = mode;
  for (const clause of spec.split(",")) {
    const match = /^([ugoa]*)([-+=])([rwxXstugo]*)$/.exec(clause);
    if (match === null) throw new SyntaxError(`Cannot read mode ${JSON.stringify(clause)}`);
    const [, who = "", operator = "", permissions = ""] = match;
    const all = who === "" || who.includes("a");
    const mask = all ? 0o7777 : Array.from(who).reduce((bits, letter) => bits | (WHO[letter] ?? 0), 0);
    const bits =
      Array.from(permissions).reduce((found, letter) => found | bitsOf(letter, result, isDirectory), 0) & mask;
    if (operator === "+") result |= bits;
    else if (operator === "-") result &= ~bits;
    else result = (result & ~(mask & (isDirectory ? 0o1777 : 0o7777))) | bits;
  }
  return result;
}

function bitsOf(letter: string, mode: number, isDirectory: boolean): number {
  const three = (digit: number): number => digit * 0o111;
  switch (letter) {
    case "r":
      return 0o444;
    case "w":
      return 0o222;
    case "x":
      return 0o111;
    case "X":
      return isDirectory || (mode & 0o111) !== 0 ? 0o111 : 0;
    case "s":
      return 0o6000;
    case "t":
      return 0o1000;
    case "u":
      return three((mode >> 6) & 7);
    case "g":
      return three((mode >> 3) & 7);
    default:
      return three(mode & 7);
  }
}
