/**
 * XattrTable: every (name, value) pair of an image once, with the number of inodes that have it. Pairs of more than one inode
 * go to the shared area and get an id; the others stand beside their inode.
 */
import type { Xattrs } from "../../tree/node.ts";
import { alignUp, BLOCK_BYTES, LUSTRE_INDEX, XattrEntry, XattrHeader, XATTR_PREFIXES } from "./layout.ts";
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

export interface Pair {
  readonly name: Name;
  /** Latin1. */
  readonly value: string;
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
  /** Digest of the object behind a file; `undefined` when it is not known. */
  metacopy(objectId: string | undefined): Pair;
  redirect(payload: string): Pair;
  hasName(full: string): boolean;
  /** Once all uses are counted: the shared pairs in the order of the image, with their ids for an area at `offset`. */
  share(offset: number): readonly Pair[];
  /** Which pairs are shared can be asked before their ids are known. */
  isShared(pair: Pair): boolean;
}

export function createXattrTable(): XattrTable {
  const names = new Map<string, { readonly name: Name; readonly pairs: Map<string, Pair> }>();
  const metacopies = new Map<string, Pair>();
  const redirects = new Map<string, Pair>();
  const known = new Map<Xattrs, readonly Pair[]>();
  const create = (name: Name, value: string): Pair => {
    if (value.length > 0xffff) throw new RangeError(`Cannot write xattr "${name.full}": its value has ${value.length} bytes`);
    const entryBytes = alignUp(XattrEntry.sizeBytes + name.suffix.length + value.length, 4);
    return { name, value, entryBytes, uses: 0, sharedId: undefined };
  };
  const named = (full: string): { readonly name: Name; readonly pairs: Map<string, Pair> } => {
    let entry = names.get(full);
    if (entry === undefined) names.set(full, (entry = { name: splitName(full), pairs: new Map() }));
    return entry;
  };
  const pair = (full: string, value: string): Pair => {
    const { name, pairs } = named(full);
    let entry = pairs.get(value);
    if (entry === undefined) pairs.set(value, (entry = create(name, value)));
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
    metacopy(objectId = "") {
      let entry = metacopies.get(objectId);
      if (entry === undefined) metacopies.set(objectId, (entry = create(named(METACOPY).name, metacopyValue(objectId))));
      return entry;
    },
    redirect(payload) {
      let entry = redirects.get(payload);
      if (entry === undefined) redirects.set(payload, (entry = create(named(REDIRECT).name, `/${payload}`)));
      return entry;
    },
    hasName: (full) => names.has(full),
    isShared: (entry) => entry.uses > 1,
    share(offset) {
      const shared: Pair[] = [];
      const collect = (entry: Pair): void => {
        if (entry.uses > 1) shared.push(entry);
      };
      for (const { pairs } of names.values()) pairs.forEach(collect);
      metacopies.forEach(collect);
      redirects.forEach(collect);
      shared.sort((left, right) => -compareShared(left, right));
      let at = offset % BLOCK_BYTES;
      for (const entry of shared) {
        entry.sharedId = at / 4;
        at += entry.entryBytes;
      }
      return shared;
    },
  };
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

/** Returns the offset after them. */
export function writeXattrs(bytes: Buffer, offset: number, pairs: readonly Pair[]): number {
  if (pairs.length === 0) return offset;
  const shared = pairs.filter((pair) => pair.uses > 1).slice(0, MAX_SHARED_IDS);
  let nameFilter = 0xffffffff;
  for (const pair of pairs) nameFilter &= ~(1 << pair.name.filterBit);
  let at = XattrHeader.write(bytes, offset, { nameFilter: nameFilter >>> 0, sharedCount: shared.length });
  for (const pair of shared) at = bytes.writeUInt32LE(pair.sharedId ?? 0, at);
  let sharedSeen = 0;
  for (const pair of pairs) {
    if (pair.uses > 1 && sharedSeen < MAX_SHARED_IDS) sharedSeen += 1;
    else at = writeEntry(bytes, at, pair);
  }
  return at;
}

export function writeEntry(bytes: Buffer, offset: number, pair: Pair): number {
  const { name, value } = pair;
  let at = XattrEntry.write(bytes, offset, {
    nameLength: name.suffix.length,
    nameIndex: name.index,
    valueLength: value.length,
  });
  at += bytes.write(name.suffix, at, "latin1");
  bytes.write(value, at, "latin1");
  return offset + pair.entryBytes;
}

export function comparePairs(left: Pair, right: Pair): number {
  return left.name.full < right.name.full ? -1 : 1;
}

function compareShared(left: Pair, right: Pair): number {
  if (left.name !== right.name) return comparePairs(left, right);
  if (left.value.length !== right.value.length) return left.value.length - right.value.length;
  return left.value < right.value ? -1 : 1;
}

function escapeName(name: string): string {
  return name.startsWith(OVERLAY_PREFIX) ? ESCAPED_PREFIX + name.slice(OVERLAY_PREFIX.length) : name;
}

function splitName(full: string): Name {
  const prefix = XATTR_PREFIXES.find(([text, index]) => index !== LUSTRE_INDEX && full.startsWith(text));
  const [text, index] = prefix ?? ["", 0];
  const suffix = full.slice(text.length);
  if (full === "" || suffix.length > 255) throw new RangeError(`Cannot write xattr "${full}": its name has ${full.length} bytes`);
  const hash = xxh32(Buffer.from(suffix, "latin1"), FILTER_SEED + index);
  return { full, index, suffix, filterBit: hash & 31 };
}

/** 00, length, 00, algorithm of fs-verity, digest; empty for an unknown one. */
function metacopyValue(objectId: string): string {
  if (objectId === "") return "";
  const digest = Buffer.from(objectId, "hex").toString("latin1");
  return `\0${String.fromCharCode(4 + digest.length)}\0${digest.length === 32 ? "\x01" : "\x02"}${digest}`;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
