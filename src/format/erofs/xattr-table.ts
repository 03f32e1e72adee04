/**
 * XattrTable: every (name, value) pair of an image once, with the number of inodes that have it. Pairs of more than one inode
 * go to the shared area and get an id; the others stand beside their inode.
 */
import { usualPayload, type Xattrs } from "../../tree/node.ts";
import { alignUp, BLOCK_BYTES, XattrEntry, XattrHeader, XATTR_PREFIXES } from "./layout.ts";
import { ESCAPED_PREFIX, METACOPY, OVERLAY_PREFIX, REDIRECT } from "./overlay.ts";
import { xxh32 } from "./xxh32.ts";

/** More stand beside the inode although others have them too. */
const MAX_SHARED_IDS = 128;
const FILTER_SEED = 0x25bbe08f;

interface Name {
  /** All of it, latin1. */
  readonly full: string;
  readonly index: number;
  readonly suffix: string;
  /** The bit of the name filter that it clears. */
  readonly filterBit: number;
}

/** A value that follows from an object's digest is kept as its hex text only: most files have two of them. */
export interface Pair {
  readonly name: Name;
  readonly form: "bytes" | "metacopy" | "redirect";
  /** Of the value: latin1 bytes, or the digest. */
  readonly text: string;
  readonly valueBytes: number;
  /** Bytes in the image, padded to 4. */
  readonly entryBytes: number;
  /** Inodes that have it. */
  uses: number;
  /** In the shared area; undefined beside the inode. */
  sharedId: number | undefined;
}

export interface XattrTable {
  pair(name: string, value: string): Pair;
  /** The escaped pairs of a tree's node, sorted by name; the same array for the same map. */
  escaped(xattrs: Xattrs): readonly Pair[];
  /** What leads to the object behind a file: its digest and its path below the objects directory, each if there is one. */
  external(objectId: string | undefined, payload: string | undefined): readonly Pair[];
  hasName(full: string): boolean;
  /** Once all uses are counted: the shared pairs in the order of the image, with their ids for an area at `offset`. */
  share(offset: number): readonly Pair[];
}

export function createXattrTable(): XattrTable {
  const names = new Map<string, { readonly name: Name; readonly pairs: Map<string, Pair> }>();
  const usual = new Map<string, readonly [metacopy: Pair, redirect: Pair]>();
  const known = new Map<Xattrs, readonly Pair[]>();
  const named = (full: string): { readonly name: Name; readonly pairs: Map<string, Pair> } => {
    let entry = names.get(full);
    if (entry === undefined) names.set(full, (entry = { name: splitName(full), pairs: new Map() }));
    return entry;
  };
  const pair = (full: string, text: string): Pair => {
    const { name, pairs } = named(full);
    let entry = pairs.get(text);
    if (entry === undefined) pairs.set(text, (entry = createPair(name, "bytes", text, text.length)));
    return entry;
  };
  const ofObject = (objectId: string): readonly [metacopy: Pair, redirect: Pair] => {
    let entry = usual.get(objectId);
    if (entry === undefined) {
      entry = [
        createPair(named(METACOPY).name, "metacopy", objectId, METACOPY_HEAD_BYTES + objectId.length / 2),
        createPair(named(REDIRECT).name, "redirect", objectId, objectId.length + 2),
      ];
      usual.set(objectId, entry);
    }
    return entry;
  };
  return {
    pair,
    escaped(xattrs) {
      let pairs = known.get(xattrs);
      if (pairs === undefined) {
        pairs = [...xattrs].map(([name, value]) => pair(escapeName(name), latin1(value))).sort(comparePairs);
        known.set(xattrs, pairs);
      }
      return pairs;
    },
    external(objectId, payload) {
      if (objectId !== undefined && payload === undefined) return ofObject(objectId);
      const metacopy = objectId === undefined ? pair(METACOPY, "") : ofObject(objectId)[0];
      if (payload === undefined || payload === "") return [metacopy];
      const other = USUAL_PAYLOAD.exec(payload);
      return [metacopy, other === null ? pair(REDIRECT, `/${payload}`) : ofObject(`${other[1]}${other[2]}`)[1]];
    },
    hasName: (full) => names.has(full),
    share(offset) {
      const shared: Pair[] = [];
      const collect = (entry: Pair): void => {
        if (entry.uses > 1) shared.push(entry);
      };
      for (const { pairs } of names.values()) pairs.forEach(collect);
      for (const pairs of usual.values()) pairs.forEach(collect);
      let at = offset % BLOCK_BYTES;
      const sorted = shared.map((entry) => ({ entry, bytes: valueOf(entry) })).sort(compareShared);
      return sorted.map(({ entry }) => {
        entry.sharedId = at / 4;
        at += entry.entryBytes;
        return entry;
      });
    },
  };
}

const USUAL_PAYLOAD = /^([0-9a-f]{2})\/((?:[0-9a-f]{62})|(?:[0-9a-f]{126}))$/;
/** 00, length, 00, algorithm of fs-verity; the digest follows. */
const METACOPY_HEAD_BYTES = 4;

function createPair(name: Name, form: Pair["form"], text: string, valueBytes: number): Pair {
  if (valueBytes > 0xffff) throw new RangeError(`Cannot write xattr "${name.full}": its value has ${valueBytes} bytes`);
  const entryBytes = alignUp(XattrEntry.sizeBytes + name.suffix.length + valueBytes, 4);
  return { name, form, text, valueBytes, entryBytes, uses: 0, sharedId: undefined };
}

/** Bytes of an inode's xattrs, header included; 0 for none. */
export function xattrBytes(pairs: readonly Pair[]): number {
  if (pairs.length === 0) return 0;
  let size = XattrHeader.sizeBytes;
  let shared = 0;
  for (const pair of pairs) {
    if (pair.uses > 1 && shared < MAX_SHARED_IDS) {
      shared += 1;
      size += 4;
    } else size += pair.entryBytes;
  }
  return size;
}

/** `i_xattr_icount`. */
export function xattrCount(sizeBytes: number): number {
  return sizeBytes === 0 ? 0 : (sizeBytes - XattrHeader.sizeBytes) / 4 + 1;
}

/** Returns the offset after them. By hand, not by XattrHeader and XattrEntry: every inode has them, see write.ts. */
export function writeXattrs(bytes: Buffer, offset: number, pairs: readonly Pair[]): number {
  if (pairs.length === 0) return offset;
  let nameFilter = 0xffffffff;
  let idsAt = offset + XattrHeader.sizeBytes;
  let sharedCount = 0;
  for (const pair of pairs) {
    nameFilter &= ~(1 << pair.name.filterBit);
    if (pair.sharedId === undefined || sharedCount === MAX_SHARED_IDS) continue;
    idsAt = bytes.writeUInt32LE(pair.sharedId, idsAt);
    sharedCount += 1;
  }
  bytes.writeUInt32LE(nameFilter >>> 0, offset + XattrHeader.offsets.nameFilter);
  bytes[offset + XattrHeader.offsets.sharedCount] = sharedCount;
  let at = idsAt;
  let sharedSeen = 0;
  for (const pair of pairs) {
    if (pair.sharedId !== undefined && sharedSeen < MAX_SHARED_IDS) sharedSeen += 1;
    else at = writeEntry(bytes, at, pair);
  }
  return at;
}

export function writeEntry(bytes: Buffer, offset: number, pair: Pair): number {
  const { name } = pair;
  const { offsets } = XattrEntry;
  bytes[offset + offsets.nameLength] = name.suffix.length;
  bytes[offset + offsets.nameIndex] = name.index;
  bytes.writeUInt16LE(pair.valueBytes, offset + offsets.valueLength);
  const at = offset + XattrEntry.sizeBytes;
  writeValue(bytes, at + bytes.write(name.suffix, at, "latin1"), pair);
  return offset + pair.entryBytes;
}

function writeValue(bytes: Buffer, at: number, { form, text, valueBytes }: Pair): void {
  switch (form) {
    case "bytes":
      bytes.write(text, at, "latin1");
      return;
    case "metacopy":
      bytes[at + 1] = valueBytes;
      bytes[at + 3] = text.length === 64 ? 1 : 2;
      if (bytes.write(text, at + METACOPY_HEAD_BYTES, "hex") * 2 !== text.length) {
        throw new RangeError(`Cannot write digest "${text}": it is not hexadecimal`);
      }
      return;
    case "redirect":
      bytes.write(`/${usualPayload(text)}`, at, "latin1");
      return;
  }
}

function valueOf(pair: Pair): Buffer {
  const bytes = Buffer.alloc(pair.valueBytes);
  writeValue(bytes, 0, pair);
  return bytes;
}

export function comparePairs(left: Pair, right: Pair): number {
  return left.name.full < right.name.full ? -1 : 1;
}

interface SharedPair {
  readonly entry: Pair;
  readonly bytes: Buffer;
}

/** Descending by name, length and bytes. */
function compareShared(left: SharedPair, right: SharedPair): number {
  if (left.entry.name !== right.entry.name) return comparePairs(right.entry, left.entry);
  if (left.bytes.length !== right.bytes.length) return right.bytes.length - left.bytes.length;
  return Buffer.compare(right.bytes, left.bytes);
}

function escapeName(name: string): string {
  return name.startsWith(OVERLAY_PREFIX) ? ESCAPED_PREFIX + name.slice(OVERLAY_PREFIX.length) : name;
}

function splitName(full: string): Name {
  const prefix = XATTR_PREFIXES.find(([text]) => full.startsWith(text));
  const [text, index] = prefix ?? ["", 0];
  const suffix = full.slice(text.length);
  if (full === "" || suffix.length > 255)
    throw new RangeError(`Cannot write xattr "${full}": its name has ${full.length} bytes`);
  const hash = xxh32(Buffer.from(suffix, "latin1"), FILTER_SEED + index);
  return { full, index, suffix, filterBit: hash & 31 };
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
