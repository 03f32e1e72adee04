/**
 * writeErofs(): a tree as the EROFS image that mkcomposefs 1.0.8 (formats 0 and 1) and composefs-rs 0.9 (format 1) write, byte
 * for byte. Format 1 is the one whose fs-verity digest names a deployment.
 *
 * @see composefs libcomposefs, "Image format"
 */
import type { DigestAlgorithm } from "../../core/digest.ts";
import { writeInt53LE } from "../../core/struct.ts";
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

/**
 * Inodes and directory entries are written field by field, not by their struct: an image has tens of thousands of them, and this
 * is four times as fast. The image is zero before, so reserved bytes are left out; the methods throw RangeError for what does not fit.
 */
function writeInode(image: Buffer, placed: Placed, nids: readonly number[], firstBlock: number): void {
  const after = placed.extended ? writeExtended(image, placed, firstBlock) : writeCompact(image, placed, firstBlock);
  const tail = writeXattrs(image, after, placed.inode.pairs);
  writeData(image, placed, nids, { tail, blocks: firstBlock * BLOCK_BYTES });
}

/** Returns the offset after it. */
function writeCompact(image: Buffer, placed: Placed, firstBlock: number): number {
  const { inode, offset } = placed;
  const { stat } = inode.node;
  const { offsets } = InodeCompact;
  image.writeUInt16LE(chooseLayout(placed) << 1, offset + offsets.format);
  image.writeUInt16LE(xattrCount(placed.xattrBytes), offset + offsets.xattrCount);
  image.writeUInt16LE(inode.mode, offset + offsets.mode);
  image.writeUInt16LE(inode.nlink, offset + offsets.nlink);
  image.writeUInt32LE(placed.size, offset + offsets.size);
  image.writeUInt32LE(chooseData(placed, firstBlock), offset + offsets.data);
  image.writeUInt32LE(inode.ino, offset + offsets.ino);
  image.writeUInt16LE(stat.uid, offset + offsets.uid);
  image.writeUInt16LE(stat.gid, offset + offsets.gid);
  return offset + InodeCompact.sizeBytes;
}

/** Returns the offset after it. */
function writeExtended(image: Buffer, placed: Placed, firstBlock: number): number {
  const { inode, offset } = placed;
  const { stat } = inode.node;
  const { offsets } = InodeExtended;
  image.writeUInt16LE((chooseLayout(placed) << 1) | 1, offset + offsets.format);
  image.writeUInt16LE(xattrCount(placed.xattrBytes), offset + offsets.xattrCount);
  image.writeUInt16LE(inode.mode, offset + offsets.mode);
  writeInt53LE(image, placed.size, offset + offsets.size);
  image.writeUInt32LE(chooseData(placed, firstBlock), offset + offsets.data);
  image.writeUInt32LE(inode.ino, offset + offsets.ino);
  image.writeUInt32LE(stat.uid, offset + offsets.uid);
  image.writeUInt32LE(stat.gid, offset + offsets.gid);
  writeInt53LE(image, stat.mtimeSec, offset + offsets.mtime);
  image.writeUInt32LE(stat.mtimeNsec, offset + offsets.mtimeNsec);
  image.writeUInt32LE(inode.nlink, offset + offsets.nlink);
  return offset + InodeExtended.sizeBytes;
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
  readonly tail: number;
  /** Of the inode's own blocks. */
  readonly blocks: number;
}

function writeData(image: Buffer, placed: Placed, nids: readonly number[], place: DataPlace): void {
  const { inode } = placed;
  const { node } = inode;
  const { tail } = place;
  if (inode.entries !== undefined) writeDirectory(image, inode.entries, placed, nids, place);
  else if (node.kind === "symlink") image.write(node.target, placed.blocks > 0 ? place.blocks : tail, "latin1");
  else if (isExternal(inode)) {
    for (let at = tail; at < tail + placed.tailBytes; at += 4) image.writeUInt32LE(NULL_CHUNK, at);
  } else if (node.kind === "file" && node.content.kind === "inline" && node.size > 0) {
    const { bytes } = node.content;
    const inBlocks = bytes.length - placed.tailBytes;
    image.set(bytes.subarray(0, inBlocks), place.blocks);
    image.set(bytes.subarray(inBlocks), tail);
  }
}

/** Entries are packed block by block; what is left goes behind the inode when it has a tail. */
function writeDirectory(
  image: Buffer,
  entries: Entries,
  placed: Placed,
  nids: readonly number[],
  place: DataPlace,
): void {
  const { names } = entries;
  const { offsets } = DirectoryEntry;
  let block = 0;
  for (let start = 0; start < names.length; block++) {
    let end = start;
    let nameOffset = 0;
    for (let filled = 0; end < names.length; end++) {
      filled += DirectoryEntry.sizeBytes + (names[end] ?? "").length;
      if (filled > BLOCK_BYTES) break;
      nameOffset += DirectoryEntry.sizeBytes;
    }
    const base = block < placed.blocks ? place.blocks + block * BLOCK_BYTES : place.tail;
    let at = base;
    for (; start < end; start++) {
      const target = entries.targets[start];
      if (target === undefined) throw new TypeError("a directory entry has no target");
      writeInt53LE(image, nids[target.ino] ?? 0, at + offsets.nid);
      image.writeUInt16LE(nameOffset, at + offsets.nameOffset);
      image[at + offsets.fileType] = target.fileType;
      at += DirectoryEntry.sizeBytes;
      nameOffset += image.write(names[start] ?? "", base + nameOffset, "latin1");
    }
  }
}
