/**
 * Canonical tar: the one encoding that berth gives a list of members, so that equal members are equal bytes. ustar when it
 * fits, PAX only for what does not; numeric owners; whole seconds; no names of users; two zero blocks at the end and no more.
 *
 * @see POSIX.1-2024 pax; reproducible-builds.org, "Archive metadata"
 */
import { compareBytes } from "../../core/bytes.ts";
import { devMajor, devMinor } from "../../tree/node.ts";
import {
  BLOCK_BYTES,
  NAME_FIELD_BYTES,
  OCTAL_ID_MAX,
  OCTAL_SIZE_MAX,
  paddingOf,
  PREFIX_FIELD_BYTES,
  type TarHeader,
  writeHeader,
} from "./header.ts";
import type { TarMember } from "./member.ts";
import { type PaxRecords, writePaxRecords, XATTR_PREFIX } from "./pax.ts";

export interface TarInput {
  readonly member: TarMember;
  /** The file's bytes; as many as its size says. */
  readonly content?: Uint8Array | AsyncIterable<Uint8Array>;
}

export interface TarWriteOptions {
  /** SOURCE_DATE_EPOCH in seconds: later mtimes become this one. */
  readonly epochSec?: number;
}

const END = Buffer.alloc(2 * BLOCK_BYTES);
const ASCII = /^[\x20-\x7e]*$/;
const TYPES = { file: "0", hardlink: "1", symlink: "2", char: "3", block: "4", directory: "5", fifo: "6" } as const;

/** The archive as a stream. Members are written in the order given; see compareTarPaths(). Throws RangeError for a wrong size. */
export async function* writeTar(
  inputs: AsyncIterable<TarInput> | Iterable<TarInput>,
  options: TarWriteOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { member, content } of inputs) {
    yield encodeMemberHeader(member, options);
    if (member.kind !== "file") continue;
    let written = 0;
    if (content instanceof Uint8Array) {
      written = content.length;
      if (written > 0) yield content;
    } else if (content !== undefined) {
      for await (const chunk of content) {
        written += chunk.length;
        if (written > member.size) break;
        yield chunk;
      }
    }
    if (written !== member.size) {
      throw new RangeError(
        `Cannot write tar member ${JSON.stringify(member.path)}: content has ${written} bytes, wanted ${member.size}`,
      );
    }
    const padding = paddingOf(member.size);
    if (padding > 0) yield END.subarray(0, padding);
  }
  yield END;
}

/** The header block of a member, with the PAX blocks before it if it needs them. */
export function encodeMemberHeader(member: TarMember, options: TarWriteOptions = {}): Buffer {
  const records: PaxRecords = new Map();
  const path = member.kind === "directory" ? `${member.path === "" ? "." : member.path}/` : member.path;
  const { name, prefix } = splitName(path, records);
  const { stat } = member;
  const mtimeSec = Math.min(stat.mtimeSec, options.epochSec ?? stat.mtimeSec);
  const number = (key: string, value: number, max: number): number => {
    if (value >= 0 && value <= max) return value;
    records.set(key, String(value));
    return 0;
  };
  for (const [key, value] of stat.xattrs) records.set(XATTR_PREFIX + key, Buffer.from(value).toString("latin1"));
  const isDevice = member.kind === "char" || member.kind === "block";
  const header: TarHeader = {
    name,
    mode: stat.mode & 0o7777,
    uid: number("uid", stat.uid, OCTAL_ID_MAX),
    gid: number("gid", stat.gid, OCTAL_ID_MAX),
    size: member.kind === "file" ? number("size", member.size, OCTAL_SIZE_MAX) : 0,
    mtimeSec: number("mtime", mtimeSec, OCTAL_SIZE_MAX),
    type: TYPES[member.kind],
    linkname: linkName(member, records),
    devMajor: isDevice ? devMajor(member.rdev) : 0,
    devMinor: isDevice ? devMinor(member.rdev) : 0,
  };
  const block = writeHeader(header, prefix);
  return records.size === 0 ? block : Buffer.concat([encodePax(records, member.path, header), block]);
}

/**
 * Order of members: bytes of the path, parents before children, and inside a directory its whiteouts before all other names,
 * so that a whiteout never hides what the same layer brings.
 */
export function compareTarPaths(left: string, right: string): number {
  return compareBytes(orderKey(left), orderKey(right));
}

function orderKey(path: string): string {
  const slash = path.lastIndexOf("/") + 1;
  if (!path.startsWith(".wh.", slash)) return path;
  return `${path.slice(0, slash)}\0${path.slice(slash)}`;
}

function splitName(path: string, records: PaxRecords): { name: TarHeader["name"]; prefix: string } {
  if (ASCII.test(path)) {
    if (path.length <= NAME_FIELD_BYTES) return { name: path as TarHeader["name"], prefix: "" };
    // The rightmost slash that leaves a prefix that fits; the name must not be empty.
    const slash = path.lastIndexOf("/", Math.min(PREFIX_FIELD_BYTES, path.length - 2));
    if (slash > 0 && path.length - slash - 1 <= NAME_FIELD_BYTES) {
      return { name: path.slice(slash + 1) as TarHeader["name"], prefix: path.slice(0, slash) };
    }
  }
  records.set("path", path);
  return { name: toField(path), prefix: "" };
}

function linkName(member: TarMember, records: PaxRecords): TarHeader["name"] {
  if (member.kind !== "symlink" && member.kind !== "hardlink") return "" as TarHeader["name"];
  if (ASCII.test(member.target) && member.target.length <= NAME_FIELD_BYTES) return member.target;
  records.set("linkpath", member.target);
  return toField(member.target);
}

/** What stands in a name field whose true value is a PAX record. */
function toField(path: string): TarHeader["name"] {
  return path.replace(/[^\x20-\x7e]/g, "_").slice(0, NAME_FIELD_BYTES) as TarHeader["name"];
}

function encodePax(records: PaxRecords, path: string, owner: TarHeader): Buffer {
  const body = writePaxRecords(records);
  const base = path.slice(path.lastIndexOf("/") + 1);
  const header = writeHeader(
    {
      ...owner,
      name: toField(`PaxHeaders/${base}`),
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: body.length,
      type: "x",
      linkname: byteless,
      devMajor: 0,
      devMinor: 0,
    },
    "",
  );
  return Buffer.concat([header, body, END.subarray(0, paddingOf(body.length))]);
}

const byteless = "" as TarHeader["name"];
