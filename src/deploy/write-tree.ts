/**
 * writeTree(): a merged tree as real files, with owner, mode, attributes and times. What is written is synced by the caller, once.
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { Files, Host } from "../host/host.ts";
import type { Store } from "../store/store.ts";
import type { FileLeaf, Leaf, Stat } from "../tree/node.ts";
import type { LiveLeaf, MergedDirectory } from "./etc-merge.ts";

export interface WriteOptions {
  readonly host: Pick<Host, "files">;
  /** Holds the objects that image files name. */
  readonly store: Pick<Store, "objectPath">;
}

/** `path` must not exist; its parents are made. */
export function writeTree(tree: MergedDirectory, path: string, options: WriteOptions): void {
  const { files } = options.host;
  files.makeDirectory(path, { mode: 0o700 });
  for (const [name, node] of tree.children) {
    const target = `${path}/${name}`;
    if (node.kind === "directory") writeTree(node, target, options);
    else if (node.kind === "image") writeImageLeaf(node.leaf, target, options);
    else writeLiveLeaf(node.leaf, target, files);
  }
  applyStat(files, path, tree.stat, "directory");
}

/** The bytes of a file in an image. */
export function readContent(files: Files, store: Pick<Store, "objectPath">, leaf: FileLeaf): Buffer {
  if (leaf.content.kind === "inline") return Buffer.from(leaf.content.bytes);
  return files.read(contentPath(store, leaf));
}

/** Where the bytes of a file in an image are, for content that is an object. */
export function contentPath(store: Pick<Store, "objectPath">, leaf: FileLeaf): string {
  if (leaf.content.kind !== "external" || leaf.content.objectId === undefined) {
    throw new Failure("corrupt", "Cannot read a file of the image: it names no object");
  }
  return store.objectPath(leaf.content.objectId);
}

function writeImageLeaf(leaf: Leaf, target: string, options: WriteOptions): void {
  const { files } = options.host;
  switch (leaf.kind) {
    case "file":
      if (leaf.content.kind === "inline") files.write(target, leaf.content.bytes, { mode: 0o600 });
      else files.copy(contentPath(options.store, leaf), target);
      break;
    case "symlink":
      files.symlink(leaf.target, target);
      break;
    case "char":
    case "block":
      files.makeNode(target, leaf.kind, leaf.stat.mode, leaf.rdev);
      break;
    case "fifo":
    case "socket":
      files.makeNode(target, leaf.kind, leaf.stat.mode, 0);
      break;
  }
  applyStat(files, target, leaf.stat, leaf.kind === "symlink" ? "symlink" : "other");
}

function writeLiveLeaf(leaf: LiveLeaf, target: string, files: Files): void {
  if (leaf.kind === "symlink") files.symlink(leaf.target, target);
  else if (!copyIfThere(files, leaf.path, target)) return;
  applyStat(files, target, leaf.stat, leaf.kind === "symlink" ? "symlink" : "other");
}

/** A file of the running system that is gone since it was looked at (an editor's, say) is not copied. */
function copyIfThere(files: Files, from: string, to: string): boolean {
  try {
    files.copy(from, to);
    return true;
  } catch (error) {
    if (isFailure(error, "not-found") && files.lstat(from) === undefined) return false;
    throw error;
  }
}

/** Owner first: chown clears set-id bits and capabilities. Times last. */
function applyStat(files: Files, path: string, stat: Stat, kind: "directory" | "symlink" | "other"): void {
  files.chown(path, stat.uid, stat.gid);
  if (kind !== "symlink") files.chmod(path, stat.mode);
  for (const [name, value] of stat.xattrs) files.setXattr(path, name, value);
  files.setTimes(path, stat.mtimeSec, stat.mtimeNsec);
}
