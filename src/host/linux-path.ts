/**
 * What every file call of the real host shares: byte-string paths for Node, and Node's errors as Failures.
 *
 * A path is latin1, one byte a character; Node takes plain ASCII as a string and anything else as a Buffer.
 */
import { Failure } from "../core/failure.ts";
import { type SystemCall, systemFailure } from "./errors.ts";

/** A path as Node's fs wants it. */
export function nodePath(path: string): string | Buffer {
  if (path.includes("\0")) {
    throw new Failure("bad-input", `Cannot use path ${JSON.stringify(path)}: it has a NUL byte`);
  }
  return isAscii(path) ? path : Buffer.from(path, "latin1");
}

/** Runs one fs call; its error becomes a Failure that names the call and the path. */
export function attempt<Result>(where: SystemCall, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw asFailure(error, where);
  }
}

/** As attempt(), but undefined when the file or a directory on its way is missing. */
export function attemptIfAny<Result>(where: SystemCall, work: () => Result): Result | undefined {
  try {
    return work();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw asFailure(error, where);
  }
}

/** The symbolic errno of an error of Node's, if it is one. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return error.code === "ENOTSUP" ? "EOPNOTSUPP" : error.code;
}

export function parentOf(path: string): string {
  const at = path.replace(/\/+$/, "").lastIndexOf("/");
  return at < 0 ? "." : at === 0 ? "/" : path.slice(0, at);
}

export function baseOf(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  return trimmed.slice(trimmed.lastIndexOf("/") + 1);
}

function isAscii(path: string): boolean {
  for (let i = 0; i < path.length; i += 1) {
    if (path.charCodeAt(i) > 0x7f) return false;
  }
  return true;
}

function asFailure(error: unknown, where: SystemCall): unknown {
  const errno = errnoOf(error);
  return errno === undefined || error instanceof Failure || errno.startsWith("ERR_")
    ? error
    : systemFailure(where, errno);
}
