/**
 * createLayerSplitter(): a layer's tar becomes objects and one splitstream while it flows through. Headers, padding and files of
 * at most 64 bytes stay in the splitstream; larger files are objects.
 *
 * @see composefs-rs doc/oci.md; the limit is part of the EROFS image's digest
 */
import { createSplitstreamWriter, type SplitstreamWriter } from "../format/splitstream/splitstream.ts";
import { createTarParser } from "../format/tar/parser.ts";
import type { WrittenObject } from "./content-writer.ts";
import { createObjectQueue } from "./object-queue.ts";
import type { Repository } from "./repository.ts";

/** Bytes of the largest file that is part of the image itself. */
export const INLINE_BYTES_MAX = 64;

/** Bytes that go in between two looks at how much is under way. */
const PUSH_BYTES = 512 * 1024;

export interface LayerSplitter {
  /** Resolves when more may come. Throws SyntaxError for a bad tar. */
  push(chunk: Uint8Array): Promise<void>;
  /** The content of the file whose header came last is an object that is here; it is not pushed. Throws SyntaxError where it does not fit. */
  reuse(object: WrittenObject, sizeBytes: number): void;
  /** All its objects are written (not synced). */
  finish(): Promise<SplitLayer>;
  /** Takes away what is half written. */
  abandon(): void;
}

export interface SplitLayer {
  /** The splitstream. */
  readonly bytes: Buffer;
  /** The sha256 of each object's content, in the order of the splitstream's references. */
  readonly contents: Buffer;
}

export function createLayerSplitter(repository: Repository): LayerSplitter {
  const writer = createSplitstreamWriter("ocilayer", repository.algorithm);
  const tape = createTape(writer);
  /** Object id to the hash of its content, in the order of the stream's references. */
  const contents = new Map<string, string>();
  const queue = createObjectQueue(repository.writer, repository.pool(), ({ id, contentHash }, sizeBytes) => {
    contents.set(id, contentHash);
    tape.resolve(id, sizeBytes);
  });
  /** Of the last member, while its content has not begun. */
  let expectedBytes = 0;
  let isExternal = false;
  const parser = createTarParser({
    raw: (bytes) => tape.inline(bytes),
    member(member) {
      expectedBytes = member.kind === "file" ? member.size : 0;
      isExternal = expectedBytes > INLINE_BYTES_MAX;
    },
    content(bytes) {
      if (!isExternal) return tape.inline(bytes);
      if (expectedBytes > 0) {
        tape.expect();
        queue.begin(expectedBytes);
        expectedBytes = 0;
      }
      queue.write(bytes);
    },
  });
  return {
    async push(chunk) {
      for (let at = 0; at < chunk.length; at += PUSH_BYTES) {
        parser.push(chunk.subarray(at, at + PUSH_BYTES));
        await queue.ready();
      }
    },
    reuse(object, sizeBytes) {
      if (!isExternal || sizeBytes !== expectedBytes)
        throw new SyntaxError(`an object of ${sizeBytes} bytes stands where ${expectedBytes} are wanted`);
      parser.skipContent();
      expectedBytes = 0;
      tape.expect();
      queue.reuse(object, sizeBytes);
    },
    async finish() {
      parser.end();
      await queue.flush();
      return { bytes: writer.finish(), contents: Buffer.from([...contents.values()].join(""), "hex") };
    },
    abandon: () => queue.abandon(),
  };
}

interface Tape {
  inline(bytes: Uint8Array): void;
  /** An object belongs here; its id comes later. */
  expect(): void;
  /** Ids arrive in the order of expect(). */
  resolve(objectId: string, sizeBytes: number): void;
}

/** Keeps inline bytes back while an object before them has no id yet. */
function createTape(writer: SplitstreamWriter): Tape {
  /** Inline bytes after each object that is waited for. */
  const held: Buffer[][] = [];
  let first = 0;
  return {
    inline(bytes) {
      const last = held.at(-1);
      if (last === undefined || first === held.length) writer.inline(bytes);
      else last.push(Buffer.from(bytes));
    },
    expect() {
      held.push([]);
    },
    resolve(objectId, sizeBytes) {
      writer.external(objectId, sizeBytes);
      for (const bytes of held[first] ?? []) writer.inline(bytes);
      first += 1;
      if (first < 4096) return;
      held.splice(0, first);
      first = 0;
    },
  };
}
