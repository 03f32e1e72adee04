/**
 * syscall: the system calls that Node lacks, through libc by node:ffi. The one module that calls C.
 *
 * Invariants: a path goes in as NUL-terminated bytes (never as UTF-8 text); errno is read in the same tick, right after the call
 * that set it; every failing call throws a Failure that names call and path.
 *
 * @see man-pages 2; linux/fs.h, linux/fsverity.h, linux/mount.h; docs/decisions/0001-syscalls.md
 */
import type * as Ffi from "node:ffi";
import { errnoName, type SystemCall, systemFailure } from "./errors.ts";

export const MOUNT_FLAGS = {
  readOnly: 1n,
  noSuid: 2n,
  noDev: 4n,
  noExec: 8n,
  remount: 32n,
  bind: 4096n,
  recursive: 16384n,
  private: 1n << 18n,
} as const;

/** A call that may fail in a way the caller handles: `errno` is 0 when it worked. */
export interface CallResult {
  readonly value: number;
  /** Symbolic name, or undefined when the call worked. */
  readonly errno: string | undefined;
}

export function renameExchange(left: string, right: string): void {
  check(call(libc().renameat2, AT_FDCWD, cPath(left), AT_FDCWD, cPath(right), RENAME_EXCHANGE), {
    call: "exchange",
    path: left,
    other: right,
  });
}

/** `mode` with the type bits (S_IFCHR, ...). */
export function makeNode(path: string, mode: number, rdev: number): void {
  const number = MKNODAT[process.arch] ?? MKNODAT_GENERIC;
  check(call(libc().syscallMknodat, number, AT_FDCWD, cPath(path), BigInt(mode), BigInt(rdev)), {
    call: "make node",
    path,
  });
}

/** Sets the modification time, and the access time to the same; a symlink itself, not what it names. */
export function setTimes(path: string, seconds: number, nanoseconds: number): void {
  const times = Buffer.alloc(32);
  for (const offset of [0, 16]) {
    times.writeBigInt64LE(BigInt(seconds), offset);
    times.writeBigInt64LE(BigInt(nanoseconds), offset + 8);
  }
  check(call(libc().utimensat, AT_FDCWD, cPath(path), times, AT_SYMLINK_NOFOLLOW), { call: "set times of", path });
}

/** Names of a file's attributes; empty where the file system has none. */
export function listXattrs(path: string): string[] {
  const name = cPath(path);
  for (;;) {
    const size = call(libc().llistxattr, name, null, 0n);
    if (size.errno === "EOPNOTSUPP") return [];
    const needed = check(size, { call: "list attributes of", path });
    if (needed === 0) return [];
    const buffer = Buffer.alloc(needed);
    const read = call(libc().llistxattr, name, buffer, BigInt(needed));
    if (read.errno === "ERANGE") continue;
    return buffer
      .toString("latin1", 0, check(read, { call: "list attributes of", path }))
      .split("\0")
      .slice(0, -1);
  }
}

/** undefined when the file has no such attribute. */
export function getXattr(path: string, attribute: string): Buffer | undefined {
  const name = cPath(path);
  const key = cPath(attribute);
  for (;;) {
    const size = call(libc().lgetxattr, name, key, null, 0n);
    if (size.errno === "ENODATA" || size.errno === "EOPNOTSUPP") return undefined;
    const needed = check(size, { call: `read attribute ${attribute} of`, path });
    const buffer = Buffer.alloc(Math.max(1, needed));
    const read = call(libc().lgetxattr, name, key, buffer, BigInt(needed));
    if (read.errno === "ERANGE") continue;
    return buffer.subarray(0, check(read, { call: `read attribute ${attribute} of`, path }));
  }
}

export function setXattr(path: string, attribute: string, value: Uint8Array): void {
  const bytes = value.length === 0 ? Buffer.alloc(1) : value;
  check(call(libc().lsetxattr, cPath(path), cPath(attribute), bytes, BigInt(value.length), 0), {
    call: `set attribute ${attribute} of`,
    path,
  });
}

export function removeXattr(path: string, attribute: string): void {
  check(call(libc().lremovexattr, cPath(path), cPath(attribute)), { call: `remove attribute ${attribute} of`, path });
}

export function syncFileSystem(fd: number, path: string): void {
  check(call(libc().syncfs, fd), { call: "sync the file system of", path });
}

/** false when another holds it and `wait` is off. */
export function lockFile(fd: number, how: "shared" | "exclusive", options: { wait: boolean; path: string }): boolean {
  const operation = (how === "shared" ? LOCK_SH : LOCK_EX) | (options.wait ? 0 : LOCK_NB);
  for (;;) {
    const result = call(libc().flock, fd, operation);
    if (result.errno === "EINTR") continue;
    if (result.errno === "EAGAIN") return false;
    check(result, { call: "lock", path: options.path });
    return true;
  }
}

/** FICLONE; false when the file systems cannot share extents. */
export function cloneFile(toFd: number, fromFd: number): boolean {
  return call(libc().ioctlInteger, toFd, FICLONE, BigInt(fromFd)).errno === undefined;
}

/** The next data (or hole) at or after `offset`; undefined when there is none. */
export function seekExtent(fd: number, offset: number, what: "data" | "hole"): number | undefined {
  const result = call(libc().lseek, fd, BigInt(offset), what === "data" ? SEEK_DATA : SEEK_HOLE);
  return result.errno === undefined ? result.value : undefined;
}

/** copy_file_range at explicit offsets; returns the bytes copied. */
export function copyRange(from: number, to: number, offset: number, lengthBytes: number): CallResult {
  const fromOffset = Buffer.alloc(8);
  fromOffset.writeBigInt64LE(BigInt(offset));
  const toOffset = Buffer.from(fromOffset);
  return call(libc().copy_file_range, from, fromOffset, to, toOffset, BigInt(lengthBytes), 0);
}

export function enableVerity(fd: number, algorithm: "sha256" | "sha512"): CallResult {
  const argument = Buffer.alloc(128);
  argument.writeUInt32LE(1, 0);
  argument.writeUInt32LE(algorithm === "sha256" ? 1 : 2, 4);
  argument.writeUInt32LE(4096, 8);
  return call(libc().ioctl, fd, FS_IOC_ENABLE_VERITY, argument);
}

/** The digest as hex; undefined when the file has none or the kernel cannot say. */
export function measureVerity(fd: number, path: string): string | undefined {
  const buffer = Buffer.alloc(4 + 64);
  buffer.writeUInt16LE(64, 2);
  const result = call(libc().ioctl, fd, FS_IOC_MEASURE_VERITY, buffer);
  if (result.errno !== undefined && ["ENODATA", "EOPNOTSUPP", "ENOTTY"].includes(result.errno)) return undefined;
  check(result, { call: "measure fs-verity of", path });
  return buffer.toString("hex", 4, 4 + buffer.readUInt16LE(2));
}

export interface MountCall {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly flags: bigint;
  readonly data?: string;
}

export function mount(options: MountCall): CallResult {
  const data = options.data === undefined || options.data === "" ? null : cPath(options.data);
  return call(libc().mount, cPath(options.source), cPath(options.target), cPath(options.type), options.flags, data);
}

export function unmount(target: string, detach: boolean): CallResult {
  return call(libc().umount2, cPath(target), UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0));
}

/** A mount namespace of this thread's own, of which nothing spreads back. */
export function unshareMounts(): void {
  check(call(libc().unshare, CLONE_NEWNS), { call: "unshare the mounts of", path: "/" });
  const flags = MOUNT_FLAGS.recursive | MOUNT_FLAGS.private;
  check(mount({ type: "", source: "none", target: "/", flags }), { call: "make private", path: "/" });
}

/** One parameter of a file system context: with a value, or bare. */
export type MountParameter = readonly [key: string, value?: string];

/**
 * fsopen → fsconfig → fsmount → move_mount: what mount(2) cannot say (paths with `,` and `:`, long lists). `step` of the result
 * names the call that failed, so that the caller can fall back.
 */
export function mountByContext(options: {
  readonly type: string;
  readonly target: string;
  readonly parameters: readonly MountParameter[];
  readonly readOnly: boolean;
}): CallResult & { readonly step: string } {
  const context = call(libc().syscallFsopen, SYS_FSOPEN, cPath(options.type), FSOPEN_CLOEXEC);
  if (context.errno !== undefined) return { ...context, step: "fsopen" };
  let mountFd = -1;
  try {
    for (const [key, value] of options.parameters) {
      const command = value === undefined ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
      const set = call(
        libc().syscallFsconfig,
        SYS_FSCONFIG,
        BigInt(context.value),
        command,
        cPath(key),
        value === undefined ? null : cPath(value),
        0n,
      );
      if (set.errno !== undefined) return { ...set, step: `fsconfig ${key}` };
    }
    const created = call(libc().syscallFsconfig, SYS_FSCONFIG, BigInt(context.value), FSCONFIG_CREATE, null, null, 0n);
    if (created.errno !== undefined) return { ...created, step: "fsconfig create" };
    const attributes = options.readOnly ? MOUNT_ATTR_RDONLY : 0n;
    const made = call(libc().syscallFsmount, SYS_FSMOUNT, BigInt(context.value), FSMOUNT_CLOEXEC, attributes);
    if (made.errno !== undefined) return { ...made, step: "fsmount" };
    mountFd = made.value;
    const moved = call(
      libc().syscallMoveMount,
      SYS_MOVE_MOUNT,
      BigInt(mountFd),
      cPath(""),
      BigInt(AT_FDCWD),
      cPath(options.target),
      MOVE_MOUNT_F_EMPTY_PATH,
    );
    return { ...moved, step: "move_mount" };
  } finally {
    if (mountFd >= 0) call(libc().close, mountFd);
    call(libc().close, context.value);
  }
}

/** Throws the Failure of a call that did not work; returns its value otherwise. */
export function check(result: CallResult, where: SystemCall): number {
  if (result.errno !== undefined) throw systemFailure(where, result.errno);
  return result.value;
}

const CLONE_NEWNS = 0x20000;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const RENAME_EXCHANGE = 2;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const FICLONE = 0x40049409n;
const FS_IOC_ENABLE_VERITY = 0x40806685n;
const FS_IOC_MEASURE_VERITY = 0xc0046686n;
const SYS_MOVE_MOUNT = 429n;
const SYS_FSOPEN = 430n;
const SYS_FSCONFIG = 431n;
const SYS_FSMOUNT = 432n;
const FSOPEN_CLOEXEC = 1n;
const FSMOUNT_CLOEXEC = 1n;
const FSCONFIG_SET_FLAG = 0n;
const FSCONFIG_SET_STRING = 1n;
const FSCONFIG_CREATE = 6n;
const MOUNT_ATTR_RDONLY = 1n;
const MOVE_MOUNT_F_EMPTY_PATH = 4n;
/** mknodat(2) by number: glibc before 2.33 exports no mknod. */
const MKNODAT: Readonly<Record<string, bigint>> = { x64: 259n };
const MKNODAT_GENERIC = 33n;

type Argument = number | bigint | Uint8Array | null;
type Native = (...values: Argument[]) => number | bigint;

const FUNCTIONS = {
  renameat2: { arguments: ["int32", "pointer", "int32", "pointer", "uint32"], return: "int32" },
  utimensat: { arguments: ["int32", "pointer", "pointer", "int32"], return: "int32" },
  llistxattr: { arguments: ["pointer", "pointer", "uint64"], return: "int64" },
  lgetxattr: { arguments: ["pointer", "pointer", "pointer", "uint64"], return: "int64" },
  lsetxattr: { arguments: ["pointer", "pointer", "pointer", "uint64", "int32"], return: "int32" },
  lremovexattr: { arguments: ["pointer", "pointer"], return: "int32" },
  syncfs: { arguments: ["int32"], return: "int32" },
  flock: { arguments: ["int32", "int32"], return: "int32" },
  lseek: { arguments: ["int32", "int64", "int32"], return: "int64" },
  copy_file_range: { arguments: ["int32", "pointer", "int32", "pointer", "uint64", "uint32"], return: "int64" },
  ioctl: { arguments: ["int32", "uint64", "pointer"], return: "int32" },
  mount: { arguments: ["pointer", "pointer", "pointer", "uint64", "pointer"], return: "int32" },
  umount2: { arguments: ["pointer", "int32"], return: "int32" },
  unshare: { arguments: ["int32"], return: "int32" },
  close: { arguments: ["int32"], return: "int32" },
} as const;

/** The same symbol with other parameters: each needs its own handle of libc. */
const VARIANTS = {
  ioctlInteger: ["ioctl", { arguments: ["int32", "uint64", "uint64"], return: "int32" }],
  syscallMknodat: ["syscall", { arguments: ["int64", "int32", "pointer", "uint64", "uint64"], return: "int64" }],
  syscallFsopen: ["syscall", { arguments: ["int64", "pointer", "uint64"], return: "int64" }],
  syscallFsconfig: [
    "syscall",
    { arguments: ["int64", "uint64", "uint64", "pointer", "pointer", "uint64"], return: "int64" },
  ],
  syscallFsmount: ["syscall", { arguments: ["int64", "uint64", "uint64", "uint64"], return: "int64" }],
  syscallMoveMount: [
    "syscall",
    { arguments: ["int64", "uint64", "pointer", "int64", "pointer", "uint64"], return: "int64" },
  ],
} as const;

type Libc = Record<keyof typeof FUNCTIONS | keyof typeof VARIANTS, Native> & { readonly errno: () => number };

let loaded: Libc | undefined;

/** Opened at the first use: a command that needs no system call does not pay for it. */
function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  const ffi = loadFfi();
  const location = ffi.dlopen(null, { __errno_location: { arguments: [], return: "pointer" } });
  // The address is this thread's and stays the same: a worker thread has its own copy of this module.
  const address = location.functions.__errno_location();
  const natives: Record<string, unknown> = { ...ffi.dlopen(null, FUNCTIONS).functions };
  for (const [name, [symbol, signature]] of Object.entries(VARIANTS)) {
    natives[name] = new ffi.DynamicLibrary(null).getFunction(symbol, signature);
  }
  return { ...(natives as Omit<Libc, "errno">), errno: () => ffi.getInt32(address) };
}

/** node:ffi says on load that it is experimental; the version of Node is pinned, so nobody needs to read that. */
function loadFfi(): typeof Ffi {
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = () => undefined;
  try {
    return process.getBuiltinModule("node:ffi");
  } finally {
    process.emitWarning = emitWarning;
  }
}

function call(native: Native, ...values: Argument[]): CallResult {
  const value = Number(native(...values));
  return value < 0 ? { value, errno: errnoName(libc().errno()) } : { value, errno: undefined };
}

/** NUL-terminated bytes of a byte string. */
function cPath(path: string): Buffer {
  return Buffer.from(`${path}\0`, "latin1");
}
