/**
 * Guid: an RFC 9562 UUID in lower-case text, and the 16 bytes that a GPT holds (first three fields little-endian).
 *
 * @see UEFI 2.10, appendix A "GUID and Time Formats"; RFC 9562
 */
import { hash } from "node:crypto";

export type Guid = string & { readonly __brand: "Guid" };

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Any case is accepted. Throws SyntaxError. */
export function parseGuid(text: string): Guid {
  if (!GUID.test(text)) {
    throw new SyntaxError(`Cannot parse UUID ${JSON.stringify(text.slice(0, 60))}: wanted 8-4-4-4-12 hex digits`);
  }
  return text.toLowerCase() as Guid;
}

/** A version 8 UUID that is a function of its seeds: the same disk from the same inputs has the same ids. */
export function deriveGuid(...seeds: readonly string[]): Guid {
  const bytes = hash("sha256", seeds.join("\0"), "buffer").subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return dashed(bytes);
}

export function guidToBytes(guid: Guid): Buffer {
  return swapped(Buffer.from(guid.replaceAll("-", ""), "hex"));
}

export function bytesToGuid(bytes: Uint8Array): Guid {
  if (bytes.length !== 16) throw new RangeError(`Cannot read GUID: ${bytes.length} bytes, wanted 16`);
  return dashed(swapped(bytes));
}

/** Between the order of the text and the order on disk; its own inverse. */
function swapped(bytes: Uint8Array): Buffer {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return Buffer.from(order.map((from) => bytes[from] ?? 0));
}

function dashed(bytes: Buffer): Guid {
  const hex = bytes.toString("hex");
  const cuts: readonly (readonly [number, number])[] = [
    [0, 8],
    [8, 12],
    [12, 16],
    [16, 20],
    [20, 32],
  ];
  return cuts.map(([from, to]) => hex.slice(from, to)).join("-") as Guid;
}
