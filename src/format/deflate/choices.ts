/**
 * readChoices() and writeChosen(): what a gzip file has besides the bytes that it expands to, and the file from both. A compressor is
 * free in where blocks end, which codes they have and which bytes it takes from before; no other gives the same file, but with its choices
 * written down any gzip file is made again, at a fraction of the work. They stand in columns, which compress well and of which those
 * of two similar files are similar.
 *
 * @see RFC 1951, RFC 1952; docs/formats/delta.md, "Choices"
 */
import { createNumberReader, createNumberWriter, type NumberReader, type NumberWriter } from "../delta/numbers.ts";
import { type BitReader, type BitWriter, createBitReader, createBitWriter } from "./bits.ts";
import { type BlockHead, decodingTable, encodingTable, END_OF_BLOCK, entryOf, readBlockHead } from "./block-codes.ts";
import { memberStart } from "./member-start.ts";

/** By symbol from 257 on: the shortest length, and how many bits follow. */
const LENGTHS = bases(3, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5]);
/** The longest has a symbol of its own. */
const LENGTH_MIN = 3;
const LENGTH_MAX = 258;
const LENGTH_MAX_SYMBOL = 285;
const DISTANCES = bases(
  1,
  Array.from({ length: 30 }, (_, symbol) => Math.max(0, (symbol >> 1) - 1)),
);

interface Bases {
  readonly least: Uint16Array;
  readonly extraBits: Uint8Array;
}

function bases(first: number, extraBits: readonly number[]): Bases {
  const least = new Uint16Array(extraBits.length);
  let value = first;
  for (const [symbol, bits] of extraBits.entries()) {
    least[symbol] = value;
    value += 2 ** bits;
  }
  return { least, extraBits: Uint8Array.from(extraBits) };
}

/** Numbers of the matches, in their order. */
interface Columns {
  /** Literals before each match, and at the end of each block. */
  readonly runs: NumberWriter;
  readonly lengths: NumberWriter;
  readonly nearDistances: NumberWriter;
  readonly farDistances: NumberWriter;
}

/** Throws SyntaxError for what is no gzip file, or one that says a length in an unusual way. */
export function readChoices(file: Buffer): Buffer {
  const start = memberStart(file);
  const bits = createBitReader(file, start * 8);
  const blocks = createNumberWriter();
  const columns: Columns = {
    runs: createNumberWriter(),
    lengths: createNumberWriter(),
    nearDistances: createNumberWriter(),
    farDistances: createNumberWriter(),
  };
  let count = 0;
  for (let isLast = false; !isLast; count += 1) {
    const from = bits.position;
    const head = readBlockHead(bits);
    const bytes = file.subarray(from >>> 3, (bits.position + 7) >>> 3);
    const before = columns.lengths.sizeBytes;
    if (head.codes === undefined) {
      columns.runs.unsigned(head.storedBytes);
      bits.skip(head.storedBytes * 8);
    } else readMatches(bits, head.codes, columns);
    blocks.unsigned(columns.lengths.sizeBytes - before);
    blocks.unsigned(bytes.length);
    blocks.raw(bytes);
    ({ isLast } = head);
  }
  const end = (bits.position + 7) >>> 3;
  const out = createNumberWriter();
  const parts = [file.subarray(0, start), blocks.finish(), columns.runs.finish(), file.subarray(end)] as const;
  for (const part of parts) out.unsigned(part.length);
  out.unsigned(columns.lengths.sizeBytes);
  const { lengths, nearDistances, farDistances } = columns;
  return Buffer.concat([
    out.finish(),
    ...parts,
    ...[lengths, nearDistances, farDistances].map((column) => column.finish()),
  ]);
}

function readMatches(bits: BitReader, codes: NonNullable<BlockHead["codes"]>, columns: Columns): void {
  const literals = decodingTable(codes.literals);
  const distances = decodingTable(codes.distances);
  let run = 0;
  for (;;) {
    const entry = entryOf(literals, bits.peek());
    bits.skip(entry & 15);
    const symbol = entry >>> 4;
    if (symbol < END_OF_BLOCK) {
      run += 1;
      continue;
    }
    columns.runs.unsigned(run);
    run = 0;
    if (symbol === END_OF_BLOCK) return;
    columns.lengths.byte(readLength(bits, symbol) - LENGTH_MIN);
    const away = entryOf(distances, bits.peek());
    bits.skip(away & 15);
    const distance = valueOf(bits, DISTANCES, away >>> 4) - 1;
    columns.nearDistances.byte(distance & 0xff);
    columns.farDistances.byte(distance >>> 8);
  }
}

function readLength(bits: BitReader, symbol: number): number {
  if (symbol === LENGTH_MAX_SYMBOL) return LENGTH_MAX;
  const length = valueOf(bits, LENGTHS, symbol - END_OF_BLOCK - 1);
  if (length === LENGTH_MAX) throw new SyntaxError("the longest match is written the long way");
  return length;
}

function valueOf(bits: BitReader, { least, extraBits }: Bases, symbol: number): number {
  const value = least[symbol];
  if (value === undefined) throw new SyntaxError("a symbol means nothing");
  return value + bits.take(extraBits[symbol] ?? 0);
}

/** The file of `sizeBytes` with these choices that expands to `expanded`. Throws SyntaxError or RangeError when they do not fit. */
export function writeChosen(expanded: Buffer, choices: Buffer, sizeBytes: number): Buffer {
  const from = createNumberReader(choices);
  const size = (): number => from.unsigned("a column's size", choices.length);
  const [start, blocksBytes, runsBytes, end, matches] = [size(), size(), size(), size(), size()];
  const file = Buffer.alloc(sizeBytes);
  if (start + end > sizeBytes) throw new RangeError("there is no room for the ends of the file");
  from.raw("the start", start).copy(file);
  const blocks = createNumberReader(from.raw("the blocks", blocksBytes));
  const runs = createNumberReader(from.raw("the runs", runsBytes));
  from.raw("the end", end).copy(file, sizeBytes - end);
  const column = (): Buffer => from.raw("a column", matches);
  const columns = { lengths: column(), near: column(), far: column() };
  from.end();
  const out = createBitWriter(file.subarray(start, sizeBytes - end));
  let at = 0;
  let match = 0;
  for (let isLast = false; !isLast; ) {
    const count = blocks.unsigned("a block's matches", matches - match);
    const head = copyHead(blocks.raw("a block's head", blocks.unsigned("a head's size", blocksBytes)), out);
    if (head.codes === undefined) {
      const bytes = expanded.subarray(at, (at += runs.unsigned("a run", expanded.length - at)));
      out.bytes(bytes);
    } else {
      at = writeMatches(out, head.codes, { expanded, at, runs, columns, match, count });
      match += count;
    }
    ({ isLast } = head);
  }
  out.align();
  blocks.end();
  runs.end();
  if (at !== expanded.length || match !== matches || out.position !== (sizeBytes - start - end) * 8)
    throw new SyntaxError("the choices are not those of the bytes");
  return file;
}

/** A head is kept in whole bytes, so that it begins in the middle of one as it did in its file. */
function copyHead(bytes: Buffer, out: BitWriter): BlockHead {
  const start = out.position & 7;
  const head = createBitReader(bytes, start);
  const read = readBlockHead(head);
  const copied = createBitReader(bytes, start);
  while (copied.position < head.position) out.put(copied.take(1), 1);
  if (read.codes === undefined) out.align();
  return read;
}

interface Block {
  readonly expanded: Buffer;
  readonly at: number;
  readonly runs: NumberReader;
  readonly columns: { readonly lengths: Buffer; readonly near: Buffer; readonly far: Buffer };
  readonly match: number;
  readonly count: number;
}

/** Returns where in `expanded` the next block begins. */
function writeMatches(out: BitWriter, codes: NonNullable<BlockHead["codes"]>, block: Block): number {
  const { expanded, columns, runs } = block;
  const literals = encodingTable(codes.literals);
  const distances = encodingTable(codes.distances);
  let { at } = block;
  const writeRun = (): void => {
    const end = at + runs.unsigned("a run", expanded.length - at);
    for (; at < end; at += 1) putSymbol(out, literals, expanded[at] ?? 0);
  };
  for (let i = block.match; i < block.match + block.count; i += 1) {
    writeRun();
    const length = (columns.lengths[i] ?? 0) + LENGTH_MIN;
    putValue(out, literals, LENGTH_SYMBOLS, length);
    putValue(out, distances, DISTANCE_SYMBOLS, ((columns.near[i] ?? 0) | ((columns.far[i] ?? 0) << 8)) + 1);
    at += length;
  }
  writeRun();
  putSymbol(out, literals, END_OF_BLOCK);
  return at;
}

interface Symbols {
  readonly symbols: Uint16Array;
  /** What is taken from a value, the rest follows its symbol. */
  readonly least: Uint16Array;
  readonly extraBits: Uint8Array;
}

const LENGTH_SYMBOLS = symbolsOf(LENGTHS, END_OF_BLOCK + 1, LENGTH_MAX);
LENGTH_SYMBOLS.symbols[LENGTH_MAX] = LENGTH_MAX_SYMBOL;
LENGTH_SYMBOLS.least[LENGTH_MAX] = LENGTH_MAX;
LENGTH_SYMBOLS.extraBits[LENGTH_MAX] = 0;
const DISTANCE_SYMBOLS = symbolsOf(DISTANCES, 0, 32768);

function symbolsOf({ least, extraBits }: Bases, first: number, max: number): Symbols {
  const found = {
    symbols: new Uint16Array(max + 1),
    least: new Uint16Array(max + 1),
    extraBits: new Uint8Array(max + 1),
  };
  for (const [symbol, value] of least.entries()) {
    const bits = extraBits[symbol] ?? 0;
    found.symbols.fill(first + symbol, value, value + 2 ** bits);
    found.least.fill(value, value, value + 2 ** bits);
    found.extraBits.fill(bits, value, value + 2 ** bits);
  }
  return found;
}

function putSymbol(out: BitWriter, table: Uint32Array, symbol: number): void {
  const entry = table[symbol] ?? 0;
  if (entry === 0) throw new SyntaxError("a block has no code for one of its symbols");
  out.put(entry >>> 4, entry & 15);
}

function putValue(out: BitWriter, codes: Uint32Array, { symbols, least, extraBits }: Symbols, value: number): void {
  putSymbol(out, codes, symbols[value] ?? 0);
  const bits = extraBits[value] ?? 0;
  if (bits > 0) out.put(value - (least[value] ?? 0), bits);
}
