/**
 * Splitstream: a byte stream of which the large pieces are objects of a composefs repository and the rest stands in the file,
 * zstd compressed. A layer's tar, a config or a manifest is kept in this form; expanding it gives exactly the bytes again.
 *
 * Records of the stream: i64 n < 0, then |n| bytes; or n >= 0, the object of that index. File order: header, info, references to
 * streams, references to objects, named references, stream. A header whose fields stand in another order (written by bootc up
 * to 1.15) is read too.
 *
 * @see composefs-rs doc/splitstream.md
 */
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { compareBytes, toSafeInteger } from "../../core/bytes.ts";
import type { DigestAlgorithm } from "../../core/digest.ts";
import { struct } from "../../core/struct.ts";

/** Eight ASCII bytes that say what the expanded stream is. */
export type SplitstreamType = "ocilayer" | "ociconfg" | "ocimanif" | "oci_blob";

export interface SplitstreamWriter {
  /** Bytes that stand in the file. Neighbours are merged. The view may be reused afterwards. */
  inline(bytes: Uint8Array): void;
  /** Bytes that are an object; `size` in bytes. */
  external(objectId: string, size: number): void;
  /** Names another stream (or image) that must live as long as this one. */
  nameRef(name: string, objectId: string): void;
  /** The file. May be called once. */
  finish(): Buffer;
}

export interface Splitstream {
  readonly type: string;
  readonly algorithm: DigestAlgorithm;
  /** Bytes of the expanded stream. */
  readonly size: number;
  /** Lower-case hex, in order of first use. */
  readonly objectRefs: readonly string[];
  readonly namedRefs: ReadonlyMap<string, string>;
  /** The pieces in order. Throws SyntaxError for a damaged stream. */
  pieces(): Generator<SplitstreamPiece, void, undefined>;
}

export type SplitstreamPiece =
  | { readonly kind: "inline"; readonly bytes: Buffer }
  | { readonly kind: "external"; readonly objectId: string };

const Header = struct("splitstream header", 32, {
  magic: "bytes:11",
  version: "u8",
  flags: "u16",
  algorithm: "u8",
  logBlockSize: "u8",
  infoStart: "u64",
  infoEnd: "u64",
});

const OldHeader = struct("old splitstream header", 32, {
  infoStart: "u64",
  infoEnd: "u64",
  flags: "u16",
  magic: "bytes:11",
  version: "u8",
  algorithm: "u8",
  logBlockSize: "u8",
});

const Info = struct("splitstream info", 80, {
  streamRefsStart: "u64",
  streamRefsEnd: "u64",
  objectRefsStart: "u64",
  objectRefsEnd: "u64",
  streamStart: "u64",
  streamEnd: "u64",
  namedRefsStart: "u64",
  namedRefsEnd: "u64",
  contentType: "bytes:8",
  streamSize: "u64",
});

const MAGIC = Buffer.from("SplitStream", "latin1");
const ALGORITHM_IDS = { sha256: 1, sha512: 2 } as const satisfies Record<DigestAlgorithm, number>;
const DIGEST_BYTES = { sha256: 32, sha512: 64 } as const satisfies Record<DigestAlgorithm, number>;
/** Records are compressed in frames of about this many bytes, so that memory does not grow with the stream. */
const FRAME_BYTES = 4 * 1024 * 1024;
/** Bytes of records or names that a reader expands. */
const EXPANDED_BYTES_MAX = 2 ** 31;

export function createSplitstreamWriter(type: SplitstreamType, algorithm: DigestAlgorithm): SplitstreamWriter {
  const streamRefs = new Map<string, number>();
  const objectRefs = new Map<string, number>();
  const named = new Map<string, number>();
  const frames: Buffer[] = [];
  /** Bytes 0..8 are kept free for the length of the inline piece that follows. */
  let frame = Buffer.allocUnsafe(FRAME_BYTES);
  let filled = 0;
  let inlineStart = -1;
  let size = 0;

  const endInline = (): void => {
    if (inlineStart < 0) return;
    frame.writeBigInt64LE(-BigInt(filled - inlineStart - 8), inlineStart);
    inlineStart = -1;
  };
  const flush = (): void => {
    endInline();
    if (filled > 0) frames.push(zstdCompressSync(frame.subarray(0, filled)));
    filled = 0;
  };
  const reserve = (bytes: number): void => {
    if (filled + bytes > frame.length) flush();
    if (bytes > frame.length) frame = Buffer.allocUnsafe(bytes);
  };
  const indexOf = (refs: Map<string, number>, id: string): number => {
    const known = refs.get(id);
    if (known !== undefined) return known;
    refs.set(id, refs.size);
    return refs.size - 1;
  };

  return {
    inline(bytes) {
      if (bytes.length === 0) return;
      reserve(bytes.length + 8);
      if (inlineStart < 0) {
        inlineStart = filled;
        filled += 8;
      }
      frame.set(bytes, filled);
      filled += bytes.length;
      size += bytes.length;
    },
    external(objectId, sizeBytes) {
      endInline();
      reserve(8);
      filled = frame.writeBigInt64LE(BigInt(indexOf(objectRefs, objectId)), filled);
      size += sizeBytes;
    },
    nameRef(name, objectId) {
      named.set(name, indexOf(streamRefs, objectId));
    },
    finish() {
      flush();
      return assemble({ type, algorithm, size, streamRefs, objectRefs, named, frames });
    },
  };
}

interface Parts {
  readonly type: string;
  readonly algorithm: DigestAlgorithm;
  readonly size: number;
  readonly streamRefs: ReadonlyMap<string, number>;
  readonly objectRefs: ReadonlyMap<string, number>;
  readonly named: ReadonlyMap<string, number>;
  readonly frames: readonly Buffer[];
}

function assemble(parts: Parts): Buffer {
  const streamRefs = Buffer.from([...parts.streamRefs.keys()].join(""), "hex");
  const objectRefs = Buffer.from([...parts.objectRefs.keys()].join(""), "hex");
  const names = [...parts.named].sort(([left], [right]) => compareBytes(left, right));
  const namedRefs = zstdCompressSync(Buffer.from(names.map(([name, index]) => `${index}:${name}\0`).join(""), "utf8"));
  // A stream without a record is an empty frame, so that every reader finds one.
  const stream = parts.frames.length === 0 ? zstdCompressSync(Buffer.alloc(0)) : Buffer.concat(parts.frames);
  const infoStart = Header.sizeBytes;
  const infoEnd = infoStart + Info.sizeBytes;
  const streamRefsEnd = infoEnd + streamRefs.length;
  const objectRefsEnd = streamRefsEnd + objectRefs.length;
  const namedRefsEnd = objectRefsEnd + namedRefs.length;
  const head = Buffer.alloc(infoEnd);
  Header.write(head, 0, {
    magic: MAGIC,
    version: 0,
    flags: 0,
    algorithm: ALGORITHM_IDS[parts.algorithm],
    logBlockSize: 12,
    infoStart: BigInt(infoStart),
    infoEnd: BigInt(infoEnd),
  });
  Info.write(head, infoStart, {
    streamRefsStart: BigInt(infoEnd),
    streamRefsEnd: BigInt(streamRefsEnd),
    objectRefsStart: BigInt(streamRefsEnd),
    objectRefsEnd: BigInt(objectRefsEnd),
    streamStart: BigInt(namedRefsEnd),
    streamEnd: BigInt(namedRefsEnd + stream.length),
    namedRefsStart: BigInt(objectRefsEnd),
    namedRefsEnd: BigInt(namedRefsEnd),
    contentType: Buffer.from(parts.type, "latin1"),
    streamSize: BigInt(parts.size),
  });
  return Buffer.concat([head, streamRefs, objectRefs, namedRefs, stream]);
}

/** Throws SyntaxError for anything that is no splitstream. */
export function readSplitstream(bytes: Buffer): Splitstream {
  try {
    return parse(bytes);
  } catch (error) {
    if (error instanceof SyntaxError) throw error;
    throw new SyntaxError(`Cannot read splitstream: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function parse(bytes: Buffer): Splitstream {
  const header = readHeader(bytes);
  if (header.infoEnd - header.infoStart < BigInt(Info.sizeBytes)) {
    throw new SyntaxError(
      `Cannot read splitstream: its info has ${header.infoEnd - header.infoStart} bytes, wanted ${Info.sizeBytes}`,
    );
  }
  const algorithm = header.algorithm === ALGORITHM_IDS.sha256 ? "sha256" : "sha512";
  const info = Info.read(bytes, toSafeInteger(header.infoStart, "splitstream info"));
  const part = (start: bigint, end: bigint, what: string): Buffer => {
    if (start > end || end > BigInt(bytes.length)) {
      throw new SyntaxError(`Cannot read splitstream: ${what} lies at ${start}..${end} of ${bytes.length} bytes`);
    }
    return bytes.subarray(Number(start), Number(end));
  };
  const digests = (start: bigint, end: bigint, what: string): string[] => {
    const raw = part(start, end, what);
    const width = DIGEST_BYTES[algorithm];
    if (raw.length % width !== 0) throw new SyntaxError(`Cannot read splitstream: ${what} has ${raw.length} bytes`);
    return Array.from({ length: raw.length / width }, (_, i) => raw.toString("hex", i * width, (i + 1) * width));
  };
  const streamRefs = digests(info.streamRefsStart, info.streamRefsEnd, "stream references");
  const objectRefs = digests(info.objectRefsStart, info.objectRefsEnd, "object references");
  const stream = part(info.streamStart, info.streamEnd, "stream");
  return {
    type: Buffer.from(info.contentType).toString("latin1"),
    algorithm,
    size: toSafeInteger(info.streamSize, "splitstream size"),
    objectRefs,
    namedRefs: readNames(part(info.namedRefsStart, info.namedRefsEnd, "named references"), streamRefs),
    pieces: () => readPieces(stream, objectRefs),
  };
}

function readHeader(bytes: Buffer): ReturnType<typeof Header.read> {
  const isNew = bytes.subarray(0, MAGIC.length).equals(MAGIC);
  const header = isNew ? Header.read(bytes, 0) : OldHeader.read(bytes, 0);
  if (!MAGIC.equals(header.magic))
    throw new SyntaxError("Cannot read splitstream: it does not begin with its magic number");
  if (header.version !== 0)
    throw new SyntaxError(`Cannot read splitstream: its version is ${header.version}, wanted 0`);
  if (header.algorithm !== 1 && header.algorithm !== 2) {
    throw new SyntaxError(`Cannot read splitstream: its hash algorithm is ${header.algorithm}, wanted 1 or 2`);
  }
  if (header.logBlockSize !== 12) {
    throw new SyntaxError(`Cannot read splitstream: its block size is 2^${header.logBlockSize}, wanted 2^12`);
  }
  return header;
}

function readNames(compressed: Buffer, streamRefs: readonly string[]): Map<string, string> {
  const names = new Map<string, string>();
  const text = expand(compressed).toString("utf8");
  for (const record of text.split("\0").slice(0, -1)) {
    const colon = record.indexOf(":");
    const id = /^[0-9]{1,9}$/.test(record.slice(0, Math.max(colon, 0)))
      ? streamRefs[Number(record.slice(0, colon))]
      : undefined;
    if (id === undefined) {
      throw new SyntaxError(
        `Cannot read splitstream: named reference ${JSON.stringify(record.slice(0, 100))} names no stream`,
      );
    }
    names.set(record.slice(colon + 1), id);
  }
  return names;
}

function* readPieces(compressed: Buffer, objectRefs: readonly string[]): Generator<SplitstreamPiece, void, undefined> {
  const records = expand(compressed);
  for (let at = 0; at < records.length; ) {
    if (at + 8 > records.length)
      throw new SyntaxError(`Cannot read splitstream: its stream ends inside the record at ${at}`);
    const record = records.readBigInt64LE(at);
    at += 8;
    if (record < 0n) {
      if (-record > BigInt(records.length - at))
        throw new SyntaxError(`Cannot read splitstream: its stream ends inside the piece at ${at}`);
      const end = at + Number(-record);
      yield { kind: "inline", bytes: records.subarray(at, end) };
      at = end;
    } else {
      const objectId = objectRefs[Number(record)];
      if (objectId === undefined)
        throw new SyntaxError(
          `Cannot read splitstream: record at ${at - 8} names object ${record} of ${objectRefs.length}`,
        );
      yield { kind: "external", objectId };
    }
  }
}

/** Old files may have an empty range where there is nothing to name. */
function expand(compressed: Buffer): Buffer {
  if (compressed.length === 0) return Buffer.alloc(0);
  try {
    return zstdDecompressSync(compressed, { maxOutputLength: EXPANDED_BYTES_MAX });
  } catch (error) {
    throw new SyntaxError("Cannot read splitstream: its compressed part is damaged", { cause: error });
  }
}
