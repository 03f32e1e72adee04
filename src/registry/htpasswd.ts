/**
 * htpasswd: the users' file, bcrypt only, as `htpasswd -B` writes it. Reading, and changing it a line at a time: comments and
 * the other users stay as they are.
 */
import { hash as bcrypt, truncates } from "bcryptjs";
import { Failure } from "../core/failure.ts";

export const BCRYPT_COST = 10;

/** Name to bcrypt hash. Throws SyntaxError with the line for an entry that is no `user:bcrypt hash`. */
export function parseHtpasswd(text: string): ReadonlyMap<string, string> {
  const users = new Map<string, string>();
  for (const [index, line] of text.split("\n").entries()) {
    const entry = line.trim();
    if (entry === "" || entry.startsWith("#")) continue;
    const match = /^([^:]+):(\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53})$/.exec(entry);
    if (match?.[1] === undefined || match[2] === undefined) {
      throw new SyntaxError(
        `Cannot parse htpasswd: line ${index + 1} is no user:bcrypt-hash, as htpasswd -B writes it`,
      );
    }
    users.set(match[1], match[2]);
  }
  return users;
}

/** The text with `line` (of htpasswdLine()) for its user, in place of the old line if there is one. */
export function withUser(text: string, line: string): string {
  const user = line.slice(0, line.indexOf(":"));
  const lines = linesOf(text);
  const index = lines.findIndex((each) => isLineOf(each, user));
  return joined(index < 0 ? [...lines, line.trim()] : lines.with(index, line.trim()));
}

export function withoutUser(text: string, user: string): string {
  return joined(linesOf(text).filter((line) => !isLineOf(line, user)));
}

/** One line for the file. Failure "bad-input" for a name or password that could not be used. */
export async function htpasswdLine(user: string, password: string): Promise<string> {
  requireUserName(user);
  if (password === "") throw new Failure("bad-input", `Cannot make user "${user}": the password is empty`);
  if (truncates(password)) {
    throw new Failure(
      "bad-input",
      `Cannot make user "${user}": the password is longer than the 72 bytes that bcrypt uses`,
    );
  }
  return `${user}:${await bcrypt(password, BCRYPT_COST)}\n`;
}

export function isUserName(name: string): boolean {
  return /^(?!#)[^:\s\p{Cc}]{1,255}$/u.test(name);
}

/** Failure "bad-input". */
export function requireUserName(name: string): void {
  if (isUserName(name)) return;
  throw new Failure(
    "usage",
    `Cannot make user ${JSON.stringify(name.slice(0, 300))}: a name has no colon, blank or control character`,
  );
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line, index, all) => line !== "" || index < all.length - 1);
}

function isLineOf(line: string, user: string): boolean {
  return line.trimStart().startsWith(`${user}:`);
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}
