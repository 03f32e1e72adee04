/**
 * placeInodes(): where each inode of an image stands, in which form, and how its data are split between the inode's tail and
 * whole blocks. An inline tail never crosses a block; all of a symlink's inode lies in one (kernels before 6.12 need that).
 */
import type { Inode } from "./inodes.ts";
import { pathOf } from "./inodes.ts";
import {
  alignUp,
  BLOCK_BYTES,
  chunkBits,
  ComposefsHeader,
  DirectoryEntry,
  InodeCompact,
  InodeExtended,
  MAX_CHUNKS,
  SLOT_BYTES,
  SUPERBLOCK_OFFSET,
  Superblock,
} from "./layout.ts";
import { xattrBytes } from "./xattr-table.ts";

export interface Placed {
  readonly inode: Inode;
  /** Of the inode in the image, bytes. */
  readonly offset: number;
  readonly extended: boolean;
  readonly xattrBytes: number;
  /** i_size. */
  readonly size: number;
  /** Bytes after the xattrs. */
  readonly tailBytes: number;
  readonly blocks: number;
  /** Index of its first block among the data blocks of the image. */
  readonly firstBlock: number;
}

export interface Placement {
  readonly placed: readonly Placed[];
  /** Where the shared xattrs start. */
  readonly inodesEnd: number;
  readonly blocks: number;
  readonly buildTime: Time;
}

export interface Time {
  readonly sec: number;
  readonly nsec: number;
}

const FIRST_INODE_OFFSET = SUPERBLOCK_OFFSET + Superblock.sizeBytes;
const MAX_TAIL_BYTES = BLOCK_BYTES / 2;

/** `uses` of all pairs must be final. Throws RangeError for what an image cannot hold. */
export function placeInodes(inodes: readonly Inode[]): Placement {
  const buildTime = oldestTime(inodes);
  const placed: Placed[] = [];
  let offset: number = Math.max(FIRST_INODE_OFFSET, ComposefsHeader.sizeBytes);
  let blocks = 0;
  for (const inode of inodes) {
    const demand = measure(inode);
    const extended = needsExtended(inode, demand, buildTime);
    const xattrs = xattrBytes(inode.pairs);
    const metaBytes = (extended ? InodeExtended.sizeBytes : InodeCompact.sizeBytes) + xattrs;
    const place =
      inode.node.kind === "symlink" ? placeSymlink(offset, metaBytes, demand) : placeOther(offset, metaBytes, demand);
    placed.push({
      inode,
      offset: place.offset,
      extended,
      xattrBytes: xattrs,
      size: demand.size,
      tailBytes: place.tailBytes,
      blocks: place.blocks,
      firstBlock: blocks,
    });
    offset = place.offset + metaBytes + place.tailBytes;
    blocks += place.blocks;
  }
  return { placed, inodesEnd: alignUp(offset, SLOT_BYTES), blocks, buildTime };
}

interface Demand {
  readonly size: number;
  readonly blocks: number;
  readonly tailBytes: number;
}

/** How the data would be split if the tail may stand anywhere. */
function measure(inode: Inode): Demand {
  const { node } = inode;
  if (inode.entries !== undefined) {
    const { blocks, tailBytes } = settleTail(measureDirectory(inode.entries.names));
    return { size: blocks * BLOCK_BYTES + tailBytes, blocks, tailBytes };
  }
  if (node.kind === "symlink") return { size: node.target.length, blocks: 0, tailBytes: node.target.length };
  if (node.kind !== "file" || node.size === 0) return { size: 0, blocks: 0, tailBytes: 0 };
  const { size } = node;
  if (node.content.kind === "inline") {
    return { size, ...settleTail({ blocks: Math.floor(size / BLOCK_BYTES), tailBytes: size % BLOCK_BYTES }) };
  }
  const chunks = Math.ceil(size / 2 ** chunkBits(size));
  if (chunks > MAX_CHUNKS)
    throw new RangeError(`Cannot write "${pathOf(inode)}": ${size} bytes are too many for an image`);
  return { size, blocks: 0, tailBytes: chunks * 4 };
}

interface Split {
  readonly blocks: number;
  readonly tailBytes: number;
}

/** A long tail is a block of its own. */
function settleTail({ blocks, tailBytes }: Split): Split {
  return tailBytes > MAX_TAIL_BYTES ? { blocks: blocks + 1, tailBytes: 0 } : { blocks, tailBytes };
}

function measureDirectory(names: readonly string[]): Split {
  let blocks = 0;
  let filled = 0;
  for (const name of names) {
    const entryBytes = DirectoryEntry.sizeBytes + name.length;
    if (filled + entryBytes > BLOCK_BYTES) {
      blocks += 1;
      filled = 0;
    }
    filled += entryBytes;
  }
  return { blocks, tailBytes: filled };
}

interface Place extends Split {
  readonly offset: number;
}

function placeSymlink(after: number, metaBytes: number, { blocks, tailBytes }: Demand): Place {
  const offset = alignUp(after, SLOT_BYTES);
  const last = offset + metaBytes + tailBytes - 1;
  const crosses = Math.floor(offset / BLOCK_BYTES) !== Math.floor(last / BLOCK_BYTES);
  const at = crosses ? alignUp(offset, BLOCK_BYTES) : offset;
  if (metaBytes + tailBytes >= BLOCK_BYTES) return { offset: at, blocks: blocks + 1, tailBytes: 0 };
  return { offset: at, blocks, tailBytes };
}

function placeOther(after: number, metaBytes: number, { blocks, tailBytes }: Demand): Place {
  const offset = alignUp(after, SLOT_BYTES);
  const room = BLOCK_BYTES - ((offset + metaBytes) % BLOCK_BYTES);
  if (room >= tailBytes) return { offset, blocks, tailBytes };
  // Slots that would end before the next block are skipped, so that the tail starts just behind its border.
  return { offset: offset + alignUp(room, SLOT_BYTES), blocks, tailBytes };
}

function needsExtended(inode: Inode, demand: Demand, buildTime: Time): boolean {
  const { stat } = inode.node;
  const isOld = stat.mtimeSec === buildTime.sec && stat.mtimeNsec === buildTime.nsec;
  return (
    !isOld || inode.nlink > 0xffff || stat.uid > 0xffff || stat.gid > 0xffff || statedSize(inode, demand) > 0xffffffff
  );
}

/** Devices and pipes have no bytes, but the size that their dump line states counts. */
function statedSize(inode: Inode, demand: Demand): number {
  const { node } = inode;
  if (inode.role === "whiteout" || node.kind === "directory" || node.kind === "symlink" || node.kind === "file")
    return demand.size;
  return node.size ?? 0;
}

function oldestTime(inodes: readonly Inode[]): Time {
  let sec = Number.POSITIVE_INFINITY;
  let nsec = 0;
  for (const { node } of inodes) {
    const { mtimeSec, mtimeNsec } = node.stat;
    if (mtimeSec < sec || (mtimeSec === sec && mtimeNsec < nsec)) {
      sec = mtimeSec;
      nsec = mtimeNsec;
    }
  }
  return { sec, nsec };
}
