/** createXattrReader(): the xattrs of an image's inodes, latin1 names to values that are views into the image. */
import type { Image, RawInode } from "./image.ts";
import { alignUp, XattrEntry, XattrHeader, XATTR_PREFIXES } from "./layout.ts";

export interface XattrReader {
  /** Throws SyntaxError for a name that comes twice. */
  read(inode: RawInode): Map<string, Uint8Array>;
}

interface Entry {
  readonly name: string;
  readonly value: Uint8Array;
  /** Offset after it and its padding. */
  readonly end: number;
}

export function createXattrReader(image: Image): XattrReader {
  const shared = new Map<number, Entry>();
  const readShared = (id: number): Entry => {
    let entry = shared.get(id);
    if (entry === undefined) {
      entry = readEntry(image, image.xattrOffset + id * 4, image.bytes.length);
      image.spend(entry.end - (image.xattrOffset + id * 4), "the shared xattrs");
      shared.set(id, entry);
    }
    return entry;
  };
  return {
    read(inode) {
      const xattrs = new Map<string, Uint8Array>();
      if (inode.xattrBytes === 0) return xattrs;
      const add = ({ name, value }: Entry): void => {
        if (xattrs.has(name)) throw new SyntaxError(`Cannot read inode ${inode.nid}: xattr "${name}" comes twice`);
        xattrs.set(name, value);
      };
      const end = inode.xattrOffset + inode.xattrBytes;
      const { sharedCount } = XattrHeader.read(image.bytes, inode.xattrOffset);
      let at = inode.xattrOffset + XattrHeader.sizeBytes;
      if (at + sharedCount * 4 > end) {
        throw new RangeError(
          `Cannot read inode ${inode.nid}: ${sharedCount} shared xattr ids do not fit in ${inode.xattrBytes} bytes`,
        );
      }
      for (let index = 0; index < sharedCount; index++, at += 4) add(readShared(image.bytes.readUInt32LE(at)));
      while (at < end) {
        const entry = readEntry(image, at, end);
        add(entry);
        at = entry.end;
      }
      return xattrs;
    },
  };
}

function readEntry(image: Image, offset: number, limit: number): Entry {
  if (offset + XattrEntry.sizeBytes > limit)
    throw new RangeError(`Cannot read xattr at ${offset}: it ends past ${limit}`);
  const { nameLength, nameIndex, valueLength } = XattrEntry.read(image.bytes, offset);
  const nameAt = offset + XattrEntry.sizeBytes;
  const valueAt = nameAt + nameLength;
  const end = alignUp(valueAt + valueLength, 4);
  if (end > limit) throw new RangeError(`Cannot read xattr at ${offset}: it ends past ${limit}`);
  const prefix = nameIndex === 0 ? "" : XATTR_PREFIXES.find(([, index]) => index === nameIndex)?.[0];
  if (prefix === undefined) throw new SyntaxError(`Cannot read xattr at ${offset}: unknown name index ${nameIndex}`);
  const name = prefix + image.bytes.toString("latin1", nameAt, valueAt);
  if (name === "" || name.includes("\0"))
    throw new SyntaxError(`Cannot read xattr at ${offset}: its name is empty or has a NUL byte`);
  return { name, value: image.bytes.subarray(valueAt, valueAt + valueLength), end };
}
