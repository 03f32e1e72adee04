/** planRanges(): which ranges of a blob to ask for so that every wanted piece comes, for the fewest bytes, requests counted. */

/** Bytes of a blob, `end` exclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * A gap up to this size is fetched along rather than asked around: a request costs some hundred bytes of headers and a round trip, in
 * which a usual line carries about as much.
 */
export const GAP_BYTES_MAX = 8 * 1024;
/** A longer range comes in parts, over several connections at once. */
export const RANGE_BYTES_MAX = 4 * 1024 * 1024;

/** `wanted` in ascending order; so is the answer. */
export function planRanges(wanted: Iterable<ByteRange>): ByteRange[] {
  const joined: { start: number; end: number }[] = [];
  for (const { start, end } of wanted) {
    const last = joined.at(-1);
    if (last !== undefined && start - last.end <= GAP_BYTES_MAX) last.end = Math.max(last.end, end);
    else joined.push({ start, end });
  }
  return joined.flatMap(({ start, end }) => {
    const parts = Math.ceil((end - start) / RANGE_BYTES_MAX);
    return Array.from({ length: parts }, (_, i) => ({
      start: start + i * RANGE_BYTES_MAX,
      end: Math.min(end, start + (i + 1) * RANGE_BYTES_MAX),
    }));
  });
}

/** Bytes that the ranges cover; `end` is exclusive. */
export function bytesOf(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}
