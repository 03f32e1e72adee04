/**
 * readBlockHead(): how a deflate block begins, and the two codes that its symbols are written in.
 *
 * @see RFC 1951, 3.2.3 to 3.2.7
 */
import type { BitReader } from "./bits.ts";

export interface BlockHead {
  readonly isLast: boolean;
  /** undefined for a stored block. */
  readonly codes: { readonly literals: Uint8Array; readonly distances: Uint8Array } | undefined;
  /** Of a stored block. */
  readonly storedBytes: number;
}

export const END_OF_BLOCK = 256;
const CODE_BITS_MAX = 15;
const LENGTH_CODES_MAX = 286;
const DISTANCE_CODES_MAX = 30;
/** In this order the lengths of the code of the code lengths stand. */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] as const;
const FIXED = {
  literals: Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)),
  distances: new Uint8Array(32).fill(5),
};

/** Codes are lengths by symbol. Throws SyntaxError. */
export function readBlockHead(bits: BitReader): BlockHead {
  const isLast = bits.take(1) === 1;
  switch (bits.take(2)) {
    case 0: {
      bits.align();
      const storedBytes = bits.take(16);
      if (bits.take(16) !== (storedBytes ^ 0xffff)) throw new SyntaxError("a stored block's size is damaged");
      return { isLast, codes: undefined, storedBytes };
    }
    case 1:
      return { isLast, codes: FIXED, storedBytes: 0 };
    case 2:
      return { isLast, codes: readCodes(bits), storedBytes: 0 };
    default:
      throw new SyntaxError("a block is of no known type");
  }
}

function readCodes(bits: BitReader): { literals: Uint8Array; distances: Uint8Array } {
  const literals = bits.take(5) + 257;
  const distances = bits.take(5) + 1;
  const given = bits.take(4) + 4;
  if (literals > LENGTH_CODES_MAX || distances > DISTANCE_CODES_MAX)
    throw new SyntaxError(`a block has ${literals} and ${distances} codes`);
  const ofLengths = new Uint8Array(ORDER.length);
  for (const symbol of ORDER.slice(0, given)) ofLengths[symbol] = bits.take(3);
  const table = decodingTable(ofLengths);
  const lengths = new Uint8Array(literals + distances);
  for (let at = 0; at < lengths.length; ) {
    const entry = entryOf(table, bits.peek());
    bits.skip(entry & 15);
    const symbol = entry >>> 4;
    if (symbol < 16) lengths[at++] = symbol;
    else {
      const [value, count] = repeatOf(bits, symbol, lengths[at - 1]);
      if (at + count > lengths.length) throw new SyntaxError("a block has too many code lengths");
      lengths.fill(value, at, (at += count));
    }
  }
  return { literals: lengths.subarray(0, literals), distances: lengths.subarray(literals) };
}

function repeatOf(bits: BitReader, symbol: number, before: number | undefined): readonly [number, number] {
  if (symbol === 17) return [0, 3 + bits.take(3)];
  if (symbol === 18) return [0, 11 + bits.take(7)];
  if (before === undefined) throw new SyntaxError("a block's first code length repeats none");
  return [before, 3 + bits.take(2)];
}

/** By the next bits of the stream: a symbol times 16 and how many bits it takes; 0 where there is no code. SyntaxError. */
export function decodingTable(lengths: Uint8Array): Uint16Array {
  const table = new Uint16Array(2 ** Math.max(1, ...lengths));
  const codes = reversedCodes(lengths);
  for (let symbol = 0; symbol < lengths.length; symbol += 1) {
    const bits = lengths[symbol] ?? 0;
    if (bits === 0) continue;
    const step = 1 << bits;
    for (let at = codes[symbol] ?? 0; at < table.length; at += step) table[at] = symbol * 16 + bits;
  }
  return table;
}

/** Throws SyntaxError where there is no code. */
export function entryOf(table: Uint16Array, bits: number): number {
  const entry = table[bits & (table.length - 1)] ?? 0;
  if (entry === 0) throw new SyntaxError("bits are no code");
  return entry;
}

/** By symbol: its code times 16 and how many bits it has; 0 where there is none. Throws SyntaxError for more codes than there can be. */
export function encodingTable(lengths: Uint8Array): Uint32Array {
  const table = new Uint32Array(lengths.length);
  const codes = reversedCodes(lengths);
  for (let symbol = 0; symbol < lengths.length; symbol += 1)
    table[symbol] = (codes[symbol] ?? 0) * 16 + (lengths[symbol] ?? 0);
  return table;
}

/** By symbol, the first bit lowest, as it stands in the stream. */
function reversedCodes(lengths: Uint8Array): Uint16Array {
  const counts = new Uint16Array(CODE_BITS_MAX + 1);
  for (const bits of lengths) if (bits > 0) counts[bits] = (counts[bits] ?? 0) + 1;
  const next = new Uint16Array(CODE_BITS_MAX + 1);
  let code = 0;
  for (let bits = 1; bits <= CODE_BITS_MAX; bits += 1) {
    code = (code + (counts[bits - 1] ?? 0)) * 2;
    next[bits] = code;
    if (code + (counts[bits] ?? 0) > 2 ** bits) throw new SyntaxError("a block has too many codes");
  }
  const codes = new Uint16Array(lengths.length);
  for (let symbol = 0; symbol < lengths.length; symbol += 1) {
    const bits = lengths[symbol] ?? 0;
    if (bits === 0) continue;
    const own = next[bits] ?? 0;
    next[bits] = own + 1;
    codes[symbol] = reverse(own, bits);
  }
  return codes;
}

function reverse(value: number, bits: number): number {
  let result = 0;
  for (let i = 0; i < bits; i += 1) result |= ((value >>> i) & 1) << (bits - 1 - i);
  return result;
}
