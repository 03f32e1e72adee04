/**
 * planContents(): for each new object what it is compared with. A file is compared with the old file that it was probably made
 * from; a compressed one expanded, where packing gives its very bytes again; an initramfs with the files of the tree that it holds,
 * most of which the machine has by then.
 */
import { isNewc, readNewcFiles } from "../../format/cpio/read-newc.ts";
import { CONTENT_BYTES_MAX, type Form, GROUP_BYTES_MAX, type Packing } from "../../format/delta/delta-index.ts";
import { verityDigest } from "../../format/verity/verity.ts";
import { objectPath } from "../streams.ts";
import type { Repository } from "../repository.ts";
import { sniffCompression } from "../../core/compress.ts";
import { releaseBytes } from "../../core/release-bytes.ts";
import { unpack } from "./packing.ts";
import { type ProvenXz, proveXz } from "./prove-xz.ts";

export interface PlannedContent {
  /** Of choices: that of the file which they belong to. */
  readonly objectId: string;
  readonly sizeBytes: number;
  readonly packing: Packing;
  readonly expandedBytes: number;
  readonly bases: readonly PlannedBase[];
  /** Of a large compressed file, so that it need not be expanded twice; handed on to whoever encodes it. */
  readonly expanded: Buffer | undefined;
}

export interface PlannedBase {
  readonly objectId: string;
  readonly form: Form;
}

export interface PlanInput {
  /** In order of first use. */
  readonly objects: readonly { readonly objectId: string; readonly sizeBytes: number }[];
  /** Old object id by new object id. */
  readonly matches: ReadonlyMap<string, string>;
  /** Every object that can be a base: the old ones and all of `objects`, with their sizes. */
  readonly available: ReadonlyMap<string, number>;
}

/** Smaller compressed files are not worth a run of gzip. */
const PACKED_BYTES_MIN = 16 * 1024;
/** Bytes of an initramfs that no file of the tree has, for the old one to be looked at too. */
const STRANGE_BYTES_MAX = 1024 * 1024;
/** Of expanded files that wait for their encoder. */
const KEPT_BYTES_MAX = 256 * 1024 * 1024;
/**
 * Of a gzip file whose choices begin with those of the old one. To find these takes a machine longer than to unpack the file; it pays for
 * the many small ones, not for an initramfs (docs/decisions/0006-deltas.md).
 */
const CHOICES_BASE_BYTES_MAX = 2 * 1024 * 1024;
/** Of all bases of one content. */
export const BASE_BYTES_MAX = CONTENT_BYTES_MAX;

/** Those that have new objects as bases come last, the others keep their order. */
export async function planContents(
  repository: Repository,
  input: PlanInput,
  { keepXz, signal }: { readonly keepXz: boolean; readonly signal?: AbortSignal | undefined },
): Promise<PlannedContent[]> {
  const xz = keepXz ? undefined : await proveXz(repository, input, signal);
  const planned: PlannedContent[][] = [];
  let keptBytes = 0;
  // One after the other: an initramfs is large.
  for (const object of input.objects) {
    signal?.throwIfAborted();
    const keep = (content: PlannedContent): PlannedContent => {
      const isKept = content.expandedBytes > GROUP_BYTES_MAX && keptBytes + content.expandedBytes <= KEPT_BYTES_MAX;
      keptBytes += isKept ? (content.expanded?.length ?? 0) : 0;
      return isKept ? content : { ...content, expanded: undefined };
    };
    const file = xz?.get(object.objectId);
    const contents =
      file === undefined
        ? (planPacked(repository, input, object) ?? [planPlain(input, object)])
        : [planXz(object, file)];
    planned.push(contents.map(keep));
  }
  const news = new Set(input.objects.map(({ objectId }) => objectId));
  const isLate = (contents: readonly PlannedContent[]): boolean =>
    contents.some(({ bases }) => bases.some(({ objectId }) => news.has(objectId)));
  return [...planned.filter((contents) => !isLate(contents)), ...planned.filter(isLate)].flat();
}

function planPlain(input: PlanInput, object: PlanInput["objects"][number]): PlannedContent {
  const old = input.matches.get(object.objectId);
  return {
    ...object,
    packing: { kind: "none" },
    expandedBytes: object.sizeBytes,
    bases: old === undefined ? [] : [{ objectId: old, form: "plain" }],
    expanded: undefined,
  };
}

function planXz(object: PlanInput["objects"][number], { settings, expandedBytes, old }: ProvenXz): PlannedContent {
  return {
    ...object,
    packing: { kind: "xz", settings },
    expandedBytes,
    bases: [{ objectId: old, form: "expanded" }],
    expanded: undefined,
  };
}

/** With its choices before it; undefined for what is not compressed, or could not be packed again to the same bytes. */
function planPacked(
  repository: Repository,
  input: PlanInput,
  object: PlanInput["objects"][number],
): PlannedContent[] | undefined {
  if (object.sizeBytes < PACKED_BYTES_MIN || !isCompressed(repository, object.objectId)) return undefined;
  const file = repository.host.files.read(objectPath(repository, object.objectId));
  const unpacked = unpack(file);
  releaseBytes(file);
  if (unpacked === undefined) return undefined;
  const { packing, expanded, choices } = unpacked;
  const old = input.matches.get(object.objectId);
  const oldIn = (form: Form): PlannedBase[] =>
    old === undefined ? [] : [{ objectId: old, form: isCompressed(repository, old) ? form : "plain" }];
  const oldBases = oldIn("expanded");
  const bases = isNewc(expanded) ? archiveBases(repository, input, { archive: expanded, oldBases, object }) : oldBases;
  const isLarge = object.sizeBytes > CHOICES_BASE_BYTES_MAX;
  const content: PlannedContent = { ...object, packing, expandedBytes: expanded.length, bases, expanded };
  return choices === undefined
    ? [content]
    : [planChoices(object.objectId, choices, isLarge ? [] : oldIn("choices")), content];
}

function planChoices(objectId: string, choices: Buffer, bases: readonly PlannedBase[]): PlannedContent {
  const { length } = choices;
  return {
    objectId,
    sizeBytes: length,
    packing: { kind: "choices" },
    expandedBytes: length,
    bases,
    expanded: choices,
  };
}

function isCompressed(repository: Repository, objectId: string): boolean {
  using file = repository.host.files.open(objectPath(repository, objectId), "read");
  const start = Buffer.alloc(4);
  return file.read(start, 0) === start.length && sniffCompression(start) !== "none";
}

/** The files of the tree that are in the archive, in its order, and the old archive when they are not most of it. */
function archiveBases(
  repository: Repository,
  { available }: PlanInput,
  { archive, oldBases, object }: { archive: Buffer; oldBases: readonly PlannedBase[]; object: { objectId: string } },
): readonly PlannedBase[] {
  const found = new Map<string, number>();
  let strangeBytes = 0;
  for (const file of readNewcFiles(archive)) {
    const objectId = verityDigest(file, repository.algorithm);
    if (available.has(objectId) && objectId !== object.objectId) found.set(objectId, file.length);
    else strangeBytes += file.length;
  }
  const bytes = [...found.values()].reduce((sum, size) => sum + size, 0);
  if (bytes > BASE_BYTES_MAX / 2) return oldBases;
  const files = [...found.keys()].map((objectId): PlannedBase => ({ objectId, form: "plain" }));
  return strangeBytes > STRANGE_BYTES_MAX ? [...files, ...oldBases] : files;
}
