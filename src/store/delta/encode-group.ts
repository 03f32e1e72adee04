/**
 * encodeGroups(): the work of a delta that takes long, for consecutive groups: reads contents and bases, compares and compresses.
 * It runs in worker threads (encode.worker.ts), and in the caller's thread where there are none.
 */
import type { Segment } from "../../format/delta/delta-index.ts";
import { type PackedGroup, packGroup } from "../../format/delta/delta-file.ts";
import { createPatchEncoder, type PatchEncoder, type PatchStreams } from "../../format/delta/patch.ts";
import type { Files } from "../../host/host.ts";
import { expand } from "./packing.ts";

/** Where bytes are: the path of an object, or the bytes themselves. */
export interface BytesSource {
  readonly source: string | Uint8Array;
  readonly isExpanded: boolean;
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

export function encodeGroups(files: Pick<Files, "open" | "read">, job: EncodeJob): PackedGroup[] {
  let open: { readonly content: number; readonly target: Buffer; readonly encoder: PatchEncoder } | undefined;
  const encode = ({ content, start, end }: Segment): PatchStreams => {
    if (open?.content !== content) {
      open = undefined;
      const sources = job.contents.get(content);
      if (sources === undefined) throw new RangeError(`content ${content} has no source`);
      open = {
        content,
        target: readBytes(files, sources.target),
        encoder: createPatchEncoder(readBase(files, sources.bases)),
      };
    }
    return open.encoder.encode(open.target, start, end);
  };
  return job.groups.map((segments) => {
    const streams = segments.map(encode);
    return packGroup({
      control: Buffer.concat(streams.map(({ control }) => control)),
      differences: Buffer.concat(streams.map(({ differences }) => differences)),
      literals: Buffer.concat(streams.map(({ literals }) => literals)),
    });
  });
}

/** All bases, one after the other. Plain ones are read into their place: an initramfs has a hundred MiB of them. */
export function readBase(files: Pick<Files, "open" | "read">, bases: readonly BytesSource[]): Buffer {
  if (bases.some(({ source, isExpanded }) => isExpanded || typeof source !== "string"))
    return Buffer.concat(bases.map((base) => readBytes(files, base)));
  const sizes = bases.map(({ source }) => {
    using file = files.open(String(source), "read");
    return file.sizeBytes();
  });
  const all = Buffer.allocUnsafeSlow(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const [i, { source }] of bases.entries()) {
    using file = files.open(String(source), "read");
    const end = at + (sizes[i] ?? 0);
    if (file.read(all.subarray(at, end), 0) !== end - at) throw new RangeError(`object ${String(source)} ends early`);
    at = end;
  }
  return all;
}

function readBytes(files: Pick<Files, "read">, { source, isExpanded }: BytesSource): Buffer {
  const bytes =
    typeof source === "string" ? files.read(source) : Buffer.from(source.buffer, source.byteOffset, source.length);
  // What cannot be expanded serves as it is: a base only has to be the same for writer and reader.
  return isExpanded ? (expand(bytes) ?? bytes) : bytes;
}
