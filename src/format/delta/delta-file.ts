/**
 * The file of a delta: a header, the index as one zstd frame, then for each group its streams, a zstd frame each. It is read from
 * front to back; memory is bounded by the index and one group, whatever the header says.
 *
 * @see docs/formats/delta.md
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { struct } from "../../core/struct.ts";
import { type DeltaIndex, type FrameSize, readDeltaIndex, writeDeltaIndex } from "./delta-index.ts";
import type { PatchStreams } from "./patch.ts";

/** The streams of one group as they stand in the file. */
export interface PackedGroup {
  readonly control: PackedStream;
  readonly gaps: PackedStream;
  readonly differences: PackedStream;
  readonly literals: PackedStream;
}

export interface PackedStream extends FrameSize {
  readonly frame: Uint8Array;
}

export interface DeltaReader {
  readonly index: DeltaIndex;
  /** In order. Throws SyntaxError for a damaged one. */
  groups(): AsyncGenerator<PatchStreams, void, undefined>;
  /** Reads the source to its end, so that whoever checks its digest has seen all of it. SyntaxError for bytes after the last group. */
  end(): Promise<void>;
}

const Header = struct("delta header", 24, {
  magic: "bytes:8",
  version: "u16",
  reserved: "zero:2",
  indexBytes: "u32",
  indexExpandedBytes: "u32",
  reservedToo: "zero:4",
});

const MAGIC = Buffer.from("BERTHDLT", "latin1");
const VERSION = 3;
/** Half a million objects, each of which takes some hundred bytes of memory once it is read. */
const INDEX_BYTES_MAX = 32 * 1024 * 1024;
/** 19 takes twice as long for one byte less in a hundred (docs/decisions/0006-deltas.md). */
const LEVEL = 16;
/** 16 MiB: a whole group. */
const WINDOW_LOG = 24;
/** The least that zlib takes for a piece. */
const CHUNK_BYTES_MIN = 64;

export function packGroup(streams: PatchStreams): PackedGroup {
  return {
    control: packStream(streams.control),
    gaps: packStream(streams.gaps),
    differences: packStream(streams.differences),
    literals: packStream(streams.literals),
  };
}

/** The index's groups are those of `groups`. */
export function* writeDelta(
  index: Omit<DeltaIndex, "groups">,
  groups: readonly PackedGroup[],
): Generator<Uint8Array, void, undefined> {
  const table = packStream(writeDeltaIndex({ ...index, groups }));
  const header = Buffer.alloc(Header.sizeBytes);
  Header.write(header, 0, {
    magic: MAGIC,
    version: VERSION,
    indexBytes: table.bytes,
    indexExpandedBytes: table.expandedBytes,
  });
  yield header;
  yield table.frame;
  for (const { control, gaps, differences, literals } of groups) {
    yield control.frame;
    yield gaps.frame;
    yield differences.frame;
    yield literals.frame;
  }
}

/** Throws SyntaxError, at once or from its methods, for what is no delta; what `source` throws goes through. */
export async function readDelta(source: AsyncIterable<Uint8Array>): Promise<DeltaReader> {
  const bytes = createExactReader(source);
  const head = await bytes.read(Header.sizeBytes, "the header");
  const { magic, version, indexBytes, indexExpandedBytes } = Header.read(head, 0);
  if (!MAGIC.equals(magic)) throw new SyntaxError("it does not begin with BERTHDLT");
  if (version !== VERSION) throw new SyntaxError(`its version is ${version}, wanted ${VERSION}`);
  if (indexBytes > INDEX_BYTES_MAX || indexExpandedBytes > INDEX_BYTES_MAX)
    throw new SyntaxError(`its index has ${indexExpandedBytes} bytes, wanted at most ${INDEX_BYTES_MAX}`);
  const size = { bytes: indexBytes, expandedBytes: indexExpandedBytes };
  const index = readDeltaIndex(unpackStream(await bytes.read(indexBytes, "the index"), size));
  const next = async (stream: FrameSize): Promise<Buffer> =>
    unpackStream(await bytes.read(stream.bytes, "a group"), stream);
  return {
    index,
    async *groups() {
      for (const { control, gaps, differences, literals } of index.groups) {
        yield {
          control: await next(control),
          gaps: await next(gaps),
          differences: await next(differences),
          literals: await next(literals),
        };
      }
    },
    end: () => bytes.end(),
  };
}

function packStream(bytes: Buffer): PackedStream {
  const frame =
    bytes.length === 0
      ? Buffer.alloc(0)
      : zstdCompressSync(bytes, {
          // Small ones then take small tables.
          pledgedSrcSize: bytes.length,
          params: {
            [constants.ZSTD_c_compressionLevel]: LEVEL,
            [constants.ZSTD_c_windowLog]: WINDOW_LOG,
            [constants.ZSTD_c_checksumFlag]: 0,
          },
        });
  // A copy: a view of a larger buffer goes to another thread with all of it.
  return { frame: new Uint8Array(frame), bytes: frame.length, expandedBytes: bytes.length };
}

function unpackStream(frame: Buffer, { expandedBytes }: FrameSize): Buffer {
  if (expandedBytes === 0 && frame.length === 0) return frame;
  let bytes: Buffer;
  try {
    // One byte more, so that it comes in one piece, which needs no joining.
    bytes = zstdDecompressSync(frame, {
      chunkSize: Math.max(expandedBytes + 1, CHUNK_BYTES_MIN),
      maxOutputLength: Math.max(expandedBytes, 1),
    });
  } catch (error) {
    throw new SyntaxError("a frame cannot be expanded", { cause: error });
  }
  if (bytes.length !== expandedBytes)
    throw new SyntaxError(`a frame expands to ${bytes.length} bytes, wanted ${expandedBytes}`);
  return bytes;
}

interface ExactReader {
  /** SyntaxError when the source has fewer. Takes memory only for what has come. */
  read(sizeBytes: number, what: string): Promise<Buffer>;
  end(): Promise<void>;
}

function createExactReader(source: AsyncIterable<Uint8Array>): ExactReader {
  const chunks = source[Symbol.asyncIterator]();
  let rest: Uint8Array = Buffer.alloc(0);
  return {
    async read(sizeBytes, what) {
      const parts: Uint8Array[] = [];
      for (let missing = sizeBytes; missing > 0; ) {
        if (rest.length === 0) {
          const { value, done } = await chunks.next();
          if (done === true) throw new SyntaxError(`${what} ends ${missing} bytes too early`);
          rest = value;
        }
        const part = rest.subarray(0, missing);
        parts.push(part);
        rest = rest.subarray(part.length);
        missing -= part.length;
      }
      return Buffer.concat(parts);
    },
    async end() {
      let extra = rest.length;
      for (;;) {
        const { value, done } = await chunks.next();
        if (done === true) break;
        extra += value.length;
      }
      if (extra > 0) throw new SyntaxError(`${extra} bytes follow the last group`);
    },
  };
}
