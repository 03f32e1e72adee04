/**
 * The directory-tree half of the real host's Files: names, links, nodes, removal.
 *
 * Invariant: remove() follows no symlink and enters no mount: it looks for mount points below first and refuses ("busy") before
 * it has removed anything.
 */
import * as fs from "node:fs";
import { byteNameToText, compareBytes } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { systemFailure } from "./errors.ts";
import type { FileKind, Files, FileStat } from "./host.ts";
import { readMountInfo } from "./linux-mountinfo.ts";
import { attempt, attemptIfAny, baseOf, errnoOf, nodePath, parentOf } from "./linux-path.ts";
import * as syscall from "./syscall.ts";
import { createTemporaryDirectory } from "./temporary-directory.ts";

type TreeCalls =
  | "exists"
  | "lstat"
  | "stat"
  | "version"
  | "list"
  | "listIfAny"
  | "makeDirectory"
  | "temporaryDirectory"
  | "remove"
  | "rename"
  | "exchange"
  | "link"
  | "symlink"
  | "readlink"
  | "realpath"
  | "makeNode";

export function createTree(): Pick<Files, TreeCalls> {
  return {
    exists: (path) => lstat(path) !== undefined,
    lstat,
    stat: (path) =>
      attemptIfAny({ call: "stat", path }, () => toFileStat(fs.statSync(nodePath(path), { bigint: true }))),
    version: (path) =>
      attemptIfAny({ call: "stat", path }, () => {
        const { ino, size, mtimeMs, ctimeMs } = fs.statSync(nodePath(path));
        return { ino, size, modifiedMs: mtimeMs, changedMs: ctimeMs };
      }),
    list,
    listIfAny: (path) => attemptIfAny({ call: "list", path }, () => namesIn(path)) ?? [],
    makeDirectory,
    temporaryDirectory: (prefix) => createTemporaryDirectory(prefix, remove),
    remove,
    rename: (from, to) => {
      attempt({ call: "rename", path: from, other: to }, () => fs.renameSync(nodePath(from), nodePath(to)));
    },
    exchange: syscall.renameExchange,
    link: (existing, path) => {
      attempt({ call: "link", path: existing, other: path }, () => fs.linkSync(nodePath(existing), nodePath(path)));
    },
    symlink: (target, path) => {
      attempt({ call: "make symlink", path }, () => fs.symlinkSync(nodePath(target), nodePath(path)));
    },
    readlink: (path) => attempt({ call: "read link", path }, () => fs.readlinkSync(nodePath(path), "latin1")),
    realpath: (path) => attempt({ call: "resolve", path }, () => fs.realpathSync.native(nodePath(path), "latin1")),
    makeNode: (path, kind, mode, rdev) => {
      syscall.makeNode(path, NODE_TYPES[kind] | mode, rdev);
      attempt({ call: "change mode of", path }, () => fs.chmodSync(nodePath(path), mode));
    },
  };
}

const NODE_TYPES = {
  char: fs.constants.S_IFCHR,
  block: fs.constants.S_IFBLK,
  fifo: fs.constants.S_IFIFO,
  socket: fs.constants.S_IFSOCK,
} as const;

const KINDS = new Map<number, FileKind>([
  [fs.constants.S_IFREG, "file"],
  [fs.constants.S_IFDIR, "directory"],
  [fs.constants.S_IFLNK, "symlink"],
  [fs.constants.S_IFCHR, "char"],
  [fs.constants.S_IFBLK, "block"],
  [fs.constants.S_IFIFO, "fifo"],
  [fs.constants.S_IFSOCK, "socket"],
]);

function lstat(path: string): FileStat | undefined {
  return attemptIfAny({ call: "stat", path }, () => {
    const stat = fs.lstatSync(nodePath(path), { bigint: true, throwIfNoEntry: false });
    return stat && toFileStat(stat);
  });
}

function toFileStat(stat: fs.BigIntStats): FileStat {
  const mode = Number(stat.mode);
  const seconds = floorDivide(stat.mtimeNs, 1_000_000_000n);
  return {
    kind: KINDS.get(mode & fs.constants.S_IFMT) ?? "file",
    mode: mode & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(stat.size),
    allocatedBytes: Number(stat.blocks) * 512,
    nlink: Number(stat.nlink),
    // The user-space encoding's low 32 bits are the kernel's own for majors below 4096 and minors below 2^20.
    rdev: Number(stat.rdev & 0xffffffffn),
    dev: Number(stat.dev),
    ino: Number(stat.ino),
    mtimeSec: Number(seconds),
    mtimeNsec: Number(stat.mtimeNs - seconds * 1_000_000_000n),
  };
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value < 0n && quotient * by !== value ? quotient - 1n : quotient;
}

function list(path: string): string[] {
  return attempt({ call: "list", path }, () => namesIn(path));
}

function namesIn(path: string): string[] {
  return fs.readdirSync(nodePath(path), "latin1").sort(compareBytes);
}

function makeDirectory(path: string, options: { mode?: number } = {}): void {
  if (tryMakeDirectory(path, options)) return;
  makeDirectory(parentOf(path));
  if (!tryMakeDirectory(path, options)) throw systemFailure({ call: "make directory", path }, "ENOENT");
}

/** false when the parent is missing. */
function tryMakeDirectory(path: string, options: { mode?: number }): boolean {
  try {
    fs.mkdirSync(nodePath(path), options.mode ?? 0o755);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" && parentOf(path) !== path && path !== "") return false;
    if (errno === "EEXIST" && isDirectory(path)) return true;
    throw systemFailure({ call: "make directory", path }, errno ?? "EIO");
  }
  if (options.mode !== undefined) fs.chmodSync(nodePath(path), options.mode);
  return true;
}

function isDirectory(path: string): boolean {
  try {
    return fs.statSync(nodePath(path)).isDirectory();
  } catch {
    return false;
  }
}

function remove(path: string): void {
  const where = { call: "remove", path };
  const stat = attemptIfAny(where, () => fs.lstatSync(nodePath(path), { throwIfNoEntry: false }));
  if (stat === undefined) return;
  if (!stat.isDirectory()) {
    attemptIfAny(where, () => fs.unlinkSync(nodePath(path)));
    return;
  }
  refuseMountsBelow(path);
  removeDirectory(path);
}

function removeDirectory(path: string): void {
  const entries = attemptIfAny({ call: "list", path }, () =>
    fs.readdirSync(nodePath(path), { encoding: "latin1", withFileTypes: true }),
  );
  for (const entry of entries ?? []) {
    const child = `${path}/${entry.name}`;
    if (entry.isDirectory()) removeDirectory(child);
    else attemptIfAny({ call: "remove", path: child }, () => fs.unlinkSync(nodePath(child)));
  }
  attemptIfAny({ call: "remove", path }, () => fs.rmdirSync(nodePath(path)));
}

function refuseMountsBelow(path: string): void {
  const parent = attempt({ call: "resolve", path }, () =>
    fs.realpathSync.native(nodePath(path.includes("/") ? parentOf(path) : "."), "latin1"),
  );
  const real = `${parent === "/" ? "" : parent}/${baseOf(path)}`;
  for (const { target } of readMountInfo()) {
    if (target === real || target.startsWith(`${real}/`)) {
      const [what, where] = [path, target].map((name) => JSON.stringify(byteNameToText(name)));
      throw new Failure("busy", `Cannot remove ${what}: a file system is mounted on ${where}`);
    }
  }
}
