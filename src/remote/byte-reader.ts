/** createByteReader(): a stream read by counts of bytes. Running out is a Failure "bad-input". */
import { collectBytes } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";

export interface ByteReader {
  read(count: number): Promise<Buffer>;
  skip(count: number): Promise<void>;
  /** The next `count` bytes as they come; must be read to their end. */
  stream(count: number): AsyncIterable<Uint8Array>;
  /** Ends the source. */
  close(): Promise<void>;
}

export function createByteReader(source: AsyncGenerator<Uint8Array, void, undefined>): ByteReader {
  let rest: Uint8Array = new Uint8Array(0);
  async function* stream(count: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let left = count; left > 0; ) {
      if (rest.length === 0) {
        const next = await source.next();
        if (next.done === true) throw new Failure("bad-input", `Cannot read ${left} more bytes: the source has ended`);
        rest = next.value;
      }
      const piece = rest.subarray(0, left);
      rest = rest.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }
  return {
    read: (count) => collectBytes(stream(count)),
    async skip(count) {
      for await (const _ of stream(count));
    },
    stream,
    async close() {
      await source.return();
    },
  };
}
