/**
 * writeChunked(): a tar → a zstd:chunked layer. To everyone who does not know the format it is plain zstd of the same tar. Equal tars
 * give equal bytes.
 *
 * @see containers/storage docs/containers-storage-zstd-chunked.md
 */
import { compressFrame } from "../../core/compress.ts";
import { digestOf } from "../../core/digest.ts";
import { createCutter, type Cutter, type Piece } from "./cut.ts";
import { formatAnnotations, type Positions, writeTail } from "./frames.ts";
import { formatToc } from "./toc.ts";

export interface ChunkedLayer {
  /** The blob. Throws SyntaxError for a bad tar. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** For the layer's descriptor; complete when `bytes` has been read to its end. */
  annotations(): Readonly<Record<string, string>>;
}

/** As small as gzip -6 for the same CPU or less, although each file is a frame of its own; see docs/decisions/0003. */
const FRAME_LEVEL = 5;
/** The tables are a small part of the blob and every update fetches them. */
const TABLE_LEVEL = 9;
/** Bytes of the tar that are being compressed at the same time. */
const AHEAD_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of the tar that go in between two looks at that. */
const PUSH_BYTES = 1024 * 1024;
/** Bytes of a chunk that comes out. */
const OUT_BYTES = 512 * 1024;

interface Compressing extends Piece {
  readonly result: Buffer | Promise<Buffer>;
}

export function writeChunked(tar: AsyncIterable<Uint8Array>): ChunkedLayer {
  let positions: Positions | undefined;
  return {
    bytes: write(tar, (found) => void (positions = found)),
    annotations() {
      if (positions === undefined) throw new Error("the blob has not been read to its end");
      return formatAnnotations(positions);
    },
  };
}

async function* write(
  tar: AsyncIterable<Uint8Array>,
  done: (positions: Positions) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const queue: Compressing[] = [];
  let aheadBytes = 0;
  let offset = 0;
  let out: Buffer[] = [];
  let outBytes = 0;
  const cutter = createCutter((piece) => {
    const result = compressFrame(piece.bytes, { level: FRAME_LEVEL });
    // Told when its turn comes.
    if (result instanceof Promise) result.catch(() => {});
    queue.push({ ...piece, result });
    aheadBytes += piece.bytes.length;
  });
  const take = async (aheadMax: number): Promise<void> => {
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      if (next.result instanceof Promise && aheadBytes <= aheadMax) return;
      const frame = await next.result;
      queue.shift();
      aheadBytes -= next.bytes.length;
      next.place(offset, offset + frame.length);
      offset += frame.length;
      out.push(frame);
      outBytes += frame.length;
    }
  };
  for await (const chunk of tar) {
    for (let at = 0; at < chunk.length; at += PUSH_BYTES) {
      cutter.push(chunk.subarray(at, at + PUSH_BYTES));
      await take(AHEAD_BYTES_MAX);
      if (outBytes < OUT_BYTES) continue;
      yield Buffer.concat(out);
      out = [];
      outBytes = 0;
    }
  }
  cutter.end();
  await take(-1);
  const tail = await makeTail(cutter, offset);
  yield Buffer.concat([...out, tail.bytes]);
  done(tail.positions);
}

async function makeTail(
  { entries, tarSplit }: Cutter,
  offset: number,
): Promise<{ readonly bytes: Buffer; readonly positions: Positions }> {
  const split = tarSplit.finish();
  const splitFrame = await compressFrame(split, { level: TABLE_LEVEL });
  const toc = Buffer.from(formatToc(entries, digestOf(splitFrame)));
  const tocFrame = await compressFrame(toc, { level: TABLE_LEVEL });
  return writeTail(
    offset,
    { compressed: tocFrame, bytes: toc.length, digest: digestOf(tocFrame) },
    { compressed: splitFrame, bytes: split.length },
  );
}
