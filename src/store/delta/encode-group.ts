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
import { expandXz, type XzHost } from "./xz.ts";

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

export type GroupEncoder = (job: EncodeJob) => Promise<PackedGroup[]>;

/** One job at a time. */
export function createGroupEncoder(host: XzHost): GroupEncoder {
  const rooms = { target: createRoom(), base: createRoom() };
  const writer = createPatchWriter();
  return async (job) => {
    let expanded: ExpandedFiles = new Map();
    let open: { readonly content: number; readonly target: Buffer; readonly encoder: PatchEncoder } | undefined;
    const encode = ({ content, start, end }: Segment): void => {
      if (open?.content !== content) {
        open = undefined;
        const sources = job.contents.get(content);
        if (sources === undefined) throw new RangeError(`content ${content} has no source`);
        open = {
          content,
          target: readJoined(host.files, [sources.target], { room: rooms.target, expanded }),
          encoder: createPatchEncoder(readJoined(host.files, sources.bases, { room: rooms.base, expanded })),
        };
      }
      open.encoder.encode(open.target, start, end, writer);
    };
    const packed: PackedGroup[] = [];
    for (const segments of job.groups) {
      const begun = segments.filter(({ start }) => start === 0).map(({ content }) => job.contents.get(content));
      const sources = begun.flatMap((content) => (content === undefined ? [] : [content.target, ...content.bases]));
      expanded = await expandTogether(host, sources);
      for (const segment of segments) encode(segment);
      packed.push(packGroup(writer.finish()));
    }
    return packed;
  };
}

/** By path, files that were expanded beforehand: those that take a program. */
export type ExpandedFiles = ReadonlyMap<string, Buffer>;

export function expandTogether(
  host: XzHost,
  sources: readonly BytesSource[],
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ExpandedFiles> {
  const paths = sources.flatMap(({ source, form }) =>
    form === "expanded" && typeof source === "string" ? [source] : [],
  );
  return expandXz(host, paths, options);
}

/** All of them, one after the other, in `room` but for a single one that is in memory anyway. */
export function readJoined(
  files: Pick<Files, "open" | "read">,
  sources: readonly BytesSource[],
  { room, expanded }: { readonly room: Room; readonly expanded: ExpandedFiles },
): Buffer {
  // An initramfs has a thousand bases: those that are read as they are go straight into their place, one open file at a time.
  const parts = sources.map(({ source, form }) => {
    if (typeof source !== "string") return Buffer.from(source.buffer, source.byteOffset, source.length);
    if (form === "plain") return source;
    return (form === "expanded" ? expanded.get(source) : undefined) ?? inForm(files.read(source), form);
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
