/**
 * writeErofs(): a tree as the EROFS image that mkcomposefs 1.0.8 (formats 0 and 1) and composefs-rs 0.9 (format 1) write, byte
 * for byte. Format 1 is the one whose fs-verity digest names a deployment.
 *
 * @see composefs libcomposefs, "Image format"
 */
import type { DigestAlgorithm } from "../../core/digest.ts";
import type { Directory } from "../../tree/node.ts";
import { collectInodes, type Entries, type Inode } from "./inodes.ts";
import {
  alignUp,
  BLOCK_BYTES,
  chunkBits,
  COMPAT_MTIME,
  COMPAT_XATTR_FILTER,
  COMPOSEFS_MAGIC,
  ComposefsHeader,
  DirectoryEntry,
  EROFS_MAGIC,
  FLAG_HAS_ACL,
  InodeCompact,
  InodeExtended,
  LAYOUT_CHUNK,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  MIN_CHUNK_BITS,
  NULL_CHUNK,
  SLOT_BYTES,
  SUPERBLOCK_OFFSET,
  Superblock,
} from "./layout.ts";
import { type Placed, type Placement, placeInodes } from "./place.ts";
import { createXattrTable, writeEntry, writeXattrs, xattrCount } from "./xattr-table.ts";

export interface WriteErofsOptions {
  /** Of the objects' digests. */
  readonly algorithm: DigestAlgorithm;
  /** Format 1 is wanted from the start (default), or only when the tree needs it (0). */
  readonly minVersion?: 0 | 1;
  readonly maxVersion?: 0 | 1;
}

/** Throws RangeError for what an image cannot hold. */
export function writeErofs(tree: Directory, options: WriteErofsOptions): Buffer {
  const version = chooseVersion(tree, options);
  const table = createXattrTable();
  const inodes = collectInodes(tree, table, { algorithm: options.algorithm, version });
  const placement = placeInodes(inodes);
  const shared = table.share(placement.inodesEnd);
  const sharedBytes = shared.reduce((sum, pair) => sum + pair.entryBytes, 0);
  const dataStart = alignUp(placement.inodesEnd + sharedBytes, BLOCK_BYTES);
  const image = Buffer.alloc(dataStart + placement.blocks * BLOCK_BYTES);
  writeHeaders(image, placement, {
    version,
    hasAcl: table.hasName("system.posix_acl_access") || table.hasName("system.posix_acl_default"),
  });
  const nids = placement.placed.map((placed) => placed.offset / SLOT_BYTES);
  for (const placed of placement.placed) writeInode(image, placed, nids, dataStart / BLOCK_BYTES + placed.firstBlock);
  let at = placement.inodesEnd;
  for (const pair of shared) at = writeEntry(image, at, pair);
  return image;
}

function chooseVersion(tree: Directory, options: WriteErofsOptions): 0 | 1 {
  const { minVersion = 1, maxVersion = 1 } = options;
  if (minVersion > maxVersion)
    throw new RangeError(`Cannot write format ${minVersion} to ${maxVersion}: there is none`);
  return minVersion < maxVersion && hasWhiteout(tree) ? 1 : minVersion;
}

function hasWhiteout(tree: Directory): boolean {
  const directories = [tree];
  for (const directory of directories) {
    for (const child of directory.children.values()) {
      if (child.kind === "directory") directories.push(child);
      else if (child.kind === "char" && child.rdev === 0) return true;
    }
  }
  return false;
}

function writeHeaders(image: Buffer, placement: Placement, what: { version: number; hasAcl: boolean }): void {
  const [root] = placement.placed;
  ComposefsHeader.write(image, 0, {
    magic: COMPOSEFS_MAGIC,
    version: 1,
    flags: what.hasAcl ? FLAG_HAS_ACL : 0,
    composefsVersion: what.version,
  });
  Superblock.write(image, SUPERBLOCK_OFFSET, {
    magic: EROFS_MAGIC,
    checksum: 0,
    featureCompat: COMPAT_MTIME | COMPAT_XATTR_FILTER,
    blockBits: Math.log2(BLOCK_BYTES),
    extensionSlots: 0,
    rootNid: (root?.offset ?? 0) / SLOT_BYTES,
    inodes: placement.placed.length,
    buildTime: placement.buildTime.sec,
    buildTimeNsec: placement.buildTime.nsec,
    blocks: image.length / BLOCK_BYTES,
    metaBlock: 0,
    xattrBlock: Math.floor(placement.inodesEnd / BLOCK_BYTES),
  });
}

function writeInode(image: Buffer, placed: Placed, nids: readonly number[], firstBlock: number): void {
  const { inode } = placed;
  const { stat } = inode.node;
  const common = {
    format: (chooseLayout(placed) << 1) | (placed.extended ? 1 : 0),
    xattrCount: xattrCount(placed.xattrBytes),
    mode: inode.mode,
    nlink: inode.nlink,
    data: chooseData(placed, firstBlock),
    ino: inode.ino,
    uid: stat.uid,
    gid: stat.gid,
  };
  const after = placed.extended
    ? InodeExtended.write(image, placed.offset, {
        ...common,
        size: placed.size,
        mtime: stat.mtimeSec,
        mtimeNsec: stat.mtimeNsec,
      })
    : InodeCompact.write(image, placed.offset, { ...common, size: placed.size });
  const tail = writeXattrs(image, after, inode.pairs);
  writeData(image, placed, tail, { nids, blockOffset: firstBlock * BLOCK_BYTES });
}

function isExternal(inode: Inode): boolean {
  const { node } = inode;
  return node.kind === "file" && node.size > 0 && node.content.kind === "external";
}

function chooseLayout(placed: Placed): number {
  if (isExternal(placed.inode)) return LAYOUT_CHUNK;
  return placed.tailBytes > 0 ? LAYOUT_INLINE : LAYOUT_PLAIN;
}

/** The field that means something else for each type. */
function chooseData(placed: Placed, firstBlock: number): number {
  const { inode } = placed;
  if (isExternal(inode)) return chunkBits(placed.size) - MIN_CHUNK_BITS;
  if (placed.blocks > 0) return firstBlock;
  const { node } = inode;
  return inode.role === "plain" && (node.kind === "char" || node.kind === "block") ? node.rdev : 0;
}

interface DataPlace {
  readonly nids: readonly number[];
  /** Of the inode's own blocks. */
  readonly blockOffset: number;
}

function writeData(image: Buffer, placed: Placed, tail: number, place: DataPlace): void {
  const { inode } = placed;
  const { node } = inode;
  if (inode.entries !== undefined) writeDirectory(image, inode.entries, placed, tail, place);
  else if (node.kind === "symlink") image.write(node.target, placed.blocks > 0 ? place.blockOffset : tail, "latin1");
  else if (isExternal(inode)) {
    for (let at = tail; at < tail + placed.tailBytes; at += 4) image.writeUInt32LE(NULL_CHUNK, at);
  } else if (node.kind === "file" && node.content.kind === "inline" && node.size > 0) {
    const { bytes } = node.content;
    const inBlocks = bytes.length - placed.tailBytes;
    image.set(bytes.subarray(0, inBlocks), place.blockOffset);
    image.set(bytes.subarray(inBlocks), tail);
  }
}

/** Entries are packed block by block; what is left goes behind the inode when it has a tail. */
function writeDirectory(image: Buffer, entries: Entries, placed: Placed, tail: number, place: DataPlace): void {
  const { names } = entries;
  let block = 0;
  for (let start = 0; start < names.length; block++) {
    let end = start;
    let nameOffset = 0;
    for (let filled = 0; end < names.length; end++) {
      filled += DirectoryEntry.sizeBytes + (names[end] ?? "").length;
      if (filled > BLOCK_BYTES) break;
      nameOffset += DirectoryEntry.sizeBytes;
    }
    const base = block < placed.blocks ? place.blockOffset + block * BLOCK_BYTES : tail;
    let at = base;
    for (; start < end; start++) {
      const target = entries.targets[start];
      if (target === undefined) throw new TypeError("a directory entry has no target");
      at = DirectoryEntry.write(image, at, { nid: place.nids[target.ino] ?? 0, nameOffset, fileType: target.fileType });
      nameOffset += image.write(names[start] ?? "", base + nameOffset, "latin1");
    }
  }
}
