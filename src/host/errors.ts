/**
 * systemFailure(): one errno as a Failure, the same words for the real host and the fake one. The message names the call and the
 * path; callers branch on the code.
 *
 * @see errno(3)
 */
import { byteNameToText } from "../core/bytes.ts";
import { Failure, type FailureCode } from "../core/failure.ts";

export interface SystemCall {
  /** The verb: "rename", "write", ... */
  readonly call: string;
  readonly path: string;
  /** The second path of rename, link, exchange, copy. */
  readonly other?: string;
}

/** `errno` is the symbolic name, e.g. "ENOENT". */
export function systemFailure(call: SystemCall, errno: string, cause?: unknown): Failure {
  const known = ERRNO[errno];
  const where = `${quote(call.path)}${call.other === undefined ? "" : ` and ${quote(call.other)}`}`;
  return new Failure(
    known?.[0] ?? "io",
    `Cannot ${call.call} ${where}: ${errno}${known === undefined ? "" : `, ${known[1]}`}`,
    cause === undefined ? {} : { cause },
  );
}

/** For replace(): a file in the place of /dev/null would take the machine down. */
export function notReplaceable(path: string): Failure {
  return new Failure(
    "conflict",
    `Cannot replace ${quote(path)}: it is a device, FIFO or socket, wanted a regular file`,
  );
}

/** A FIFO would make the program wait for its other end; a socket cannot be opened. */
export function notAFile(call: SystemCall): Failure {
  return new Failure("bad-input", `Cannot ${call.call} ${quote(call.path)}: it is a FIFO or socket, wanted a file`);
}

export function endless(call: SystemCall, maxBytes: number): Failure {
  return new Failure(
    "bad-input",
    `Cannot ${call.call} ${quote(call.path)}: it is no regular file and has no end within ${maxBytes} bytes`,
  );
}

/** The symbolic name of an error number, "errno 123" for those that berth never meets. */
export function errnoName(number: number): string {
  return NAMES[number] ?? `errno ${number}`;
}

function quote(path: string): string {
  return JSON.stringify(byteNameToText(path));
}

const ERRNO: Readonly<Record<string, readonly [FailureCode, string]>> = {
  ENOENT: ["not-found", "no such file or directory"],
  ESRCH: ["not-found", "no such process"],
  ENXIO: ["not-found", "no such device"],
  ENODATA: ["not-found", "no such attribute"],
  EACCES: ["denied", "permission denied"],
  EPERM: ["denied", "operation not permitted"],
  EROFS: ["denied", "read-only file system"],
  ENOSPC: ["no-space", "no space left on device"],
  EDQUOT: ["no-space", "disk quota exceeded"],
  EBUSY: ["busy", "device or resource busy"],
  EAGAIN: ["busy", "held by someone else"],
  ETXTBSY: ["busy", "text file busy"],
  EEXIST: ["already-exists", "file exists"],
  ENOTEMPTY: ["already-exists", "directory not empty"],
  EOPNOTSUPP: ["unsupported", "operation not supported"],
  ENOTTY: ["unsupported", "inappropriate ioctl"],
  ENOSYS: ["unsupported", "no such system call"],
  ENODEV: ["unsupported", "no such file system or device"],
  EIO: ["io", "input/output error"],
  ENOTDIR: ["io", "a part of the path is no directory"],
  EISDIR: ["io", "it is a directory"],
  EINVAL: ["io", "invalid argument"],
  ELOOP: ["io", "too many symbolic links"],
  ENAMETOOLONG: ["io", "file name too long"],
  EXDEV: ["io", "it is on another file system"],
  EBADF: ["io", "bad file descriptor"],
  ERANGE: ["io", "out of range"],
  EFBIG: ["io", "file too large"],
  ENOTBLK: ["io", "block device wanted"],
  EMLINK: ["io", "too many links"],
};

/** Linux numbers, the same on amd64, arm64 and riscv64 (asm-generic/errno.h). */
const NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  7: "E2BIG",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  15: "ENOTBLK",
  16: "EBUSY",
  17: "EEXIST",
  18: "EXDEV",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  24: "EMFILE",
  25: "ENOTTY",
  26: "ETXTBSY",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  31: "EMLINK",
  34: "ERANGE",
  36: "ENAMETOOLONG",
  38: "ENOSYS",
  39: "ENOTEMPTY",
  40: "ELOOP",
  61: "ENODATA",
  74: "EBADMSG",
  75: "EOVERFLOW",
  95: "EOPNOTSUPP",
  117: "EUCLEAN",
  122: "EDQUOT",
};
