/**
 * scanDirectory(): a directory of the running system as a value. Only directories, files and symlinks are seen: sockets, pipes and
 * devices in /etc belong to running programs.
 */
import type { ByteName } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import type { Files, FileStat } from "../host/host.ts";
import { NO_XATTRS, type Stat } from "../tree/node.ts";
import type { LiveDirectory, LiveNode } from "./etc-merge.ts";

/** A file that vanishes while it is looked at counts as absent. */
export function scanDirectory(files: Files, path: string): LiveDirectory {
  const stat = files.lstat(path);
  const children = new Map<ByteName, LiveNode>();
  for (const name of files.listIfAny(path)) {
    const node = scanNode(files, `${path}/${name}`);
    if (node !== undefined) children.set(name as ByteName, node);
  }
  return { kind: "directory", stat: stat === undefined ? EMPTY : toStat(files, path, stat), children };
}

const EMPTY: Stat = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, xattrs: NO_XATTRS };

function scanNode(files: Files, path: string): LiveNode | undefined {
  try {
    return readNode(files, path);
  } catch (error) {
    if (isFailure(error, "not-found")) return undefined;
    throw error;
  }
}

function readNode(files: Files, path: string): LiveNode | undefined {
  const found = files.lstat(path);
  if (found === undefined) return undefined;
  if (found.kind === "directory") return scanDirectory(files, path);
  if (found.kind === "file") return { kind: "file", stat: toStat(files, path, found), path, size: found.size };
  if (found.kind !== "symlink") return undefined;
  return { kind: "symlink", stat: toStat(files, path, found), path, target: files.readlink(path) as ByteName };
}

function toStat(files: Files, path: string, found: FileStat): Stat {
  const { mode, uid, gid, mtimeSec, mtimeNsec } = found;
  return { mode, uid, gid, mtimeSec, mtimeNsec, xattrs: files.xattrs(path) };
}
