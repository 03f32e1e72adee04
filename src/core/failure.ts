/**
 * Failure: what a user or an operator can act on. Callers branch on `code`, never on text.
 *
 * Three families of errors exist: a Failure (this file), a SyntaxError/RangeError/TypeError thrown by a pure parser and
 * wrapped once with the file's name, and an AssertionError for a bug of ours, which ends with a stack and exit code 70.
 * A message reads `Cannot <verb> <thing> "<value>": <state, and wanted state>`: no final period, never the cause's text.
 */

export type FailureCode =
  | "usage" // the words of a command are off; exit 2
  | "bad-input" // a file or value from outside is malformed
  | "digest-mismatch"
  | "not-found"
  | "already-exists"
  | "conflict"
  | "no-space"
  | "not-root"
  | "not-a-host" // this machine is not deployed by berth or bootc
  | "in-container"
  | "unauthorized"
  | "denied"
  | "network"
  | "unsupported"
  | "missing-tool"
  | "exec-failed"
  | "busy"
  | "corrupt"
  | "check-failed" // a lint or a health check said no
  | "io"
  | "aborted";

export interface FailureOptions {
  /** What the user can do about it: one sentence, no final period. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Exit status to end with when it is not the usual 1 (2 for `usage`): `berth run` passes on the container's. */
  readonly exitCode?: number;
}

export class Failure extends Error {
  readonly code: FailureCode;
  readonly hint: string | undefined;
  readonly exitCode: number | undefined;

  constructor(code: FailureCode, message: string, options: FailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Failure";
    this.code = code;
    this.hint = options.hint;
    this.exitCode = options.exitCode;
  }
}

/** What `work` returns. A Failure that it throws becomes the cause of one with the same code and this message. */
export function explained<T>(message: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!isFailure(cause)) throw cause;
    throw new Failure(cause.code, message, { cause });
  }
}

/** True when `error` is a Failure, of code `code` if one is given. */
export function isFailure(error: unknown, code?: FailureCode): error is Failure {
  return error instanceof Failure && (code === undefined || error.code === code);
}
