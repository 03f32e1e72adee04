/**
 * parseDump(): a composefs dump to a tree. Accepts what mkcomposefs 1.0.8 accepts, except values that it would cut off or leave
 * uninitialised: a DIGEST that is not a whole sha256 or sha512, and numbers that do not fit their field.
 *
 * @see composefs-dump(5)
 */
import type { ByteName } from "../../core/bytes.ts";
import { kindOfMode, PERMISSION_MASK } from "../../tree/mode.ts";
import {
  createDirectory,
  type Directory,
  type FileContent,
  type Leaf,
  NO_XATTRS,
  type Stat,
  usualPayload,
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
  /** Lines mostly repeat the same xattrs: one map for each text. */
  readonly xattrs: Map<string, Xattrs>;
  /** Fields of the line at hand. */
  readonly fields: string[];
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
    xattrs: new Map(),
    fields: [],
    recentPath: "",
    recent: undefined,
  };
  parseLines(state, source);
  const { root } = state;
  if (root === undefined) throw new SyntaxError("Cannot parse dump: it is empty, wanted a line for / first");
  resolveLinks(root, state.links, located);
  return root;
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

const FIELD_COUNT = 11;

/** Missing fields are empty. The last item is the text of all xattrs. */
function splitFields(line: string, fields: string[]): void {
  let at = 0;
  for (let index = 0; index < FIELD_COUNT; index++) {
    const space = line.indexOf(" ", at);
    const end = space === -1 ? line.length : space;
    fields[index] = line.slice(at, end);
    at = Math.min(end + 1, line.length);
  }
  fields[FIELD_COUNT] = line.slice(at);
}

function parseLine(state: State, line: string, lineNumber: number): void {
  if (line.includes("\0")) throw new SyntaxError("there is a NUL byte");
  const { fields } = state;
  splitFields(line, fields);
  const [path = "", size = "", mode = "", nlink = "", uid = "", gid = "", rdev = "", mtime = ""] = fields;
  const isLink = mode.startsWith("@");
  const modeBits = parseMode(isLink ? mode.slice(1) : mode);
  const kind = kindOfMode(modeBits);
  if (kind === undefined) throw new SyntaxError(`MODE "${mode}" has no file type`);
  const place = findPlace(state, unescapeField(path));
  if (isLink) {
    if (kind === "directory") throw new SyntaxError(`directory "${path}" cannot be a hard link`);
    if (place === undefined) throw new SyntaxError("the root cannot be a hard link");
    const target = unescapeOptional(fields[8] ?? "");
    if (target === undefined) throw new SyntaxError(`hard link "${path}" names no target`);
    addLink(state, place, target, lineNumber);
    return;
  }
  const sizeBytes = parseNumber(size, "SIZE", Number.MAX_SAFE_INTEGER);
  const links = parseNumber(nlink, "NLINK", U32);
  const [mtimeSec, mtimeNsec] = parseTime(mtime);
  const stat: Stat = {
    mode: modeBits & PERMISSION_MASK,
    uid: parseNumber(uid, "UID", U32),
    gid: parseNumber(gid, "GID", U32),
    mtimeSec,
    mtimeNsec,
    xattrs: parseXattrs(state, fields[FIELD_COUNT] ?? ""),
  };
  const device = parseNumber(rdev, "RDEV", U32);
  const content = parseContent(fields, sizeBytes, kind === "file");
  if (kind === "directory") addDirectory(state, place, createDirectory(stat));
  else if (place === undefined) throw new SyntaxError("the root must be a directory");
  else {
    const counted = links === 1 ? {} : { nlink: links };
    place.parent.children.set(
      place.name,
      makeLeaf(kind, stat, { sizeBytes, device, counted, content, payload: fields[8] ?? "" }),
    );
  }
}

interface LeafParts {
  readonly sizeBytes: number;
  readonly device: number;
  readonly counted: { readonly nlink?: number };
  readonly content: FileContent;
  readonly payload: string;
}

function makeLeaf(kind: Exclude<Leaf["kind"], "directory">, stat: Stat, parts: LeafParts): Leaf {
  const sized = parts.sizeBytes === 0 ? parts.counted : { ...parts.counted, size: parts.sizeBytes };
  switch (kind) {
    case "file":
      return { kind, stat, size: parts.sizeBytes, content: parts.content, ...parts.counted };
    case "symlink": {
      const target = unescapeOptional(parts.payload) ?? "";
      if (target === "" || target.length > MAX_SYMLINK_BYTES || target.includes("\0")) {
        throw new SyntaxError(`symlink target of ${target.length} bytes, wanted 1 to ${MAX_SYMLINK_BYTES} without NUL`);
      }
      return { kind, stat, target: target as ByteName, ...parts.counted };
    }
    case "char":
    case "block":
      return { kind, stat, rdev: parts.device, ...sized };
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
function addLink(state: State, place: Place, target: string, line: number): void {
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
function parseContent(fields: readonly string[], sizeBytes: number, isFile: boolean): FileContent {
  const content = unescapeOptional(fields[9] ?? "");
  if (content !== undefined && content.length !== sizeBytes) {
    throw new SyntaxError(`CONTENT has ${content.length} bytes where SIZE says ${sizeBytes}`);
  }
  if (content !== undefined && content.length > MAX_INLINE_BYTES) {
    throw new RangeError(`CONTENT of ${content.length} bytes, more than ${MAX_INLINE_BYTES}`);
  }
  if (sizeBytes === 0 || !isFile) return EMPTY_FILE;
  const digest = unescapeOptional(fields[10] ?? "");
  if (digest !== undefined && ((digest.length !== 64 && digest.length !== 128) || !HEX.test(digest))) {
    throw new SyntaxError(`DIGEST "${digest.slice(0, 140)}" is not 64 or 128 lower-case hex digits`);
  }
  if (content !== undefined) return { kind: "inline", bytes: Buffer.from(content, "latin1") };
  const payload = unescapeOptional(fields[8] ?? "") ?? "";
  if (payload.includes("\0")) throw new SyntaxError("PAYLOAD has a NUL byte");
  if (digest === undefined) return payload === "" ? HOLE : { kind: "external", objectId: undefined, payload };
  return payload === usualPayload(digest)
    ? { kind: "external", objectId: digest }
    : { kind: "external", objectId: digest, payload };
}

const EMPTY_FILE: FileContent = { kind: "inline", bytes: Buffer.alloc(0) };
const HOLE: FileContent = { kind: "external", objectId: undefined };

function parseXattrs(state: State, text: string): Xattrs {
  if (text === "") return NO_XATTRS;
  const known = state.xattrs.get(text);
  if (known !== undefined) return known;
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
  state.xattrs.set(text, xattrs);
  return xattrs;
}
