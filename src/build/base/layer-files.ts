/**
 * readLayers(): a finished root as the members of its layers, in canonical order: first the packages, then the kernel with its
 * modules and initramfs, so that an update of one leaves the other's bytes alone. Directories get the epoch as their time, and
 * nothing is newer than the epoch, so that equal content is equal bytes.
 */
import { bytesToByteName, byteNameToBytes } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import type { TarMember } from "../../format/tar/member.ts";
import { compareTarPaths, type TarInput } from "../../format/tar/write.ts";
import type { Files, FileStat } from "../../host/host.ts";
import type { Stat } from "../../tree/node.ts";

export type LayerName = "packages" | "kernel";

const PIECE_BYTES = 256 * 1024;

type ReadFiles = Pick<Files, "list" | "lstat" | "read" | "readlink" | "xattrs">;

/** Members of each layer; contents are read when asked for. `root` without a trailing slash. */
export function readLayers(
  files: ReadFiles,
  root: string,
  epochSec: number,
): Readonly<Record<LayerName, Iterable<TarInput>>> {
  const paths = listTree(files, root).sort(compareTarPaths);
  const isKernel = (path: string): boolean => /^usr\/lib\/modules\/./.test(path);
  const layer = (chosen: readonly string[]): Iterable<TarInput> => readMembers(files, root, chosen, epochSec);
  return { packages: layer(paths.filter((path) => !isKernel(path))), kernel: layer(paths.filter(isKernel)) };
}

/** Paths below `root`, without a leading slash; the root itself is the empty path. */
function listTree(files: ReadFiles, root: string): string[] {
  const paths = [""];
  const visit = (directory: string): void => {
    for (const name of files.list(`${root}/${directory}`)) {
      const path = directory === "" ? name : `${directory}/${name}`;
      paths.push(path);
      if (files.lstat(`${root}/${path}`)?.kind === "directory") visit(path);
    }
  };
  visit("");
  return paths;
}

function* readMembers(
  files: ReadFiles,
  root: string,
  paths: readonly string[],
  epochSec: number,
): Generator<TarInput, void, undefined> {
  /** Device and inode to the first path of a file with several names. */
  const links = new Map<string, string>();
  for (const path of paths) {
    const hostPath = `${root}/${path}`;
    const found = files.lstat(hostPath);
    if (found === undefined)
      throw new Failure("io", `Cannot read "${hostPath}": it went away while the image was made`);
    const identity = `${found.dev}:${found.ino}`;
    const first = found.kind === "file" && found.nlink > 1 ? links.get(identity) : undefined;
    if (first === undefined) links.set(identity, path);
    const member = toMember(files, { hostPath, path, found, first, epochSec });
    if (member === undefined) continue;
    yield member.kind === "file" ? { member, content: inPieces(files.read(hostPath)) } : { member };
  }
}

/** Readers downstream hold a few pieces at a time; a whole kernel in one is more than they expect. */
export async function* inPieces(content: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < content.length; at += PIECE_BYTES) yield content.subarray(at, at + PIECE_BYTES);
}

function toMember(
  files: ReadFiles,
  entry: { hostPath: string; path: string; found: FileStat; first: string | undefined; epochSec: number },
): TarMember | undefined {
  const { hostPath, found } = entry;
  const path = byteName(entry.path);
  const isOld = found.kind !== "directory" && found.mtimeSec <= entry.epochSec;
  const stat: Stat = {
    mode: found.mode,
    uid: found.uid,
    gid: found.gid,
    mtimeSec: isOld ? found.mtimeSec : entry.epochSec,
    mtimeNsec: 0,
    xattrs: found.kind === "symlink" ? new Map() : files.xattrs(hostPath),
  };
  if (entry.first !== undefined) return { kind: "hardlink", path, stat, target: byteName(entry.first) };
  switch (found.kind) {
    case "file":
      return { kind: "file", path, stat, size: found.size };
    case "directory":
    case "fifo":
      return { kind: found.kind, path, stat };
    case "symlink":
      return { kind: "symlink", path, stat, target: byteName(files.readlink(hostPath)) };
    case "char":
    case "block":
      return { kind: found.kind, path, stat, rdev: found.rdev };
    case "socket":
      return undefined;
  }
}

function byteName(text: string): TarMember["path"] {
  return bytesToByteName(byteNameToBytes(text));
}
