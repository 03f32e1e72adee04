/**
 * createCutter(): cuts a tar into the pieces that become zstd frames, at the edges of files: each file's content stands apart from the
 * headers around it, and a large one in chunks, so that a reader can fetch and decompress any file alone. The pieces joined are the tar.
 */
import { createDigester, type Digester, digestOf } from "../../core/digest.ts";
import type { TarOrigin } from "../tar/member.ts";
import { createTarParser } from "../tar/parser.ts";
import { type Crc64, createCrc64 } from "./crc64.ts";
import { createTarSplitWriter, type TarSplitWriter } from "./tar-split.ts";
import type { DraftEntry } from "./toc.ts";

export interface Piece {
  readonly bytes: Buffer;
  /** Called with where the piece's frame lies in the blob. */
  readonly place: (offset: number, endOffset: number) => void;
}

export interface Cutter {
  /** Throws SyntaxError for a bad tar. */
  push(chunk: Uint8Array): void;
  end(): void;
  readonly entries: readonly DraftEntry[];
  readonly tarSplit: TarSplitWriter;
}

/** Large enough to cost no compression, small enough that a few fit in memory. */
const CHUNK_BYTES = 4 * 1024 * 1024;

interface FileInProgress {
  readonly entry: DraftEntry;
  readonly sizeBytes: number;
  readonly digester: Digester;
  readonly crc: Crc64;
  /** Content before the chunk that is being filled. */
  start: number;
  chunk: Buffer;
  filled: number;
}

/** `emit` gets the pieces in order. */
export function createCutter(emit: (piece: Piece) => void): Cutter {
  const entries: DraftEntry[] = [];
  const tarSplit = createTarSplitWriter();
  /** Headers and padding since the last content. */
  let raw: Buffer[] = [];
  let rawBytes = 0;
  /** Headers and padding since the last member. */
  let segment: Buffer[] = [];
  let origin: TarOrigin | undefined;
  let file: FileInProgress | undefined;

  const endRaw = (): void => {
    if (rawBytes > 0) emit({ bytes: Buffer.concat(raw), place: () => {} });
    raw = [];
    rawBytes = 0;
  };
  const endSegment = (): void => {
    if (segment.length > 0) tarSplit.segment(Buffer.concat(segment));
    segment = [];
  };

  const parser = createTarParser({
    raw(bytes) {
      const copy = Buffer.from(bytes);
      segment.push(copy);
      raw.push(copy);
      rawBytes += copy.length;
      if (rawBytes >= CHUNK_BYTES) endRaw();
    },
    origin: (found) => void (origin = found),
    member(member) {
      if (origin === undefined) return;
      const entry: DraftEntry = { member, origin, chunks: [], endOffset: 0 };
      entries.push(entry);
      endSegment();
      const sizeBytes = member.kind === "file" ? member.size : 0;
      if (sizeBytes === 0) return tarSplit.entry(origin.name, 0, undefined);
      endRaw();
      const chunk = Buffer.allocUnsafe(Math.min(sizeBytes, CHUNK_BYTES));
      file = { entry, sizeBytes, digester: createDigester(), crc: createCrc64(), start: 0, chunk, filled: 0 };
    },
    content(bytes) {
      if (file === undefined) return;
      file.digester.update(bytes);
      file.crc.update(bytes);
      for (let at = 0; at < bytes.length; ) {
        const take = Math.min(file.chunk.length - file.filled, bytes.length - at);
        file.chunk.set(bytes.subarray(at, at + take), file.filled);
        file.filled += take;
        at += take;
        if (file.filled === file.chunk.length) emitChunk(file, emit);
      }
      if (file.start < file.sizeBytes) return;
      file.entry.digest = file.digester.digest();
      tarSplit.entry(file.entry.origin.name, file.sizeBytes, file.crc.digest());
      file = undefined;
    },
  });

  return {
    push: (chunk) => parser.push(chunk),
    end() {
      parser.end();
      endRaw();
      endSegment();
    },
    entries,
    tarSplit,
  };
}

function emitChunk(file: FileInProgress, emit: (piece: Piece) => void): void {
  const { entry, sizeBytes, start, chunk: bytes } = file;
  const end = start + bytes.length;
  // A file of one chunk has its digest already.
  const digest = bytes.length === sizeBytes ? undefined : digestOf(bytes);
  file.start = end;
  file.chunk = Buffer.allocUnsafe(Math.min(sizeBytes - end, CHUNK_BYTES));
  file.filled = 0;
  emit({
    bytes,
    place(offset, endOffset) {
      entry.chunks.push({ start, sizeBytes: bytes.length, digest, offset });
      entry.endOffset = endOffset;
    },
  });
}
