/**
 * Toc: the table of contents of a zstd:chunked layer. Its JSON is containers/storage's: one entry for each member of the tar, in the
 * tar's order, and one more for each further chunk of a file. Names and times are those of the tar's headers, because readers
 * compare the two.
 *
 * @see containers/storage docs/containers-storage-zstd-chunked.md
 */
import { byteNameToText } from "../../core/bytes.ts";
import { type Digest, parseDigest } from "../../core/digest.ts";
import { asArray, asCount, asObject, asString, optional, parseJsonObject } from "../../core/json.ts";
import { devMajor, devMinor } from "../../tree/node.ts";
import type { TarMember, TarOrigin, TarTime } from "../tar/member.ts";

/** A piece of a file that is a zstd frame of its own. */
export interface Chunk {
  /** In the file. */
  readonly start: number;
  readonly sizeBytes: number;
  /** undefined for the only chunk of a file. */
  readonly digest: Digest | undefined;
  /** Of its frame in the blob. */
  readonly offset: number;
}

/** An entry that is being made; a file with content gets `digest`, `chunks` and `endOffset`. */
export interface DraftEntry {
  readonly member: TarMember;
  readonly origin: TarOrigin;
  digest?: Digest;
  readonly chunks: Chunk[];
  /** Of its last frame. */
  endOffset: number;
}

/** A file with content, as a reader wants it. */
export interface TocFile {
  readonly sizeBytes: number;
  /** Of the content, uncompressed. */
  readonly digest: Digest;
  /** Its frames in the blob. */
  readonly offset: number;
  readonly endOffset: number;
}

export interface Toc {
  /** In the tar's order; files without content and other members are left out. */
  readonly files: readonly TocFile[];
  /** Of the tar-split as it stands in the blob, compressed. */
  readonly tarSplitDigest: Digest;
}

const TYPES = {
  file: "reg",
  hardlink: "hardlink",
  symlink: "symlink",
  char: "char",
  block: "block",
  directory: "dir",
  fifo: "fifo",
} as const;

/** Compact JSON; zero values are left out, as Go's writer does. */
export function formatToc(entries: readonly DraftEntry[], tarSplitDigest: Digest): string {
  const lines = entries.flatMap(formatEntry).map((entry) => JSON.stringify(entry));
  return `{"version":1,"entries":[${lines.join(",")}],"tarSplitDigest":${JSON.stringify(tarSplitDigest)}}`;
}

/** Throws SyntaxError for a table that does not describe its blob: frames that overlap or lie past `dataEnd`. */
export function parseToc(text: string, dataEnd: number): Toc {
  const object = parseJsonObject(text, "table of contents");
  const tarSplitDigest = parseDigest(asString(object["tarSplitDigest"], "table of contents.tarSplitDigest"));
  const files: TocFile[] = [];
  let last = 0;
  for (const [i, value] of asArray(object["entries"], "table of contents.entries").entries()) {
    const file = parseFile(value, `table of contents.entries[${i}]`);
    if (file === undefined) continue;
    if (file.offset < last || file.endOffset <= file.offset || file.endOffset > dataEnd) {
      throw new SyntaxError(
        `Cannot read table of contents.entries[${i}]: its frames lie at ${file.offset}..${file.endOffset}, wanted them within ${last}..${dataEnd}`,
      );
    }
    last = file.endOffset;
    files.push(file);
  }
  return { files, tarSplitDigest };
}

function parseFile(value: unknown, what: string): TocFile | undefined {
  const entry = asObject(value, what);
  const sizeBytes = optional(entry["size"], `${what}.size`, asCount) ?? 0;
  if (entry["type"] !== TYPES.file || sizeBytes === 0) return undefined;
  return {
    sizeBytes,
    digest: parseDigest(asString(entry["digest"], `${what}.digest`)),
    offset: optional(entry["offset"], `${what}.offset`, asCount) ?? 0,
    endOffset: asCount(entry["endOffset"], `${what}.endOffset`),
  };
}

function formatEntry(draft: DraftEntry): object[] {
  const { member, origin, chunks } = draft;
  const [first, ...others] = chunks;
  const isCut = others.length > 0;
  const main = {
    type: TYPES[member.kind],
    name: byteNameToText(origin.name),
    linkName: member.kind === "hardlink" || member.kind === "symlink" ? byteNameToText(origin.target) : undefined,
    mode: positive(origin.mode),
    size: positive(member.kind === "file" ? member.size : 0),
    uid: positive(member.stat.uid),
    gid: positive(member.stat.gid),
    modtime: formatTime({ sec: member.stat.mtimeSec, nsec: member.stat.mtimeNsec }),
    accesstime: formatTime(origin.accessTime),
    changetime: formatTime(origin.changeTime),
    devMajor: "rdev" in member ? positive(devMajor(member.rdev)) : undefined,
    devMinor: "rdev" in member ? positive(devMinor(member.rdev)) : undefined,
    xattrs: formatXattrs(member),
    digest: draft.digest,
    offset: positive(first?.offset ?? 0),
    endOffset: positive(draft.endOffset),
    ...(isCut && { chunkSize: first?.sizeBytes, chunkDigest: first?.digest }),
  };
  const rest = others.map((chunk) => ({
    type: "chunk",
    name: main.name,
    offset: chunk.offset,
    chunkSize: chunk.sizeBytes,
    chunkOffset: chunk.start,
    chunkDigest: chunk.digest,
  }));
  return [main, ...rest];
}

function positive(value: number): number | undefined {
  return value > 0 ? value : undefined;
}

function formatXattrs({ stat }: TarMember): Record<string, string> | undefined {
  if (stat.xattrs.size === 0) return undefined;
  return Object.fromEntries(
    [...stat.xattrs].map(([name, value]) => [byteNameToText(name), Buffer.from(value).toString("base64")]),
  );
}

/** RFC 3339 with as many digits as are not zero; undefined for a year that it cannot name. */
function formatTime(time: TarTime | undefined): string | undefined {
  if (time === undefined || time.sec < -62_135_596_800 || time.sec > 253_402_300_799) return undefined;
  const seconds = new Date(time.sec * 1000).toISOString().slice(0, 19);
  const fraction = time.nsec === 0 ? "" : `.${String(time.nsec).padStart(9, "0").replace(/0+$/, "")}`;
  return `${seconds}${fraction}Z`;
}
