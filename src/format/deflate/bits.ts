/** createBitReader() and createBitWriter(): bits in deflate's order, the lowest of a byte first. @see RFC 1951, 3.1.1 */

export interface BitReader {
  /** The next 16 bits, which stay; those after the end are zero. */
  peek(): number;
  /** Moves on. */
  skip(bits: number): void;
  /** Up to 16 bits. SyntaxError after the end. */
  take(bits: number): number;
  /** Moves on to a whole byte. */
  align(): void;
  /** Bits that lie behind. */
  readonly position: number;
}

/** `position`: of the first bit. */
export function createBitReader(bytes: Uint8Array, position: number): BitReader {
  const end = bytes.length * 8;
  const peek = (): number => {
    const at = position >>> 3;
    const word = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
    return (word >>> (position & 7)) & 0xffff;
  };
  const skip = (bits: number): void => {
    position += bits;
    if (position > end) throw new SyntaxError("the bits end too early");
  };
  return {
    peek,
    skip,
    take(bits) {
      const value = peek() & ((1 << bits) - 1);
      skip(bits);
      return value;
    },
    align: () => skip(-position & 7),
    get position() {
      return position;
    },
  };
}

export interface BitWriter {
  /** The low `bits` of `value`, at most 16. RangeError when there is no room. */
  put(value: number, bits: number): void;
  /** Zeros up to a whole byte. */
  align(): void;
  /** Whole bytes, after align(). */
  bytes(source: Uint8Array): void;
  /** Bits written. */
  readonly position: number;
}

/** Into `into`. */
export function createBitWriter(into: Buffer): BitWriter {
  let at = 0;
  let held = 0;
  let count = 0;
  const requireRoom = (bytes: number): void => {
    if (at + bytes > into.length) throw new RangeError(`there is no room for more than ${into.length} bytes`);
  };
  const align = (): void => {
    const bytes = (count + 7) >>> 3;
    requireRoom(bytes);
    for (let i = 0; i < bytes; i += 1) into[at++] = held >>> (8 * i);
    held = 0;
    count = 0;
  };
  return {
    put(value, bits) {
      held |= value << count;
      count += bits;
      if (count < 16) return;
      requireRoom(2);
      into[at++] = held;
      into[at++] = held >>> 8;
      held >>>= 16;
      count -= 16;
    },
    align,
    bytes(source) {
      requireRoom(source.length);
      into.set(source, at);
      at += source.length;
    },
    get position() {
      return at * 8 + count;
    },
  };
}
