/**
 * tar-split: all bytes of a tar that are no file's content, and in their midst where each content belongs. JSON lines: a segment has
 * raw bytes; an entry stands for a member and says its size and, where it has content, the content's CRC-64.
 *
 * @see github.com/vbatts/tar-split, tar/storage/entry.go
 */
import { isUtf8 } from "node:buffer";
import { byteNameToBytes, byteNameToText } from "../../core/bytes.ts";
import { asCount, asString, optional, parseJsonObject } from "../../core/json.ts";

export type TarSplitPiece =
  | { readonly kind: "raw"; readonly bytes: Buffer }
  /** A file's content stands here. */
  | { readonly kind: "content"; readonly sizeBytes: number };

const ENTRY = 1;
const SEGMENT = 2;

export interface TarSplitWriter {
  segment(bytes: Uint8Array): void;
  /** `name` is the member's raw one; `crc` undefined for a member without content. */
  entry(name: string, sizeBytes: number, crc: Buffer | undefined): void;
  finish(): Buffer;
}

export function createTarSplitWriter(): TarSplitWriter {
  const lines: string[] = [];
  const add = (line: object): void => void lines.push(JSON.stringify({ ...line, position: lines.length }));
  return {
    segment: (bytes) => add({ type: SEGMENT, payload: Buffer.from(bytes).toString("base64") }),
    entry(name, sizeBytes, crc) {
      const bytes = byteNameToBytes(name);
      add({
        type: ENTRY,
        ...(isUtf8(bytes) ? { name: byteNameToText(name) } : { name_raw: bytes.toString("base64") }),
        ...(sizeBytes > 0 && { size: sizeBytes }),
        payload: crc?.toString("base64") ?? null,
      });
    },
    finish: () => Buffer.from(lines.map((line) => `${line}\n`).join("")),
  };
}

/** Throws SyntaxError with the line's number. */
export function* readTarSplit(bytes: Buffer): Generator<TarSplitPiece, void, undefined> {
  let number = 0;
  for (let at = 0; at < bytes.length; ) {
    number += 1;
    const newline = bytes.indexOf(0x0a, at);
    const end = newline < 0 ? bytes.length : newline;
    const what = `tar-split line ${number}`;
    const line = parseJsonObject(bytes.toString("utf8", at, end), what);
    at = end + 1;
    if (line["type"] === SEGMENT) {
      yield { kind: "raw", bytes: Buffer.from(asString(line["payload"], `${what}.payload`), "base64") };
    } else if (line["type"] === ENTRY) {
      const sizeBytes = optional(line["size"], `${what}.size`, asCount) ?? 0;
      if (sizeBytes > 0) yield { kind: "content", sizeBytes };
    } else throw new SyntaxError(`Cannot read ${what}: its type is ${JSON.stringify(line["type"])}, wanted 1 or 2`);
  }
}
