/**
 * Numbers of a delta: unsigned LEB128 of at most 53 bits; signed ones are folded (0, -1, 1, -2, …) first. Small numbers, which are
 * nearly all of them, take one byte, and a column of them compresses well.
 *
 * A reader throws SyntaxError for a number past its limit or a table that ends early; it never allocates by what it reads.
 */

export interface NumberWriter {
  unsigned(value: number): void;
  signed(value: number): void;
  raw(bytes: Uint8Array): void;
  byte(value: number): void;
  /** Written so far. */
  readonly sizeBytes: number;
  /** All of it, good until more is written: the writer begins anew in the same memory. */
  finish(): Buffer;
}

export interface NumberReader {
  /** At most `max`. */
  unsigned(what: string, max: number): number;
  signed(what: string): number;
  raw(what: string, sizeBytes: number): Buffer;
  /** Throws SyntaxError unless everything was read. */
  end(): void;
}

const NUMBER_BYTES_MAX = 8;

export function createNumberWriter(): NumberWriter {
  let bytes = Buffer.allocUnsafe(1024);
  let filled = 0;
  const reserve = (count: number): void => {
    if (filled + count <= bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(bytes.length * 2, filled + count));
    bytes.copy(larger, 0, 0, filled);
    bytes = larger;
  };
  const unsigned = (value: number): void => {
    reserve(NUMBER_BYTES_MAX);
    let rest = value;
    while (rest > 0x7f) {
      bytes[filled++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    bytes[filled++] = rest;
  };
  return {
    unsigned,
    signed: (value) => unsigned(value < 0 ? -value * 2 - 1 : value * 2),
    raw(more) {
      reserve(more.length);
      bytes.set(more, filled);
      filled += more.length;
    },
    byte(value) {
      reserve(1);
      bytes[filled++] = value;
    },
    get sizeBytes() {
      return filled;
    },
    finish() {
      const whole = bytes.subarray(0, filled);
      filled = 0;
      return whole;
    },
  };
}

export function createNumberReader(bytes: Buffer): NumberReader {
  let at = 0;
  const unsigned = (what: string, max: number): number => {
    let value = 0;
    let scale = 1;
    for (let count = 0; ; count += 1) {
      const byte = bytes[at++];
      if (byte === undefined) throw new SyntaxError(`${what} is missing: the table ends after ${bytes.length} bytes`);
      value += (byte & 0x7f) * scale;
      if (value > max || count === NUMBER_BYTES_MAX) throw new SyntaxError(`${what} is more than ${max}`);
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  };
  return {
    unsigned,
    signed(what) {
      const folded = unsigned(what, Number.MAX_SAFE_INTEGER);
      return folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2;
    },
    raw(what, sizeBytes) {
      if (at + sizeBytes > bytes.length)
        throw new SyntaxError(`${what} is missing: the table ends after ${bytes.length} bytes`);
      return bytes.subarray(at, (at += sizeBytes));
    },
    end() {
      if (at !== bytes.length) throw new SyntaxError(`${bytes.length - at} bytes follow where the table should end`);
    },
  };
}
