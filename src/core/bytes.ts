/**
 * ByteName and helpers over bytes. A name inside an image is a sequence of bytes, kept as a latin1 string: it sorts and
 * hashes as bytes and is decoded as UTF-8 only to be shown.
 */

export type ByteName = string & { readonly __brand: "ByteName" };

/** The bytes of a latin1 string, one byte a character. Characters above U+00FF are a bug of the caller. */
export function byteNameToBytes(name: string): Buffer {
  return Buffer.from(name, "latin1");
}

export function bytesToByteName(bytes: Uint8Array): ByteName {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1") as ByteName;
}

/** A name written by a person (UTF-8 text) as the bytes that a file system holds. */
export function textToByteName(text: string): ByteName {
  return (/^[\x00-\x7f]*$/.test(text) ? text : Buffer.from(text, "utf8").toString("latin1")) as ByteName;
}

/** For showing only: bytes that are not UTF-8 come out as U+FFFD. */
export function byteNameToText(name: string): string {
  return /^[\x00-\x7f]*$/.test(name) ? name : Buffer.from(name, "latin1").toString("utf8");
}

/** Byte order: what LC_ALL=C sort does. Right for ByteNames because they are latin1. */
export function compareBytes(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** All of a stream in one buffer. For content whose size somebody has limited. */
export async function collectBytes(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** One chunk as the stream that the rest of the program passes around. */
export async function* streamOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
}

/** A 64-bit value from a format's edge as a number. Throws RangeError past 2^53-1. */
export function toSafeInteger(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) {
    throw new RangeError(`Cannot read ${what} ${value}: it does not fit in 53 bits`);
  }
  return Number(value);
}
