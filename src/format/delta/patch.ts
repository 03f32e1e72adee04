/**
 * A patch makes one content of another, its base, as bsdiff does: a run of bytes is the base's bytes plus a difference, byte by
 * byte, and between runs stand literal bytes. Addresses that moved by the same amount differ by the same few bytes everywhere, so
 * that the differences of a rebuilt program compress to little. Nearly all are zero: only the others are written, and how many
 * bytes lie between them.
 *
 * Instructions are numbers: signed seek in the base, bytes to add, bytes to insert; they end when the piece is full. The base
 * position of a piece begins at the piece's own offset.
 *
 * @see C. Percival, "Naive Differences of Executable Code", 2003
 */
import { createNumberReader, createNumberWriter, type NumberReader } from "./numbers.ts";

export interface PatchStreams {
  /** Instructions. */
  readonly control: Buffer;
  /** Of each difference, how many added bytes since the one before it are the base's own. */
  readonly gaps: Buffer;
  /** What is added to bytes of the base, where it is not zero. */
  readonly differences: Buffer;
  /** Bytes that the base does not have. */
  readonly literals: Buffer;
}

export interface PatchEncoder {
  /** Bytes `start` to `end` of `target`. */
  encode(target: Buffer, start: number, end: number, out: PatchWriter): void;
}

/** Of several pieces, one after the other. */
export interface PatchWriter {
  /** An instruction: `target` is made of as many bytes of the base; `literals` follow. */
  run(seek: number, base: Buffer, target: Buffer, literals: Buffer): void;
  /** Good until the next run; the writer begins anew in the same memory. */
  finish(): PatchStreams;
}

export function createPatchWriter(): PatchWriter {
  const control = createNumberWriter();
  const gaps = createNumberWriter();
  const differences = createNumberWriter();
  const literals = createNumberWriter();
  let gap = 0;
  return {
    run(seek, base, target, more) {
      control.signed(seek);
      control.unsigned(target.length);
      for (let i = 0; i < target.length; i += 1) {
        const difference = (target[i] ?? 0) - (base[i] ?? 0);
        if (difference === 0) gap += 1;
        else {
          gaps.unsigned(gap);
          differences.byte(difference);
          gap = 0;
        }
      }
      control.unsigned(more.length);
      literals.raw(more);
    },
    finish() {
      gap = 0;
      return {
        control: control.finish(),
        gaps: gaps.finish(),
        differences: differences.finish(),
        literals: literals.finish(),
      };
    },
  };
}

/** Shortest match worth a seek. */
const MATCH_BYTES_MIN = 16;
/** Bytes of two candidates that are compared. */
const COMPARED_BYTES = 64;
/** A new place in the base must agree in so many more bytes than going on at the present one. */
const GAIN_MIN = 12;
/** Hashed at once. */
const KEY_BYTES = 8;
/** Places of the base that are remembered: about a slot of four bytes each. */
const PLACES_MAX = 8 * 1024 * 1024;

export function createPatchEncoder(base: Buffer): PatchEncoder {
  const index = indexBase(base);
  return {
    encode: (target, start, end, out) => encodePiece(base, index, target, { start, end, out }),
  };
}

interface BaseIndex {
  readonly view: DataView;
  /** Place by hash, -1 where there is none. The first place of equal ones wins. */
  readonly places: Int32Array;
  readonly shift: number;
}

function indexBase(base: Buffer): BaseIndex {
  let stride = 4;
  while (base.length / stride > PLACES_MAX) stride *= 2;
  let bits = 10;
  while (2 ** bits < (base.length / stride) * 1.5) bits += 1;
  const view = new DataView(base.buffer, base.byteOffset, base.length);
  const places = new Int32Array(2 ** bits).fill(-1);
  const shift = 32 - bits;
  const last = Math.floor((base.length - KEY_BYTES) / stride) * stride;
  for (let at = last; at >= 0; at -= stride) places[hashAt(view, at, shift)] = at;
  return { view, places, shift };
}

function hashAt(view: DataView, at: number, shift: number): number {
  const low = Math.imul(view.getInt32(at, true), 0x9e3779b1);
  const high = Math.imul(view.getInt32(at + 4, true), 0x85ebca77);
  return Math.imul(low ^ high, 0xc2b2ae3d) >>> shift;
}

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly out: PatchWriter;
}

function encodePiece(base: Buffer, index: BaseIndex, target: Buffer, piece: Piece): void {
  const { start, end } = piece;
  const view = new DataView(target.buffer, target.byteOffset, target.length);
  const out = createRuns(base, target, piece);
  const isSame = (from: number, to: number): boolean =>
    from >= 0 && from + 4 <= base.length && index.view.getInt32(from, true) === view.getInt32(to, true);

  for (let at = start; at + MATCH_BYTES_MIN <= end; ) {
    const present = out.alignedWith(at);
    if (isSame(present, at)) {
      at += 4;
      continue;
    }
    const place = index.places[hashAt(view, at, index.shift)] ?? -1;
    const match = place < 0 || place === present ? undefined : matchAt(base, target, { place, at, low: out.done, end });
    if (match === undefined || match.bytes < gainWanted(base, target, present, at, match)) {
      at += 1;
      continue;
    }
    out.runAt(at - match.before, place - match.before);
    at += match.bytes - match.before;
  }
  out.finish();
}

interface Match {
  /** Of them, how many stand before the place. */
  readonly before: number;
  /** All. At most twice COMPARED_BYTES. */
  readonly bytes: number;
}

function matchAt(
  base: Buffer,
  target: Buffer,
  { place, at, low, end }: { place: number; at: number; low: number; end: number },
): Match | undefined {
  const forwardMax = Math.min(COMPARED_BYTES, end - at, base.length - place);
  let forward = 0;
  while (forward < forwardMax && base[place + forward] === target[at + forward]) forward += 1;
  const beforeMax = Math.min(COMPARED_BYTES, at - low, place);
  let before = 0;
  while (before < beforeMax && base[place - 1 - before] === target[at - 1 - before]) before += 1;
  const bytes = before + forward;
  return bytes < MATCH_BYTES_MIN ? undefined : { before, bytes };
}

/** How long a match must be to be better than going on at the present place. */
function gainWanted(base: Buffer, target: Buffer, present: number, at: number, match: Match): number {
  let agreeing = 0;
  for (let i = -match.before; i < match.bytes - match.before; i += 1) {
    if (base[present + i] === target[at + i]) agreeing += 1;
  }
  return agreeing + GAIN_MIN;
}

interface Runs {
  /** Bytes of the target before this one are settled. */
  readonly done: number;
  /** Where in the base the present run would go on at this byte of the target. */
  alignedWith(at: number): number;
  /** From `at` on the target is like the base from `place` on; what lies before is shared out between the runs. */
  runAt(at: number, place: number): void;
  finish(): void;
}

function createRuns(base: Buffer, target: Buffer, { start, end, out }: Piece): Runs {
  let done = start;
  let position = start;
  let seek = 0;

  const emit = (nextAt: number, nextPlace: number): void => {
    const gap = nextAt - done;
    let forward = bestForward(base, target, { done, position, gap });
    let backward = nextAt === end ? 0 : bestBackward(base, target, { nextAt, nextPlace, gap });
    const overlap = forward + backward - gap;
    if (overlap > 0) {
      const kept = bestSplit(base, target, {
        first: position + forward - overlap,
        second: nextPlace - backward,
        at: nextAt - backward,
        overlap,
      });
      forward -= overlap - kept;
      backward -= kept;
    }
    out.run(
      seek,
      base.subarray(position, position + forward),
      target.subarray(done, done + forward),
      target.subarray(done + forward, nextAt - backward),
    );
    seek = nextPlace - backward - (position + forward);
    done = nextAt - backward;
    position = nextPlace - backward;
  };
  return {
    get done() {
      return done;
    },
    alignedWith: (at) => position + (at - done),
    runAt: emit,
    finish() {
      if (done < end) emit(end, 0);
    },
  };
}

/** The length after `done` for which the run's bytes agree most: more than half of them, up to any point. */
function bestForward(
  base: Buffer,
  target: Buffer,
  { done, position, gap }: { done: number; position: number; gap: number },
): number {
  const max = Math.min(gap, base.length - position);
  let agreeing = 0;
  let best = 0;
  let bestScore = 0;
  for (let i = 0; i < max; i += 1) {
    if (base[position + i] === target[done + i]) agreeing += 1;
    const score = agreeing * 2 - (i + 1);
    if (score > bestScore) {
      bestScore = score;
      best = i + 1;
    }
  }
  return best;
}

/** The same before the next run. */
function bestBackward(
  base: Buffer,
  target: Buffer,
  { nextAt, nextPlace, gap }: { nextAt: number; nextPlace: number; gap: number },
): number {
  const max = Math.min(gap, nextPlace);
  let agreeing = 0;
  let best = 0;
  let bestScore = 0;
  for (let i = 1; i <= max; i += 1) {
    if (base[nextPlace - i] === target[nextAt - i]) agreeing += 1;
    const score = agreeing * 2 - i;
    if (score > bestScore) {
      bestScore = score;
      best = i;
    }
  }
  return best;
}

/** Where two runs overlap: how many of those bytes the first one should keep. */
function bestSplit(
  base: Buffer,
  target: Buffer,
  { first, second, at, overlap }: { first: number; second: number; at: number; overlap: number },
): number {
  let score = 0;
  let best = 0;
  let bestScore = 0;
  for (let i = 0; i < overlap; i += 1) {
    if (base[first + i] === target[at + i]) score += 1;
    if (base[second + i] === target[at + i]) score -= 1;
    if (score > bestScore) {
      bestScore = score;
      best = i + 1;
    }
  }
  return best;
}

export interface PatchDecoder {
  /** Fills `into` from `start` to `end`. Throws SyntaxError when the streams do not give it. */
  decode(base: Buffer, into: Buffer, start: number, end: number): void;
  /** Throws SyntaxError unless the streams are used up. */
  end(): void;
}

/** Of the streams of several pieces, one after the other. */
export function createPatchDecoder({ control, gaps, differences, literals }: PatchStreams): PatchDecoder {
  const numbers = createNumberReader(control);
  const adder = createAdder(createNumberReader(gaps), differences);
  let nextLiteral = 0;
  return {
    decode(base, into, start, end) {
      let position = start;
      for (let filled = start; filled < end; ) {
        position += numbers.signed("a seek");
        const added = numbers.unsigned("a run", end - filled);
        if (added > 0 && (position < 0 || position + added > base.length))
          throw new SyntaxError(`a run of ${added} bytes at ${position} leaves its base of ${base.length} bytes`);
        if (added > 0) base.copy(into, filled, position, position + added);
        adder.add(into, filled, added);
        position += added;
        filled += added;
        const inserted = numbers.unsigned("an insertion", end - filled);
        if (nextLiteral + inserted > literals.length) throw new SyntaxError("its literals end too early");
        literals.copy(into, filled, nextLiteral, nextLiteral + inserted);
        nextLiteral += inserted;
        filled += inserted;
      }
    },
    end() {
      numbers.end();
      adder.end();
      if (nextLiteral !== literals.length) throw new SyntaxError("it has bytes that no instruction uses");
    },
  };
}

interface Adder {
  /** The next `count` differences, most of which are zero, to the bytes of `into` at `at`. */
  add(into: Buffer, at: number, count: number): void;
  /** Throws SyntaxError unless all are used up. */
  end(): void;
}

function createAdder(gaps: NumberReader, differences: Buffer): Adder {
  let used = 0;
  const nextGap = (): number =>
    used < differences.length ? gaps.unsigned("a gap", Number.MAX_SAFE_INTEGER) : Number.POSITIVE_INFINITY;
  let gap = nextGap();
  return {
    add(into, at, count) {
      let done = 0;
      while (gap < count - done) {
        done += gap;
        into[at + done] = (into[at + done] ?? 0) + (differences[used] ?? 0);
        done += 1;
        used += 1;
        gap = nextGap();
      }
      gap -= count - done;
    },
    end() {
      gaps.end();
      if (used !== differences.length) throw new SyntaxError("it has differences that no instruction uses");
    },
  };
}
