/**
 * Image: an EROFS image opened for reading. Nothing in it is trusted: every offset and length is checked against the image, and
 * all that is read counts against one budget of the image's own size, so that overlapping records cannot make work or memory grow
 * beyond it. Whatever the bytes, only SyntaxError and RangeError are thrown.
 */
import { kindOfMode, type NodeKind, PERMISSION_MASK } from "../../tree/mode.ts";
import {
  BLOCK_BYTES,
  COMPAT_MTIME,
  COMPAT_XATTR_FILTER,
  COMPOSEFS_MAGIC,
  ComposefsHeader,
  EROFS_MAGIC,
  FLAG_HAS_ACL,
  InodeCompact,
  InodeExtended,
  LAYOUT_CHUNK,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  SLOT_BYTES,
  SUPERBLOCK_OFFSET,
  Superblock,
} from "./layout.ts";

export interface Image {
  readonly bytes: Buffer;
  readonly rootNid: number;
  readonly buildTimeSec: number;
  readonly buildTimeNsec: number;
  /** Where shared xattr ids count from. */
  readonly xattrOffset: number;
  /** Takes `count` bytes from the budget. Throws RangeError when the image claims more than it has. */
  spend(count: number, what: string): void;
}

export interface RawInode {
  readonly nid: number;
  readonly kind: NodeKind;
  /** 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly nlink: number;
  readonly size: number;
  readonly ino: number;
  readonly layout: number;
  /** Block number, device or chunk format. */
  readonly data: number;
  readonly xattrOffset: number;
  readonly xattrBytes: number;
  /** Where the tail starts. */
  readonly tailOffset: number;
}

/** Format 2 of early composefs-rs has neither stubs nor escapes. */
const NEWEST_VERSION = 1;

export function openImage(source: Uint8Array): Image {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.length);
  if (bytes.length < BLOCK_BYTES || bytes.readUInt32LE(0) !== COMPOSEFS_MAGIC) {
    throw new SyntaxError("Cannot read image: it is no composefs image");
  }
  const header = ComposefsHeader.read(bytes, 0);
  if (header.version !== 1) throw new SyntaxError(`Cannot read image: unknown header version ${header.version}`);
  if (header.composefsVersion > NEWEST_VERSION) {
    throw new SyntaxError(`Cannot read image: its format is ${header.composefsVersion}, wanted 0 or 1`);
  }
  if ((header.flags & ~FLAG_HAS_ACL) !== 0) throw new SyntaxError(`Cannot read image: unknown flags ${header.flags}`);
  const superblock = Superblock.read(bytes, SUPERBLOCK_OFFSET);
  if (superblock.magic !== EROFS_MAGIC) throw new SyntaxError("Cannot read image: it has no EROFS superblock");
  if (
    superblock.blockBits !== Math.log2(BLOCK_BYTES) ||
    superblock.extensionSlots !== 0 ||
    superblock.checksum !== 0 ||
    superblock.metaBlock !== 0 ||
    (superblock.featureCompat & ~(COMPAT_MTIME | COMPAT_XATTR_FILTER)) !== 0
  ) {
    throw new SyntaxError(`Cannot read image: its superblock is not one of composefs (${Superblock.dump(superblock)})`);
  }
  if (superblock.blocks * BLOCK_BYTES !== bytes.length) {
    throw new SyntaxError(
      `Cannot read image: it has ${bytes.length} bytes, its superblock says ${superblock.blocks} blocks`,
    );
  }
  let budget = bytes.length;
  return {
    bytes,
    rootNid: superblock.rootNid,
    buildTimeSec: superblock.buildTime,
    buildTimeNsec: superblock.buildTimeNsec,
    xattrOffset: superblock.xattrBlock * BLOCK_BYTES,
    spend(count, what) {
      budget -= count;
      if (budget < 0) throw new RangeError(`Cannot read image: ${what} claims more than the image holds`);
    },
  };
}

export function readInode(image: Image, nid: number): RawInode {
  const offset = nid * SLOT_BYTES;
  if (!Number.isSafeInteger(offset) || offset + SLOT_BYTES > image.bytes.length) {
    throw new RangeError(`Cannot read inode ${nid}: it lies past the end of the image`);
  }
  const isExtended = (image.bytes.readUInt16LE(offset) & 1) === 1;
  const extended = isExtended ? InodeExtended.read(image.bytes, offset) : undefined;
  const raw = extended ?? InodeCompact.read(image.bytes, offset);
  const kind = kindOfMode(raw.mode);
  if (kind === undefined)
    throw new SyntaxError(`Cannot read inode ${nid}: mode ${raw.mode.toString(8)} has no file type`);
  const layout = raw.format >> 1;
  if (layout !== LAYOUT_PLAIN && layout !== LAYOUT_INLINE && layout !== LAYOUT_CHUNK) {
    throw new SyntaxError(`Cannot read inode ${nid}: unknown data layout ${layout}`);
  }
  const xattrOffset = offset + (isExtended ? InodeExtended.sizeBytes : InodeCompact.sizeBytes);
  const xattrBytes = raw.xattrCount === 0 ? 0 : 12 + (raw.xattrCount - 1) * 4;
  const inode = {
    nid,
    kind,
    mode: raw.mode & PERMISSION_MASK,
    uid: raw.uid,
    gid: raw.gid,
    mtimeSec: extended === undefined ? image.buildTimeSec : extended.mtime,
    mtimeNsec: extended?.mtimeNsec ?? image.buildTimeNsec,
    nlink: raw.nlink,
    size: raw.size,
    ino: raw.ino,
    layout,
    data: raw.data,
    xattrOffset,
    xattrBytes,
    tailOffset: xattrOffset + xattrBytes,
  };
  if (inode.tailOffset > image.bytes.length)
    throw new RangeError(`Cannot read inode ${nid}: its xattrs end past the image`);
  image.spend(inode.tailOffset - offset, `inode ${nid}`);
  return inode;
}

/** The bytes of a directory, symlink or inline file in pieces of at most one block, the tail last; views into the image. */
export function readPieces(image: Image, inode: RawInode): Buffer[] {
  const { nid, size, layout } = inode;
  if (layout === LAYOUT_CHUNK) throw new SyntaxError(`Cannot read inode ${nid}: a ${inode.kind} cannot be chunk based`);
  image.spend(size, `inode ${nid}`);
  const pieces: Buffer[] = [];
  const tailBytes = layout === LAYOUT_INLINE ? size % BLOCK_BYTES : 0;
  const blockBytes = size - tailBytes;
  for (let done = 0; done < blockBytes; done += BLOCK_BYTES) {
    const start = inode.data * BLOCK_BYTES + done;
    pieces.push(piece(image, nid, start, Math.min(BLOCK_BYTES, blockBytes - done)));
  }
  if (tailBytes > 0) pieces.push(piece(image, nid, inode.tailOffset, tailBytes));
  return pieces;
}

function piece(image: Image, nid: number, start: number, length: number): Buffer {
  if (start + length > image.bytes.length)
    throw new RangeError(`Cannot read inode ${nid}: its data end past the image`);
  return image.bytes.subarray(start, start + length);
}
