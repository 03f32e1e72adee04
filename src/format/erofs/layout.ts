/**
 * The records of an EROFS image as composefs writes it: 4096-byte blocks, metadata from block 0, little endian. A node's number
 * (nid) is its offset divided by 32.
 *
 * @see Linux fs/erofs/erofs_fs.h
 * @see composefs libcomposefs/lcfs-erofs.h (the header in front)
 */
import { struct } from "../../core/struct.ts";

export const BLOCK_BYTES = 4096;
export const SLOT_BYTES = 32;
export const SUPERBLOCK_OFFSET = 1024;
export const COMPOSEFS_MAGIC = 0xd078629a;
export const EROFS_MAGIC = 0xe0f5e1e2;
/** Some inode has a POSIX ACL. */
export const FLAG_HAS_ACL = 1;
export const COMPAT_MTIME = 2;
export const COMPAT_XATTR_FILTER = 4;

export const LAYOUT_PLAIN = 0;
export const LAYOUT_INLINE = 2;
export const LAYOUT_CHUNK = 4;
export const MIN_CHUNK_BITS = 12;
export const MAX_CHUNK_BITS = 43;
/** More than this, and the chunk table would not fit beside an inode in one block. */
export const MAX_CHUNKS = 1016;
/** A chunk that is not in the image: the data are an object. */
export const NULL_CHUNK = 0xffffffff;

export const ComposefsHeader = struct("composefs header", 32, {
  magic: "u32",
  version: "u32",
  flags: "u32",
  composefsVersion: "u32",
  reserved: "zero:16",
});

export const Superblock = struct("EROFS superblock", 128, {
  magic: "u32",
  checksum: "u32",
  featureCompat: "u32",
  blockBits: "u8",
  extensionSlots: "u8",
  rootNid: "u16",
  inodes: "u53",
  buildTime: "i53",
  buildTimeNsec: "u32",
  blocks: "u32",
  metaBlock: "u32",
  xattrBlock: "u32",
  reserved: "zero:80",
});

export const InodeCompact = struct("compact inode", 32, {
  format: "u16",
  xattrCount: "u16",
  mode: "u16",
  nlink: "u16",
  size: "u32",
  reserved: "zero:4",
  data: "u32",
  ino: "u32",
  uid: "u16",
  gid: "u16",
  reserved2: "zero:4",
});

export const InodeExtended = struct("extended inode", 64, {
  format: "u16",
  xattrCount: "u16",
  mode: "u16",
  reserved: "zero:2",
  size: "u53",
  data: "u32",
  ino: "u32",
  uid: "u32",
  gid: "u32",
  mtime: "i53",
  mtimeNsec: "u32",
  nlink: "u32",
  reserved2: "zero:16",
});

export const XattrHeader = struct("xattr header", 12, { nameFilter: "u32", sharedCount: "u8", reserved: "zero:7" });

export const XattrEntry = struct("xattr entry", 4, { nameLength: "u8", nameIndex: "u8", valueLength: "u16" });

export const DirectoryEntry = struct("directory entry", 12, {
  nid: "u53",
  nameOffset: "u16",
  fileType: "u8",
  reserved: "zero:1",
});

/** Name prefixes by index, the first that fits counts; index 0 is the whole name. composefs does not use 5 (`lustre.`). */
export const XATTR_PREFIXES: readonly (readonly [prefix: string, index: number])[] = [
  ["user.", 1],
  ["system.posix_acl_access", 2],
  ["system.posix_acl_default", 3],
  ["trusted.", 4],
  ["security.", 6],
];

export const FILE_TYPES = { file: 1, directory: 2, char: 3, block: 4, fifo: 5, socket: 6, symlink: 7 } as const;

export function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

/** Bits of the chunk size that covers a file of `sizeBytes` (> 0) with as few chunks as the format can say. */
export function chunkBits(sizeBytes: number): number {
  const last = sizeBytes - 1;
  const high = Math.floor(last / 2 ** 32);
  const bits = high > 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(last);
  return Math.max(MIN_CHUNK_BITS, Math.min(MAX_CHUNK_BITS, bits));
}
