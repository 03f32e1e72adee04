/**
 * parseDump(): a composefs dump to a tree. Accepts what mkcomposefs 1.0.8 accepts, except values that it would cut off or leave
 * uninitialised: a DIGEST that is not a whole sha256 or sha512, and numbers that do not fit their field.
 *
 * @see composefs-dump(5)
 */
import type { ByteName } from "../../core/bytes.ts";
import { kindOfMode, type NodeKind, PERMISSION_MASK } from "../../tree/mode.ts";
import {
  createDirectory,
  type Directory,
  type FileContent,
  type Leaf,
  NO_XATTRS,
  type Stat,
  isUsualPayload,
  type Xattrs,
} from "../../tree/node.ts";
import { unescapeField } from "./escape.ts";
import { type Link, resolveLinks } from "./links.ts";
import { parseMode, parseNumber, parseTime, U32 } from "./numbers.ts";

export const MAX_INLINE_BYTES = 5000;
export const MAX_SYMLINK_BYTES = 4095;
export const MAX_NAME_BYTES = 255;
const MAX_XATTR_KEY_BYTES = 255;
const MAX_XATTR_INODE_BYTES = 32767;
const MAX_XATTR_LINE_BYTES = 65535;
/** Longer text does not fit in one string. */
const MAX_DUMP_BYTES = 0x1fffffe0;
const HEX = /^[0-9a-f]+$/;

interface State {
  root: Directory | undefined;
  /** By path without a trailing slash: "" is the root. */
  readonly directories: Map<string, Directory>;
  readonly links: Link[];
  /** By the text of the xattrs: lines mostly repeat them. */
  readonly labels: Map<string, Label>;
  recentPath: string;
  recent: Directory | undefined;
}

/** Throws SyntaxError or RangeError `Cannot parse dump: line N: …`. */
export function parseDump(text: Uint8Array): Directory {
  if (text.length > MAX_DUMP_BYTES) {
    throw new RangeError(`Cannot parse dump: it has ${text.length} bytes, more than ${MAX_DUMP_BYTES}`);
  }
  const source = Buffer.from(text.buffer, text.byteOffset, text.length).toString("latin1");
  const state: State = {
    root: undefined,
    directories: new Map(),
    links: [],
    labels: new Map(),
    recentPath: "",
    recent: undefined,
  };
  rejectNul(source);
  parseLines(state, source);
  const { root } = state;
  if (root === undefined) throw new SyntaxError("Cannot parse dump: it is empty, wanted a line for / first");
  resolveLinks(root, state.links, located);
  return root;
}

function rejectNul(source: string): void {
  const nul = source.indexOf("\0");
  if (nul === -1) return;
  const line = source.slice(0, nul).split("\n").length;
  throw locate(new SyntaxError("there is a NUL byte"), line);
}

function parseLines(state: State, source: string): void {
  let line = 1;
  try {
    for (let at = 0; at < source.length; line++) {
      const newline = source.indexOf("\n", at);
      const end = newline === -1 ? source.length : newline;
      parseLine(state, source.slice(at, end), line);
      at = end + 1;
    }
  } catch (error) {
    throw locate(error, line);
  }
}

function located<T>(line: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw locate(error, line);
  }
}

function locate(error: unknown, line: number): unknown {
  if (error instanceof RangeError) return new RangeError(`Cannot parse dump: line ${line}: ${error.message}`);
  if (error instanceof SyntaxError) return new SyntaxError(`Cannot parse dump: line ${line}: ${error.message}`);
  return error;
}

/** Xattrs, and by their text the attributes of nodes that have them: the files of a package repeat those too. */
interface Label {
  readonly xattrs: Xattrs;
  readonly known: Map<string, Attributes>;
}

/** MODE to MTIME, and the xattrs. */
interface Attributes {
  readonly kind: NodeKind;
  readonly nlink: number;
  readonly device: number;
  readonly stat: Stat;
}

/** Of a line; missing ones are empty. */
interface Payloads {
  readonly payload: string;
  readonly content: string;
  readonly digest: string;
}

/** Fields that Attributes are made of. */
const ATTRIBUTE_FIELDS = 6;
/** Where every file has a time of its own nothing is gained by more. */
const MAX_KNOWN = 4096;

function parseLine(state: State, line: string, lineNumber: number): void {
  const pathEnd = fieldEnd(line, 0);
  const sizeEnd = fieldEnd(line, pathEnd + 1);
  let attributesEnd = sizeEnd;
  for (let count = 0; count < ATTRIBUTE_FIELDS; count++) attributesEnd = fieldEnd(line, attributesEnd + 1);
  const payloadEnd = fieldEnd(line, attributesEnd + 1);
  const contentEnd = fieldEnd(line, payloadEnd + 1);
  const digestEnd = fieldEnd(line, contentEnd + 1);
  const path = line.slice(0, pathEnd);
  const attributesText = line.slice(sizeEnd + 1, attributesEnd);
  const payloads: Payloads = {
    payload: line.slice(attributesEnd + 1, payloadEnd),
    content: line.slice(payloadEnd + 1, contentEnd),
    digest: line.slice(contentEnd + 1, digestEnd),
  };
  if (attributesText.startsWith("@")) {
    const mode = attributesText.slice(1, fieldEnd(attributesText, 0));
    if (requireKind(parseMode(mode), mode) === "directory") {
      throw new SyntaxError(`directory "${path}" cannot be a hard link`);
    }
    addLink(state, path, payloads.payload, lineNumber);
    return;
  }
  const attributes = attributesOf(state, attributesText, line.slice(digestEnd + 1));
  const place = findPlace(state, unescapeField(path));
  const sizeBytes = parseNumber(line.slice(pathEnd + 1, sizeEnd), "SIZE", Number.MAX_SAFE_INTEGER);
  const content = parseContent(payloads, sizeBytes, attributes.kind === "file");
  if (attributes.kind === "directory") addDirectory(state, place, createDirectory(attributes.stat));
  else if (place === undefined) throw new SyntaxError("the root must be a directory");
  else
    place.parent.children.set(
      place.name,
      makeLeaf(attributes.kind, attributes, { sizeBytes, content, payload: payloads.payload }),
    );
}

/** Of the field that starts at `at`; past the last one there are only empty ones. */
function fieldEnd(line: string, at: number): number {
  const space = line.indexOf(" ", at);
  return space === -1 ? line.length : space;
}

function attributesOf(state: State, text: string, xattrsText: string): Attributes {
  let label = state.labels.get(xattrsText);
  if (label === undefined)
    state.labels.set(xattrsText, (label = { xattrs: parseXattrs(xattrsText), known: new Map() }));
  const { xattrs, known } = label;
  let attributes = known.get(text);
  if (attributes === undefined) {
    attributes = parseAttributes(text, xattrs);
    if (known.size === MAX_KNOWN) known.clear();
    known.set(text, attributes);
  }
  return attributes;
}

function parseAttributes(text: string, xattrs: Xattrs): Attributes {
  const [mode = "", nlink = "", uid = "", gid = "", rdev = "", mtime = ""] = text.split(" ");
  const modeBits = parseMode(mode);
  const [mtimeSec, mtimeNsec] = parseTime(mtime);
  return {
    kind: requireKind(modeBits, mode),
    nlink: parseNumber(nlink, "NLINK", U32),
    device: parseNumber(rdev, "RDEV", U32),
    stat: {
      mode: modeBits & PERMISSION_MASK,
      uid: parseNumber(uid, "UID", U32),
      gid: parseNumber(gid, "GID", U32),
      mtimeSec,
      mtimeNsec,
      xattrs,
    },
  };
}

function requireKind(mode: number, text: string): NodeKind {
  const kind = kindOfMode(mode);
  if (kind === undefined) throw new SyntaxError(`MODE "${text}" has no file type`);
  return kind;
}

interface LeafParts {
  readonly sizeBytes: number;
  readonly content: FileContent;
  readonly payload: string;
}

function makeLeaf(kind: Leaf["kind"], { stat, nlink, device }: Attributes, parts: LeafParts): Leaf {
  const { sizeBytes: size, content } = parts;
  // The usual node has no spread: that is slow.
  if (kind === "file" && nlink === 1) return { kind, stat, size, content };
  const counted = nlink === 1 ? {} : { nlink };
  const sized = size === 0 ? counted : { ...counted, size };
  switch (kind) {
    case "file":
      return { kind, stat, size, content, ...counted };
    case "symlink": {
      const target = unescapeOptional(parts.payload) ?? "";
      if (target === "" || target.length > MAX_SYMLINK_BYTES || target.includes("\0")) {
        throw new SyntaxError(`symlink target of ${target.length} bytes, wanted 1 to ${MAX_SYMLINK_BYTES} without NUL`);
      }
      return { kind, stat, target: target as ByteName, ...counted };
    }
    case "char":
    case "block":
      return { kind, stat, rdev: device, ...sized };
    case "fifo":
    case "socket":
      return { kind, stat, ...sized };
  }
}

interface Place {
  readonly parent: Directory;
  readonly name: ByteName;
  /** Without the trailing slash. */
  readonly path: string;
}

/** Where a path goes; undefined for the root. */
function findPlace(state: State, path: string): Place | undefined {
  if (path === "/") {
    if (state.root !== undefined) throw new SyntaxError("there are two roots");
    return undefined;
  }
  const { root } = state;
  if (root === undefined) throw new SyntaxError("the first line is not the root /");
  const clean = normalizePath(path);
  const slash = clean.lastIndexOf("/");
  const name = clean.slice(slash + 1);
  if (name === "" || name === "." || name === ".." || name.length > MAX_NAME_BYTES || name.includes("\0")) {
    throw new SyntaxError(`"${path}" does not end in a name of 1 to ${MAX_NAME_BYTES} bytes other than . and ..`);
  }
  const parent = findParent(state, clean, slash);
  if (parent === undefined) throw new SyntaxError(`the parent directory of "${path}" is missing`);
  if (parent.children.has(name as ByteName)) throw new SyntaxError(`path "${path}" is there already`);
  return { parent, name: name as ByteName, path: clean };
}

/** Most lines have the directory of the line before. */
function findParent(state: State, path: string, slash: number): Directory | undefined {
  if (slash === state.recentPath.length && path.startsWith(state.recentPath)) return state.recent;
  state.recentPath = path.slice(0, slash);
  state.recent = state.directories.get(state.recentPath);
  return state.recent;
}

/** One leading slash, no doubled ones. */
export function normalizePath(path: string): string {
  const rooted = path.startsWith("/") ? path : `/${path}`;
  return rooted.includes("//") ? rooted.replace(/\/+/g, "/") : rooted;
}

function addDirectory(state: State, place: Place | undefined, directory: Directory): void {
  if (place === undefined) {
    state.root = directory;
    state.recent = directory;
    state.directories.set("", directory);
  } else {
    place.parent.children.set(place.name, directory);
    state.directories.set(place.path, directory);
  }
}

/** Holds the name until all lines are read. */
function addLink(state: State, path: string, payload: string, line: number): void {
  const place = findPlace(state, unescapeField(path));
  if (place === undefined) throw new SyntaxError("the root cannot be a hard link");
  const target = unescapeOptional(payload);
  if (target === undefined) throw new SyntaxError(`hard link "${path}" names no target`);
  const placeholder: Leaf = { kind: "fifo", stat: EMPTY_STAT };
  place.parent.children.set(place.name, placeholder);
  state.links.push({
    placeholder,
    parent: place.parent,
    name: place.name,
    path: place.path,
    target: normalizePath(target),
    line,
  });
}

const EMPTY_STAT: Stat = { mode: 0, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, xattrs: NO_XATTRS };

function unescapeOptional(text: string): string | undefined {
  return text === "-" ? undefined : unescapeField(text);
}

/** CONTENT of other nodes than files must match SIZE too, but has no meaning; their DIGEST does not matter. */
function parseContent(fields: Payloads, sizeBytes: number, isFile: boolean): FileContent {
  const content = unescapeOptional(fields.content);
  if (content !== undefined && content.length !== sizeBytes) {
    throw new SyntaxError(`CONTENT has ${content.length} bytes where SIZE says ${sizeBytes}`);
  }
  if (content !== undefined && content.length > MAX_INLINE_BYTES) {
    throw new RangeError(`CONTENT of ${content.length} bytes, more than ${MAX_INLINE_BYTES}`);
  }
  if (sizeBytes === 0 || !isFile) return EMPTY_FILE;
  const digest = unescapeOptional(fields.digest);
  if (digest !== undefined && ((digest.length !== 64 && digest.length !== 128) || !HEX.test(digest))) {
    throw new SyntaxError(`DIGEST "${digest.slice(0, 140)}" is not 64 or 128 lower-case hex digits`);
  }
  if (content !== undefined) return { kind: "inline", bytes: Buffer.from(content, "latin1") };
  const payload = unescapeOptional(fields.payload) ?? "";
  if (payload.includes("\0")) throw new SyntaxError("PAYLOAD has a NUL byte");
  if (digest === undefined) return payload === "" ? HOLE : { kind: "external", objectId: undefined, payload };
  return isUsualPayload(payload, digest)
    ? { kind: "external", objectId: digest }
    : { kind: "external", objectId: digest, payload };
}

const EMPTY_FILE: FileContent = { kind: "inline", bytes: Buffer.alloc(0) };
const HOLE: FileContent = { kind: "external", objectId: undefined };

function parseXattrs(text: string): Xattrs {
  if (text === "") return NO_XATTRS;
  if (text.length > MAX_XATTR_LINE_BYTES)
    throw new RangeError(`xattrs of ${text.length} bytes, more than ${MAX_XATTR_LINE_BYTES}`);
  const xattrs = new Map<string, Uint8Array>();
  let total = 12;
  for (const item of (text.endsWith(" ") ? text.slice(0, -1) : text).split(" ")) {
    const equals = item.indexOf("=");
    if (equals === -1) throw new SyntaxError(`xattr "${item}" has no "="`);
    const key = unescapeField(item.slice(0, equals));
    const value = unescapeField(item.slice(equals + 1));
    if (key === "" || key.length > MAX_XATTR_KEY_BYTES || key.includes("\0")) {
      throw new SyntaxError(`xattr key of ${key.length} bytes, wanted 1 to ${MAX_XATTR_KEY_BYTES} without NUL`);
    }
    const previous = xattrs.get(key);
    total += 7 + key.length + value.length - (previous === undefined ? 0 : 7 + key.length + previous.length);
    if (total > MAX_XATTR_INODE_BYTES) throw new RangeError(`xattrs take more than ${MAX_XATTR_INODE_BYTES} bytes`);
    xattrs.set(key, Buffer.from(value, "latin1"));
  }
  return xattrs;
}
