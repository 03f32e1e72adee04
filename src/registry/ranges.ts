/**
 * Range headers: parsing, and the multipart answer to several ranges.
 *
 * Several ranges matter: zstd:chunked clients ask for hundreds at once, and a registry that answers with the whole blob makes
 * them move more than a plain pull. Asking for overlapping ranges must not cost more than the blob itself, so more bytes
 * than the blob has, or too many ranges, are answered with the whole blob.
 *
 * @see RFC 9110 section 14
 */
import type { ByteRange } from "./driver.ts";

/** Ranges in one request; containers/storage asks for up to 1024. */
const RANGES_MAX = 4096;

export type RangeRequest =
  | { readonly kind: "whole" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "ranges"; readonly ranges: readonly ByteRange[] };

/** `header` as it came. A unit other than bytes asks for nothing special; a malformed or empty bytes range is unsatisfiable. */
export function parseRange(header: string | null, size: number): RangeRequest {
  const specs = header === null ? undefined : /^\s*bytes\s*=(.*)$/i.exec(header)?.[1];
  if (specs === undefined) return { kind: "whole" };
  const parts = specs.split(",", RANGES_MAX + 1);
  if (parts.length > RANGES_MAX) return { kind: "whole" };
  const ranges: ByteRange[] = [];
  let total = 0;
  for (const part of parts) {
    if (part.trim() === "") continue;
    const match = /^\s*(?:(\d+)-(\d+)?|-(\d+))\s*$/.exec(part);
    if (match === null) return { kind: "unsatisfiable" };
    const range = resolveRange(match, size);
    if (range === "malformed") return { kind: "unsatisfiable" };
    if (range === undefined) continue;
    ranges.push(range);
    total += range.end - range.start;
  }
  if (ranges.length === 0) return { kind: "unsatisfiable" };
  if (ranges.length > 1 && total > size) return { kind: "whole" };
  return { kind: "ranges", ranges };
}

/** The parts' headers and the exact length of a multipart/byteranges body. */
export interface MultipartPlan {
  readonly contentType: string;
  readonly contentLength: number;
  readonly parts: readonly { readonly head: Buffer; readonly range: ByteRange }[];
  readonly tail: Buffer;
}

export function planMultipart(ranges: readonly ByteRange[], size: number, boundary: string): MultipartPlan {
  const parts = ranges.map((range) => ({
    range,
    head: Buffer.from(
      `\r\n--${boundary}\r\ncontent-type: application/octet-stream\r\n` +
        `content-range: bytes ${range.start}-${range.end - 1}/${size}\r\n\r\n`,
    ),
  }));
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const contentLength = parts.reduce(
    (sum, { head, range }) => sum + head.length + range.end - range.start,
    tail.length,
  );
  return { contentType: `multipart/byteranges; boundary=${boundary}`, contentLength, parts, tail };
}

export async function* multipartBody(
  plan: MultipartPlan,
  read: (range: ByteRange) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { head, range } of plan.parts) {
    yield head;
    yield* read(range);
  }
  yield plan.tail;
}

function resolveRange(match: RegExpExecArray, size: number): ByteRange | "malformed" | undefined {
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), size);
    return length === 0 ? undefined : { start: size - length, end: size };
  }
  const start = Number(first);
  if (last !== undefined && Number(last) < start) return "malformed";
  if (start >= size) return undefined;
  return { start, end: last === undefined ? size : Math.min(Number(last) + 1, size) };
}
