/**
 * decompress(), compressZstd() and compressGzip(): streams through node:zlib, whose work runs on other threads. Gzip files of
 * several members and zstd files of several frames (skippable ones too) come out whole; a truncated or damaged one is a Failure
 * "bad-input". compressFrame() and expandFrames() do the same to bytes in memory.
 *
 * Compression is deterministic: fixed level, no threads inside, input cut into equal pieces first, no checksum, no time.
 *
 * @see RFC 1952 (gzip), RFC 8878 (zstd)
 */
import {
  constants,
  createGunzip,
  createGzip,
  createZstdCompress,
  createZstdDecompress,
  zstdCompress,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { Failure } from "./failure.ts";

/** The part of a zlib transform that is used here: Gunzip and the Zstd streams have it. */
type Codec = ReturnType<typeof createGunzip | typeof createGzip | typeof createZstdCompress>;

/** As oci/media-types.ts has it. */
export type Compression = "none" | "gzip" | "zstd";

/** Bytes of a chunk that comes out. */
const CHUNK_BYTES = 512 * 1024;
/** Bytes that may wait for the reader while the next are being made. */
const AHEAD_BYTES = 4 * 1024 * 1024;
/** Largest window accepted: 128 MiB, what `zstd --long` writes at most by default. */
const WINDOW_LOG_MAX = 27;

export const ZSTD_LEVEL = 3;
const GZIP_LEVEL = 6;
/** Bytes below which handing the work to another thread costs more than it saves. */
const THREAD_BYTES_MIN = 64 * 1024;
/** Output that fills its buffer makes node:zlib get another one; the least it accepts is 64. */
const ROOM_BYTES = 64;
/**
 * None: with threads of its own zstd may leave input for later although there is room for output, which node:zlib takes for the
 * end of the stream (a slow source then loses its tail).
 */
const ZSTD_WORKERS = 0;

export interface CompressOptions {
  /** 1 (fast) to 19 (small); 3 by default. */
  readonly level?: number;
}

/** The bytes of `source`, decompressed. For "none" the source itself. */
export function decompress(source: AsyncIterable<Uint8Array>, compression: Compression): AsyncIterable<Uint8Array> {
  const options = { chunkSize: CHUNK_BYTES, readableHighWaterMark: AHEAD_BYTES, writableHighWaterMark: CHUNK_BYTES };
  switch (compression) {
    case "none":
      return source;
    case "gzip":
      return through(source, () => createGunzip(options), "gzip");
    case "zstd":
      return through(
        source,
        () => createZstdDecompress({ ...options, params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX } }),
        "zstd",
      );
  }
}

/** One zstd frame. Equal bytes give equal bytes, however they are cut. */
export function compressZstd(
  source: AsyncIterable<Uint8Array>,
  options: CompressOptions = {},
): AsyncIterable<Uint8Array> {
  const params = zstdParams(options);
  return through(inPieces(source, CHUNK_BYTES), () => createZstdCompress({ chunkSize: CHUNK_BYTES, params }), "zstd");
}

/** One zstd frame that says how long its content is. Small ones are made at once. */
export function compressFrame(bytes: Uint8Array, options: CompressOptions = {}): Buffer | Promise<Buffer> {
  // Room for the whole result: zstd then works without a copy of the input.
  const settings = { params: zstdParams(options), chunkSize: bytes.length + (bytes.length >>> 8) + 1024 };
  if (bytes.length < THREAD_BYTES_MIN) return zstdCompressSync(bytes, settings);
  return new Promise((resolve, reject) => {
    zstdCompress(bytes, settings, (error, compressed) => (error === null ? resolve(compressed) : reject(error)));
  });
}

/** Zstd frames that hold exactly `sizeBytes`. Failure "bad-input". */
export function expandFrames(bytes: Uint8Array, sizeBytes: number): Buffer {
  let expanded: Buffer;
  try {
    expanded = zstdDecompressSync(bytes, { maxOutputLength: sizeBytes, chunkSize: sizeBytes + ROOM_BYTES });
  } catch (error) {
    throw decodeFailure(error, "zstd");
  }
  if (expanded.length === sizeBytes) return expanded;
  throw new Failure(
    "bad-input",
    `Cannot decompress zstd content: it has ${expanded.length} bytes, wanted ${sizeBytes}`,
  );
}

/** One gzip member, level 6, as other tools make by default. */
export function compressGzip(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return through(
    inPieces(source, CHUNK_BYTES),
    () => createGzip({ level: GZIP_LEVEL, chunkSize: CHUNK_BYTES }),
    "gzip",
  );
}

function zstdParams(options: CompressOptions): Record<number, number> {
  return {
    [constants.ZSTD_c_compressionLevel]: options.level ?? ZSTD_LEVEL,
    [constants.ZSTD_c_nbWorkers]: ZSTD_WORKERS,
    [constants.ZSTD_c_checksumFlag]: 0,
  };
}

/** What the first bytes of a file say; "none" for everything that is neither gzip nor zstd. */
export function sniffCompression(start: Uint8Array): Compression {
  if (start[0] === 0x1f && start[1] === 0x8b) return "gzip";
  const isFrame = start[0] === 0x28 && start[1] === 0xb5;
  const isSkippable = ((start[0] ?? 0) & 0xf0) === 0x50 && start[1] === 0x2a;
  return (isFrame && start[2] === 0x2f && start[3] === 0xfd) || (isSkippable && start[2] === 0x4d && start[3] === 0x18)
    ? "zstd"
    : "none";
}

/** Feeds and reads at the same time; a failure of either side ends the other. */
async function* through(
  source: AsyncIterable<Uint8Array>,
  create: () => Codec,
  name: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const codec = create();
  let sourceError: { readonly error: unknown } | undefined;
  const feed = async (): Promise<void> => {
    try {
      for await (const chunk of source) {
        if (codec.destroyed) return;
        if (!codec.write(chunk)) await drained(codec);
      }
      codec.end();
    } catch (error) {
      sourceError = { error };
      codec.destroy();
    }
  };
  const feeding = feed();
  try {
    for await (const chunk of codec) yield chunk;
  } catch (error) {
    if (sourceError === undefined) throw decodeFailure(error, name);
  } finally {
    codec.destroy();
    await feeding;
  }
  if (sourceError !== undefined) throw (sourceError as { readonly error: unknown }).error;
}

function decodeFailure(error: unknown, name: string): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!/^(?:Z_|ZSTD_|ERR_(?:BUFFER|TRAILING|ZLIB|INVALID))/.test(code)) return error;
  return new Failure("bad-input", `Cannot decompress ${name} content: it is damaged or ends too early`, {
    cause: error,
  });
}

function drained(codec: Codec): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      codec.off("drain", done);
      codec.off("close", done);
      resolve();
    };
    codec.on("drain", done);
    codec.on("close", done);
  });
}

async function* inPieces(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  let piece = Buffer.allocUnsafe(size);
  let filled = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const take = Math.min(size - filled, chunk.length - at);
      piece.set(chunk.subarray(at, at + take), filled);
      filled += take;
      at += take;
      if (filled < size) continue;
      yield piece;
      piece = Buffer.allocUnsafe(size);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}
