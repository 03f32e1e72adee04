/**
 * TarMember: one member of a tar archive, with every extension resolved; and readMember(), which makes it of a header block and
 * the records that came before it.
 */
import type { ByteName } from "../../core/bytes.ts";
import type { LayerEntry } from "../../tree/layer-entry.ts";
import { makeDev, NO_XATTRS, type Stat, type Xattrs } from "../../tree/node.ts";
import type { TarHeader } from "./header.ts";
import { type PaxRecords, parsePaxNumber, parsePaxTime, XATTR_PREFIX } from "./pax.ts";

/** As LayerEntry, but a file's content flows beside it. */
export type TarMember =
  | Exclude<LayerEntry, { readonly kind: "file" }>
  | Omit<Extract<LayerEntry, { readonly kind: "file" }>, "content">;

export interface Extensions {
  readonly globals: PaxRecords;
  readonly locals: PaxRecords | undefined;
  readonly longName: string | undefined;
  readonly longLink: string | undefined;
}

/** What a member's headers say as it stands there, before paths are normalised: for formats that repeat it. */
export interface TarOrigin {
  readonly name: ByteName;
  readonly target: ByteName;
  readonly mode: number;
  readonly accessTime: TarTime | undefined;
  readonly changeTime: TarTime | undefined;
}

export interface TarTime {
  readonly sec: number;
  readonly nsec: number;
}

/** Bytes of a path or a link target. Longer ones could not be created on Linux. */
export const PATH_BYTES_MAX = 32 * 1024;
const XATTR_NAME_BYTES_MAX = 255;
const XATTR_VALUE_BYTES_MAX = 64 * 1024;
const ID_MAX = 0xffff_ffff;

/** Throws SyntaxError for what berth cannot represent: sparse files, `..`, unknown types, values out of range. */
export function readMember(header: TarHeader, extensions: Extensions): TarMember {
  const pax = mergeRecords(extensions);
  const rawName = pax?.get("path") ?? extensions.longName ?? header.name;
  const path = normalisePath(rawName, "path");
  const type = header.type === "0" && rawName.endsWith("/") ? "5" : header.type;
  if (path === "" && type !== "5") throw new SyntaxError("its path is empty, wanted a name");
  const stat = readStat(header, pax);
  switch (type) {
    case "0":
    case "7": {
      const size = pax?.get("size");
      return { kind: "file", path, stat, size: size === undefined ? header.size : parsePaxNumber("size", size) };
    }
    case "1": {
      const target = normalisePath(readTarget(header, extensions, pax), "link target");
      if (target === "") throw new SyntaxError("its link target is empty, wanted the path of an earlier member");
      return { kind: "hardlink", path, stat, target };
    }
    case "2":
      return { kind: "symlink", path, stat, target: readTarget(header, extensions, pax) };
    case "3":
    case "4":
      return { kind: type === "3" ? "char" : "block", path, stat, rdev: readDevice(header) };
    case "5":
      return { kind: "directory", path, stat };
    case "6":
      return { kind: "fifo", path, stat };
    case "S":
      throw new SyntaxError("it is a GNU sparse file, which no image layer may hold");
    default:
      throw new SyntaxError(`its type is ${JSON.stringify(type)}, wanted one of 0 1 2 3 4 5 6 7`);
  }
}

export function readOrigin(header: TarHeader, extensions: Extensions): TarOrigin {
  const pax = mergeRecords(extensions);
  const time = (key: string): TarTime | undefined => {
    const text = pax?.get(key);
    return text === undefined ? undefined : parsePaxTime(text);
  };
  return {
    name: (pax?.get("path") ?? extensions.longName ?? header.name) as ByteName,
    target: (pax?.get("linkpath") ?? extensions.longLink ?? header.linkname) as ByteName,
    mode: header.mode,
    accessTime: time("atime"),
    changeTime: time("ctime"),
  };
}

/** Local records over global ones; an empty value takes both back. Undefined when there are none. */
function mergeRecords(extensions: Extensions): PaxRecords | undefined {
  const { globals, locals } = extensions;
  if (locals === undefined && globals.size === 0) return undefined;
  const merged: PaxRecords = globals.size === 0 ? new Map(locals) : new Map([...globals, ...(locals ?? [])]);
  for (const [key, value] of merged) {
    if (key.startsWith("GNU.sparse.")) throw new SyntaxError("it is a GNU sparse file, which no image layer may hold");
    if (value === "" && !key.startsWith(XATTR_PREFIX)) merged.delete(key);
  }
  return merged;
}

function readStat(header: TarHeader, pax: PaxRecords | undefined): Stat {
  let { uid, gid, mtimeSec } = header;
  let mtimeNsec = 0;
  let xattrs: Xattrs = NO_XATTRS;
  if (pax !== undefined) {
    const [uidText, gidText, mtime] = [pax.get("uid"), pax.get("gid"), pax.get("mtime")];
    if (uidText !== undefined) uid = parsePaxNumber("uid", uidText);
    if (gidText !== undefined) gid = parsePaxNumber("gid", gidText);
    if (mtime !== undefined) ({ sec: mtimeSec, nsec: mtimeNsec } = parsePaxTime(mtime));
    xattrs = readXattrs(pax);
  }
  if (uid > ID_MAX || gid > ID_MAX) throw new SyntaxError(`its owner is ${uid}:${gid}, wanted at most ${ID_MAX}`);
  return { mode: header.mode & 0o7777, uid, gid, mtimeSec, mtimeNsec, xattrs };
}

function readXattrs(pax: PaxRecords): Xattrs {
  let found: Map<string, Uint8Array> | undefined;
  for (const [key, value] of pax) {
    if (!key.startsWith(XATTR_PREFIX)) continue;
    const name = key.slice(XATTR_PREFIX.length);
    if (
      name === "" ||
      name.length > XATTR_NAME_BYTES_MAX ||
      name.includes("\0") ||
      value.length > XATTR_VALUE_BYTES_MAX
    ) {
      throw new SyntaxError(`its extended attribute ${JSON.stringify(name.slice(0, 300))} is out of bounds`);
    }
    found ??= new Map();
    found.set(name, Buffer.from(value, "latin1"));
  }
  return found ?? NO_XATTRS;
}

function readTarget(header: TarHeader, extensions: Extensions, pax: PaxRecords | undefined): ByteName {
  const target = pax?.get("linkpath") ?? extensions.longLink ?? header.linkname;
  if (target === "" || target.includes("\0") || target.length > PATH_BYTES_MAX) {
    throw new SyntaxError(`its link target has ${target.length} bytes, wanted 1 to ${PATH_BYTES_MAX} without NUL`);
  }
  return target as ByteName;
}

function readDevice(header: TarHeader): number {
  if (header.devMajor > 0xfff || header.devMinor > 0xfffff) {
    throw new SyntaxError(`its device is ${header.devMajor}:${header.devMinor}, wanted at most 4095:1048575`);
  }
  return makeDev(header.devMajor, header.devMinor);
}

/** Without leading `/` and `./`, doubled or trailing slashes. */
function normalisePath(raw: string, what: string): ByteName {
  if (raw.length > PATH_BYTES_MAX || raw.includes("\0")) {
    throw new SyntaxError(`its ${what} has ${raw.length} bytes, wanted at most ${PATH_BYTES_MAX} without NUL`);
  }
  // Empty, "." and ".." are the components that need work.
  if (!/(?:^|\/)\.{0,2}(?:\/|$)/.test(raw)) return raw as ByteName;
  const parts = raw.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new SyntaxError(`its ${what} has a component "..", which could leave the root`);
  return parts.join("/") as ByteName;
}
