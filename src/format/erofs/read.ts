/**
 * readErofs(): a composefs image to the tree that it was written from: what the writer adds for overlayfs (stubs, escapes, marks
 * of whiteouts) is taken away again. Formats 0 and 1 are read.
 */
import type { ByteName } from "../../core/bytes.ts";
import {
  createDirectory,
  type Directory,
  type FileContent,
  type Leaf,
  NO_XATTRS,
  type Stat,
  usualPayload,
} from "../../tree/node.ts";
import { type Image, openImage, type RawInode, readInode, readPieces } from "./image.ts";
import { FILE_TYPES, LAYOUT_CHUNK } from "./layout.ts";
import {
  ESCAPED_PREFIX,
  METACOPY,
  OPAQUE,
  OPAQUE_MARKS,
  OVERLAY_PREFIX,
  REDIRECT,
  STUB_NAMES,
  WHITEOUT_MARKS,
  WHITEOUTS_MARKS,
} from "./overlay.ts";
import { readDirectory } from "./read-directory.ts";
import { createXattrReader, type XattrReader } from "./read-xattrs.ts";

type Attributes = Map<string, Uint8Array>;

/** A directory of the image before its marks are taken away. */
interface Open {
  readonly directory: Directory;
  readonly inode: RawInode;
  readonly parentNid: number;
  readonly path: string;
  readonly attributes: Attributes;
  holdsWhiteout: boolean;
}

interface LeafNames {
  readonly leaf: Leaf;
  readonly inode: RawInode;
  readonly isWhiteout: boolean;
  readonly parents: { readonly directory: Directory; readonly name: ByteName; readonly path: string }[];
  /** Path of the name at which the inode's number comes up in breadth-first order. */
  original: string | undefined;
  /** See firstName(). */
  first: number | undefined;
}

interface Reader {
  readonly image: Image;
  readonly xattrs: XattrReader;
  readonly leaves: Map<number, LeafNames>;
  readonly directoryNids: Set<number>;
  readonly queue: Open[];
  /** The number that the next inode has if it comes up for the first time. */
  position: number;
  readonly keep: (path: string) => boolean;
  /** What came up, in the image's order: leaves once for each name, undefined for everything else. */
  readonly sequence: (LeafNames | undefined)[];
}

export interface ReadErofsOptions {
  /** Asked for each directory, by its absolute path; of those that it refuses only the name and the metadata are read. Default: all. */
  readonly keep?: (path: string) => boolean;
}

const STUBS: ReadonlySet<string> = new Set(STUB_NAMES);

/** Throws SyntaxError or RangeError for anything that is not a whole composefs image. Values are views into `image`. */
export function readErofs(image: Uint8Array, options: ReadErofsOptions = {}): Directory {
  const opened = openImage(image);
  const reader: Reader = {
    image: opened,
    xattrs: createXattrReader(opened),
    leaves: new Map(),
    directoryNids: new Set(),
    queue: [],
    position: 1,
    keep: options.keep ?? (() => true),
    sequence: [],
  };
  const root = openDirectory(reader, readInode(opened, opened.rootNid), opened.rootNid, "");
  for (const open of reader.queue) if (reader.keep(open.path === "" ? "/" : open.path)) readChildren(reader, open);
  // The order of a part of the tree says nothing.
  const isCanonical = options.keep !== undefined || hasCanonicalOrder(reader.sequence);
  for (const names of reader.leaves.values()) finishLeaf(names, isCanonical);
  for (const open of reader.queue) finishDirectory(open, open.directory === root);
  return root;
}

function openDirectory(reader: Reader, inode: RawInode, parentNid: number, path: string): Directory {
  if (inode.kind !== "directory") throw new SyntaxError(`Cannot read image: its root is a ${inode.kind}`);
  if (reader.directoryNids.has(inode.nid))
    throw new SyntaxError(`Cannot read directory ${inode.nid}: it has two names`);
  reader.directoryNids.add(inode.nid);
  const attributes = reader.xattrs.read(inode);
  const directory = createDirectory(statOf(inode, attributes));
  reader.queue.push({ directory, inode, parentNid, path, attributes, holdsWhiteout: false });
  return directory;
}

function readChildren(reader: Reader, open: Open): void {
  const isRoot = open.path === "";
  for (const { name, nid, fileType } of readDirectory(reader.image, open.inode, open.parentNid)) {
    const path = `${open.path}/${name}`;
    const known = reader.leaves.get(nid);
    const inode = known?.inode ?? readInode(reader.image, nid);
    if (FILE_TYPES[inode.kind] !== fileType) {
      throw new SyntaxError(`Cannot read "${path}": its entry says type ${fileType}, its inode is a ${inode.kind}`);
    }
    const isNext = inode.ino === reader.position;
    if (isNext) reader.position += 1;
    if (inode.kind === "directory") {
      reader.sequence.push(undefined);
      open.directory.children.set(name as ByteName, openDirectory(reader, inode, open.inode.nid, path));
      continue;
    }
    if (isRoot && isStub(inode, name)) {
      reader.sequence.push(undefined);
      continue;
    }
    const names = known ?? readLeaf(reader, inode);
    if (isNext) names.original = path;
    if (names.isWhiteout) open.holdsWhiteout = true;
    reader.sequence.push(names);
    names.parents.push({ directory: open.directory, name: name as ByteName, path });
  }
}

function isStub(inode: RawInode, name: string): boolean {
  return inode.kind === "char" && inode.data === 0 && STUBS.has(name);
}

function readLeaf(reader: Reader, inode: RawInode): LeafNames {
  const attributes = reader.xattrs.read(inode);
  const isWhiteout = inode.kind === "file" && inode.size === 0 && WHITEOUT_MARKS.every((name) => attributes.has(name));
  if (isWhiteout) for (const name of WHITEOUT_MARKS) attributes.delete(name);
  const leaf = isWhiteout ? makeWhiteout(inode, attributes) : makeLeaf(reader.image, inode, attributes);
  const names: LeafNames = { leaf, inode, isWhiteout, parents: [], original: undefined, first: undefined };
  reader.leaves.set(inode.nid, names);
  return names;
}

function makeWhiteout(inode: RawInode, attributes: Attributes): Leaf {
  return { kind: "char", stat: statOf(inode, unescapeNames(attributes)), rdev: 0 };
}

function makeLeaf(image: Image, inode: RawInode, attributes: Attributes): Leaf {
  switch (inode.kind) {
    case "file": {
      const content = readContent(image, inode, attributes);
      return { kind: "file", stat: statOf(inode, unescapeNames(attributes)), size: inode.size, content };
    }
    case "symlink": {
      const target = Buffer.concat(readPieces(image, inode)).toString("latin1");
      if (target === "" || target.length > 4095 || target.includes("\0")) {
        throw new SyntaxError(
          `Cannot read inode ${inode.nid}: its symlink target has ${target.length} bytes or a NUL byte`,
        );
      }
      return { kind: "symlink", stat: statOf(inode, unescapeNames(attributes)), target: target as ByteName };
    }
    case "char":
    case "block":
      return { kind: inode.kind, stat: statOf(inode, unescapeNames(attributes)), rdev: inode.data, ...sizeOf(inode) };
    case "fifo":
    case "socket":
      return { kind: inode.kind, stat: statOf(inode, unescapeNames(attributes)), ...sizeOf(inode) };
    case "directory":
      throw new TypeError("a directory is no leaf");
  }
}

/** Writers put 0 there. */
function sizeOf(inode: RawInode): { readonly size?: number } {
  return inode.size === 0 ? {} : { size: inode.size };
}

function readContent(image: Image, inode: RawInode, attributes: Attributes): FileContent {
  if (inode.layout !== LAYOUT_CHUNK) return { kind: "inline", bytes: Buffer.concat(readPieces(image, inode)) };
  const objectId = parseMetacopy(inode, attributes.get(METACOPY));
  const redirect = attributes.get(REDIRECT);
  attributes.delete(METACOPY);
  attributes.delete(REDIRECT);
  if (redirect === undefined)
    return objectId === undefined ? { kind: "external", objectId } : { kind: "external", objectId, payload: "" };
  const path = Buffer.from(redirect).toString("latin1");
  if (!path.startsWith("/") || path.length < 2 || path.includes("\0")) {
    throw new SyntaxError(`Cannot read inode ${inode.nid}: its redirect ${JSON.stringify(path)} is no absolute path`);
  }
  const payload = path.slice(1);
  return objectId !== undefined && payload === usualPayload(objectId)
    ? { kind: "external", objectId }
    : { kind: "external", objectId, payload };
}

/** 00, length, 00, algorithm of fs-verity, digest. */
function parseMetacopy(inode: RawInode, value: Uint8Array | undefined): string | undefined {
  if (value === undefined || value.length === 0) return undefined;
  const digestBytes = value[3] === 1 ? 32 : value[3] === 2 ? 64 : 0;
  if (
    digestBytes === 0 ||
    value.length !== 4 + digestBytes ||
    value[0] !== 0 ||
    value[1] !== value.length ||
    value[2] !== 0
  ) {
    throw new SyntaxError(`Cannot read inode ${inode.nid}: its ${METACOPY} is no fs-verity digest`);
  }
  return Buffer.from(value.subarray(4)).toString("hex");
}

/** Shares one node among its names, and says what counting names would not. */
function finishLeaf(names: LeafNames, isCanonical: boolean): void {
  const { parents, inode, original } = names;
  const isFirst = isCanonical || original === undefined || parents[firstName(names)]?.path === original;
  const leaf: Leaf = {
    ...names.leaf,
    ...(inode.nlink === parents.length ? {} : { nlink: inode.nlink }),
    ...(isFirst ? {} : { originalPath: original as ByteName }),
  };
  for (const { directory, name } of parents) directory.children.set(name, leaf);
}

/** True when inodes are numbered as if the first name in depth-first order stood for every leaf. */
function hasCanonicalOrder(sequence: Reader["sequence"]): boolean {
  const seen = new Map<LeafNames, number>();
  let position = 1;
  for (const names of sequence) {
    if (names !== undefined && names.parents.length > 1) {
      const index = seen.get(names) ?? 0;
      seen.set(names, index + 1);
      if (index !== firstName(names)) continue;
    }
    if (names !== undefined && names.inode.ino !== position) return false;
    position += 1;
  }
  return true;
}

/** Index of the name that a depth-first walk in byte order meets first; asked when all names are known. */
function firstName(names: LeafNames): number {
  if (names.parents.length === 1) return 0;
  if (names.first !== undefined) return names.first;
  // The separator comes before every byte of a name.
  const keys = names.parents.map(({ path }) => path.replaceAll("/", "\0"));
  names.first = keys.reduce((first, key, index) => (key < (keys[first] ?? "") ? index : first), 0);
  return names.first;
}

function finishDirectory(open: Open, isRoot: boolean): void {
  const { attributes } = open;
  if (isRoot) attributes.delete(OPAQUE);
  if (open.holdsWhiteout) {
    for (const name of WHITEOUTS_MARKS) attributes.delete(name);
    for (const name of OPAQUE_MARKS)
      if (Buffer.from(attributes.get(name) ?? []).toString("latin1") === "x") attributes.delete(name);
  }
  open.directory.stat = statOf(open.inode, unescapeNames(attributes));
}

function unescapeNames(attributes: Attributes): Attributes {
  for (const name of attributes.keys()) {
    if (!name.startsWith(ESCAPED_PREFIX)) continue;
    return new Map([...attributes].map(([key, value]) => [unescapeName(key), value]));
  }
  return attributes;
}

function unescapeName(name: string): string {
  return name.startsWith(ESCAPED_PREFIX) ? OVERLAY_PREFIX + name.slice(ESCAPED_PREFIX.length) : name;
}

function statOf(inode: RawInode, attributes: Attributes): Stat {
  return {
    mode: inode.mode,
    uid: inode.uid,
    gid: inode.gid,
    mtimeSec: inode.mtimeSec,
    mtimeNsec: inode.mtimeNsec,
    xattrs: attributes.size === 0 ? NO_XATTRS : attributes,
  };
}
