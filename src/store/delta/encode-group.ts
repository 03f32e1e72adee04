/**
 * createGroupEncoder(): the work of a delta that takes long, for consecutive groups: reads contents and bases, compares and compresses.
 * It runs in worker threads (encode.worker.ts), and in the caller's thread where there are none.
 */
import type { Form, Segment } from "../../format/delta/delta-index.ts";
import { type PackedGroup, packGroup } from "../../format/delta/delta-file.ts";
import { createPatchEncoder, createPatchWriter, type PatchEncoder } from "../../format/delta/patch.ts";
import type { Files } from "../../host/host.ts";
import { inForm } from "./packing.ts";
import { createRoom, type Room } from "./room.ts";

/** Where bytes are: the path of an object, or the bytes themselves. */
export interface BytesSource {
  readonly source: string | Uint8Array;
  /** Of an object; bytes are what they are. */
  readonly form: Form;
}

export interface ContentSource {
  readonly target: BytesSource;
  readonly bases: readonly BytesSource[];
}

export interface EncodeJob {
  readonly groups: readonly (readonly Segment[])[];
  /** By number, of the contents that the groups mention. */
  readonly contents: ReadonlyMap<number, ContentSource>;
}

export type GroupEncoder = (job: EncodeJob) => PackedGroup[];

export function createGroupEncoder(files: Pick<Files, "open" | "read">): GroupEncoder {
  const rooms = { target: createRoom(), base: createRoom() };
  const writer = createPatchWriter();
  return (job) => {
    let open: { readonly content: number; readonly target: Buffer; readonly encoder: PatchEncoder } | undefined;
    const encode = ({ content, start, end }: Segment): void => {
      if (open?.content !== content) {
        open = undefined;
        const sources = job.contents.get(content);
        if (sources === undefined) throw new RangeError(`content ${content} has no source`);
        open = {
          content,
          target: readJoined(files, [sources.target], rooms.target),
          encoder: createPatchEncoder(readJoined(files, sources.bases, rooms.base)),
        };
      }
      open.encoder.encode(open.target, start, end, writer);
    };
    return job.groups.map((segments) => {
      for (const segment of segments) encode(segment);
      return packGroup(writer.finish());
    });
  };
}

/** All of them, one after the other, in `room` but for a single one that is in memory anyway. */
export function readJoined(files: Pick<Files, "open" | "read">, sources: readonly BytesSource[], room: Room): Buffer {
  // An initramfs has a thousand bases: those that are read as they are go straight into their place, one open file at a time.
  const parts = sources.map(({ source, form }) => {
    if (typeof source !== "string") return Buffer.from(source.buffer, source.byteOffset, source.length);
    return form === "plain" ? source : inForm(files.read(source), form);
  });
  const [only, ...others] = parts;
  if (Buffer.isBuffer(only) && others.length === 0) return only;
  const sizes = parts.map((part) => (Buffer.isBuffer(part) ? part.length : sizeOf(files, part)));
  const all = room(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const [i, part] of parts.entries()) {
    const place = all.subarray(at, (at += sizes[i] ?? 0));
    if (Buffer.isBuffer(part)) part.copy(place);
    else readInto(files, part, place);
  }
  return all;
}

function sizeOf(files: Pick<Files, "open">, path: string): number {
  using file = files.open(path, "read");
  return file.sizeBytes();
}

function readInto(files: Pick<Files, "open">, path: string, place: Buffer): void {
  using file = files.open(path, "read");
  if (file.read(place, 0) !== place.length) throw new RangeError(`object ${path} ends early`);
}
