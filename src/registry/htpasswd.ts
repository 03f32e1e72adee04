/**
 * Users in an htpasswd file, bcrypt only, as `htpasswd -B` writes it. A success is remembered for a short time, because a
 * client sends its password with every request and bcrypt is slow on purpose. The file is read again when it changes, and
 * a changed entry ends what was remembered of it. Nothing in memory holds a password.
 */
import { hash } from "node:crypto";
import { compare, hash as bcrypt, truncates } from "bcryptjs";
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { type Authenticate, parseBasic } from "./auth.ts";

export interface HtpasswdOptions {
  readonly host: Pick<Host, "files" | "clock" | "random">;
  readonly path: string;
  /** Shown to people who log in. */
  readonly realm: string;
}

export const BCRYPT_COST = 10;

const SUCCESS_MS = 60_000;
const REMEMBERED_MAX = 10_000;
/** Compared against when the user is unknown, so that the time to answer tells nothing. Cost as BCRYPT_COST. */
const NOBODY = "$2b$10$6Ku3fTQ/c3rP6VflgXIhHuSfLjF8WOp6l2e582up7cxxnCBOiUPom";

/** Authenticates Basic credentials against the file at `path`. Every user may do everything. */
export function htpasswdAuth(options: HtpasswdOptions): Authenticate {
  const { host, realm } = options;
  const users = watchHtpasswd(host, options.path);
  const key = Buffer.from(host.random(32)).toString("hex");
  const remembered = new Map<string, number>();
  const running = new Map<string, Promise<boolean>>();
  const refuse = (message: string) =>
    ({ kind: "challenge", challenge: `Basic realm="${realm.replace(/["\\]/g, "")}"`, message }) as const;

  return async (request) => {
    const header = request.headers.get("authorization");
    const basic = parseBasic(header);
    if (basic === undefined) return refuse("authentication required");
    const entry = users().get(basic.user);
    const proof = hash("sha256", `${key}\0${entry ?? ""}\0${basic.user}\0${basic.password}`);
    const accept = { kind: "principal", principal: { user: basic.user, may: () => true } } as const;
    const now = host.clock.elapsed();
    if ((remembered.get(proof) ?? Number.NEGATIVE_INFINITY) > now) return accept;

    let checking = running.get(proof);
    if (checking === undefined) {
      checking = compare(basic.password, entry ?? NOBODY).finally(() => running.delete(proof));
      running.set(proof, checking);
    }
    const matches = await checking;
    if (!matches || entry === undefined) return refuse("invalid username or password");
    if (remembered.size >= REMEMBERED_MAX) remembered.clear();
    remembered.set(proof, host.clock.elapsed() + SUCCESS_MS);
    return accept;
  };
}

/** Throws SyntaxError with the line for an entry that is no `user:bcrypt hash`. */
export function parseHtpasswd(text: string): Map<string, string> {
  const users = new Map<string, string>();
  for (const [index, line] of text.split("\n").entries()) {
    const entry = line.trim();
    if (entry === "" || entry.startsWith("#")) continue;
    const match = /^([^:]+):(\$2[aby]\$\d\d\$[./A-Za-z0-9]{53})$/.exec(entry);
    if (match?.[1] === undefined || match[2] === undefined) {
      throw new SyntaxError(
        `Cannot parse htpasswd: line ${index + 1} is no user:bcrypt-hash, as htpasswd -B writes it`,
      );
    }
    users.set(match[1], match[2]);
  }
  return users;
}

/** One line for the file. Failure "bad-input" for a name or password that could not be used. */
export async function htpasswdLine(user: string, password: string): Promise<string> {
  if (!/^[^:\s\p{Cc}]{1,255}$/u.test(user)) {
    throw new Failure(
      "bad-input",
      `Cannot make user ${JSON.stringify(user)}: a name has no colon, blank or control character`,
    );
  }
  if (password === "") throw new Failure("bad-input", `Cannot make user "${user}": the password is empty`);
  if (truncates(password)) {
    throw new Failure(
      "bad-input",
      `Cannot make user "${user}": the password is longer than the 72 bytes that bcrypt uses`,
    );
  }
  return `${user}:${await bcrypt(password, BCRYPT_COST)}\n`;
}

/** The file's users, read again when its time, size or inode changed. A file that cannot be read lets nobody in. */
function watchHtpasswd(host: Pick<Host, "files">, path: string): () => Map<string, string> {
  let seen: string | undefined;
  let users = new Map<string, string>();
  return () => {
    const stat = host.files.stat(path);
    const now = stat === undefined ? "" : `${stat.ino}:${stat.size}:${stat.mtimeSec}:${stat.mtimeNsec}`;
    if (now === seen) return users;
    try {
      users = parseHtpasswd(host.files.readText(path));
    } catch (error) {
      throw new Failure("bad-input", `Cannot read users "${path}": it is not usable`, { cause: error });
    }
    seen = now;
    return users;
  };
}
