/**
 * Tree: a file system as a value. Directories map byte names to nodes; a hard link is one Leaf object under several names.
 *
 * Shared by the EROFS writer, the layer merge, the builder's diff and the /etc merge. Sizes and times are exact: mtimes are
 * seconds (may be negative) plus nanoseconds.
 */
import type { ByteName } from "../core/bytes.ts";

export interface Stat {
  /** Permission, set-id and sticky bits only (07777); the type is the node's `kind`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch; may be negative. */
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  /** Full attribute name (latin1) to value. Shared empty map when there are none. */
  readonly xattrs: Xattrs;
}

export type Xattrs = ReadonlyMap<string, Uint8Array>;
export const NO_XATTRS: Xattrs = new Map();

/** What a regular file holds. */
export type FileContent =
  /** The bytes stand in the image itself (files of at most 64 bytes, the empty one included). */
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  /**
   * The bytes are an object of the store. `objectId` is the lower-case hex of the object's fs-verity digest (absent when a dump
   * names a payload without one); `payload` is the backing path relative to the objects directory when it is not the usual `xx/rest`,
   * and empty when a digest stands without any path.
   */
  | { readonly kind: "external"; readonly objectId: string | undefined; readonly payload?: string };

interface LeafBase {
  readonly stat: Stat;
  /** The link count that a dump or an image states where it is not the number of names in the tree; counted when absent. */
  readonly nlink?: number;
  /**
   * Absolute path of the name that stands for this leaf when it has several; the first in depth-first byte order when absent.
   * Only dumps and images that say otherwise set it: it decides the order of inodes.
   */
  readonly originalPath?: ByteName;
}

export interface FileLeaf extends LeafBase {
  readonly kind: "file";
  /** Bytes. */
  readonly size: number;
  readonly content: FileContent;
}

export interface SymlinkLeaf extends LeafBase {
  readonly kind: "symlink";
  readonly target: ByteName;
}

export interface DeviceLeaf extends LeafBase {
  readonly kind: "char" | "block";
  /** Linux dev_t in the kernel's 32-bit encoding: minor low 8, major << 8, minor high << 20. */
  readonly rdev: number;
  /** The SIZE field of a dump line, which decides the inode's form there. */
  readonly size?: number;
}

export interface PipeLeaf extends LeafBase {
  readonly kind: "fifo" | "socket";
  /** As DeviceLeaf's. */
  readonly size?: number;
}

export type Leaf = FileLeaf | SymlinkLeaf | DeviceLeaf | PipeLeaf;

export interface Directory {
  readonly kind: "directory";
  stat: Stat;
  /** Insertion order means nothing; writers sort by bytes. */
  readonly children: Map<ByteName, Node>;
}

export type Node = Directory | Leaf;

export function createDirectory(stat: Stat): Directory {
  return { kind: "directory", stat, children: new Map() };
}

/** The kernel's 32-bit dev_t. */
export function makeDev(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export function devMajor(rdev: number): number {
  return (rdev >>> 8) & 0xfff;
}

export function devMinor(rdev: number): number {
  return (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
}

/** Where composefs keeps an object, relative to the objects directory. */
export function usualPayload(objectId: string): string {
  return `${objectId.slice(0, 2)}/${objectId.slice(2)}`;
}

/** As a comparison with usualPayload(), without making that string. */
export function isUsualPayload(payload: string, objectId: string): boolean {
  return (
    payload.length === objectId.length + 1 &&
    payload[2] === "/" &&
    objectId.startsWith(payload.slice(0, 2)) &&
    payload.endsWith(objectId.slice(2))
  );
}
