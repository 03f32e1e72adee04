/**
 * createDelta(): what turns one image of the store into another, as a delta file. The work is planned first (who is compared with
 * whom, which bytes go into which group) and then done in worker threads; the bytes depend on the two images only.
 */
import type { Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { Progress } from "../../core/progress.ts";
import {
  type DeltaContent,
  type DeltaIndex,
  type Form,
  groupContents,
  type Packing,
  type Segment,
} from "../../format/delta/delta-index.ts";
import { type PackedGroup, writeDelta } from "../../format/delta/delta-file.ts";
import type { Repository } from "../repository.ts";
import type { StoredImage } from "../store.ts";
import { streamName } from "../layout.ts";
import { findStream, objectPath } from "../streams.ts";
import { type ContentSource, type EncodeJob } from "./encode-group.ts";
import { encodeAll } from "./encode-pool.ts";
import { type LayerParts, type NamedObject, readLayerParts, readNamedObjects } from "./layer-parts.ts";
import { matchObjects, type SizedObject } from "./match-objects.ts";
import { createObjectCheck, damagedObject, type ObjectCheck } from "./object-check.ts";
import { planContents, type PlannedContent } from "./plan-contents.ts";

export interface Delta {
  readonly old: Digest;
  readonly next: Digest;
  /** The file. */
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
  /** Layers that it makes, and what they take as compressed blobs. */
  readonly layers: number;
  readonly layerBytes: number;
  readonly objects: number;
  /** Of them, how many are made from an old one. */
  readonly patched: number;
  /** Programs that a machine must have to use it. */
  readonly needs: readonly string[];
}

export interface CreateDeltaOptions {
  /** Compare xz files as they are. */
  readonly keepXz?: boolean;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Failure "bad-input" when `next` has no layer that `old` lacks, "corrupt" naming an object that is damaged, "not-found" without a layer. */
export async function createDelta(
  repository: Repository,
  old: StoredImage,
  next: StoredImage,
  options: CreateDeltaOptions = {},
): Promise<Delta> {
  const oldLayers = unique(old.config.rootfs.diff_ids);
  const layers = unique(next.config.rootfs.diff_ids).filter((diffId) => !oldLayers.includes(diffId));
  if (layers.length === 0) {
    throw new Failure(
      "bad-input",
      `Cannot make a delta to image "${next.digest}": it has no layer that ${old.digest} lacks`,
    );
  }
  const check = createObjectCheck(repository, options.signal);
  check([...oldLayers, ...layers].flatMap((diffId) => findStream(repository, streamName("layer", diffId)) ?? []));
  const before = readLayerParts(repository, oldLayers);
  const after = readLayerParts(repository, layers);
  const contents = await planAll(repository, { before, after, oldLayers, layers, check }, options);
  const index = assembleIndex(repository, { before, after, oldLayers, contents });
  const groups = groupContents(index.contents);
  const objects = contents.filter(({ packing }) => packing.kind !== "choices");
  const packed = await encode(repository, { groups, index, before, after, contents }, options);
  const chunks = [...writeDelta(index, packed)];
  const blobs = next.manifest.layers.filter((_, i) => layers.includes(next.config.rootfs.diff_ids[i] ?? old.digest));
  return {
    old: old.digest,
    next: next.digest,
    chunks,
    bytes: chunks.reduce((sum, { length }) => sum + length, 0),
    layers: layers.length,
    layerBytes: blobs.reduce((sum, { size }) => sum + size, 0),
    objects: objects.length,
    patched: objects.filter(({ bases }) => bases.length > 0).length,
    needs: objects.some(({ packing }) => packing.kind === "xz") ? ["xz"] : [],
  };
}

interface Sides {
  readonly before: LayerParts;
  readonly after: LayerParts;
}

interface PlanParts extends Sides {
  readonly oldLayers: readonly Digest[];
  readonly layers: readonly Digest[];
  readonly check: ObjectCheck;
}

/** All new objects, in the order in which the delta makes them; they and their bases are sound. */
async function planAll(
  repository: Repository,
  { before, after, oldLayers, layers, check }: PlanParts,
  { keepXz = false, signal }: CreateDeltaOptions,
): Promise<PlannedContent[]> {
  const sizes = new Map<string, number>();
  const sized = (named: readonly NamedObject[]): SizedObject[] =>
    named.map((object) => {
      const known = sizes.get(object.objectId) ?? sizeOf(repository, object.objectId);
      sizes.set(object.objectId, known);
      return { ...object, sizeBytes: known };
    });
  const olds = sized(readNamedObjects(repository, oldLayers));
  const had = new Set(before.objects);
  const news = sized(readNamedObjects(repository, layers)).filter(({ objectId }) => !had.has(objectId));
  const objects = after.objects
    .filter((objectId) => !had.has(objectId))
    .map((objectId) => ({ objectId, sizeBytes: sizes.get(objectId) ?? 0 }));
  const matches = matchObjects(olds, news);
  check(objects.map(({ objectId }) => objectId));
  check(matches.values());
  const contents = await planContents(repository, { objects, matches, available: sizes }, { keepXz, signal });
  check(contents.flatMap(({ bases }) => bases.map(({ objectId }) => objectId)));
  return contents;
}

function assembleIndex(
  repository: Repository,
  { before, after, oldLayers, contents }: Sides & { oldLayers: readonly Digest[]; contents: readonly PlannedContent[] },
): Omit<DeltaIndex, "groups"> {
  const numbers = new Map(before.objects.map((objectId, i) => [objectId, i]));
  for (const [i, { objectId, packing }] of contents.entries())
    if (packing.kind !== "choices") numbers.set(objectId, before.objects.length + 1 + i);
  const numberOf = (objectId: string): number => {
    const number = numbers.get(objectId);
    if (number === undefined) throw new RangeError(`object ${objectId} has no number`);
    return number;
  };
  const skeleton: DeltaContent = {
    objectId: "",
    sizeBytes: after.skeleton.length,
    packing: { kind: "none" },
    expandedBytes: after.skeleton.length,
    bases: [],
  };
  return {
    algorithm: repository.algorithm,
    old: { layers: oldLayers, objects: before.objects.length, skeletonBytes: before.skeleton.length },
    layers: after.layers.map(({ diffId, pieces }) => ({
      diffId,
      pieces: pieces.map(({ inlineBytes, object }) => ({
        inlineBytes,
        object: object === undefined ? undefined : numberOf(after.objects[object] ?? ""),
      })),
    })),
    contents: [
      skeleton,
      ...contents.map((content) => ({
        ...content,
        objectId: content.packing.kind === "choices" ? "" : content.objectId,
        bases: content.bases.map(({ objectId, form }) => ({ object: numberOf(objectId), form })),
      })),
    ],
  };
}

async function encode(
  repository: Repository,
  {
    groups,
    index,
    before,
    after,
    contents,
  }: Sides & { groups: readonly Segment[][]; index: Omit<DeltaIndex, "groups">; contents: readonly PlannedContent[] },
  { progress, signal }: CreateDeltaOptions,
): Promise<PackedGroup[]> {
  const total = index.contents.reduce((sum, { expandedBytes }) => sum + expandedBytes, 0);
  const task = progress?.task("Comparing files", { total, unit: "bytes" });
  const sourceOf = (content: number): ContentSource => {
    const planned = contents[content - 1];
    if (planned === undefined) {
      return {
        target: { source: after.skeleton, form: "plain" },
        bases: [{ source: before.skeleton, form: "plain" }],
      };
    }
    return {
      target:
        planned.expanded === undefined
          ? { source: objectPath(repository, planned.objectId), form: formOf(planned.packing) }
          : { source: planned.expanded, form: "plain" },
      bases: planned.bases.map(({ objectId, form }) => ({ source: objectPath(repository, objectId), form })),
    };
  };
  const packed = await encodeAll(repository.host, planJobs(groups, sourceOf), {
    signal,
    onJob: (job) => task?.advance(segmentBytes(job.groups.flat())),
  });
  task?.done();
  return packed;
}

/** Of an object, what the groups hold. */
function formOf({ kind }: Packing): Form {
  if (kind === "choices") return kind;
  return kind === "none" ? "plain" : "expanded";
}

/** A job for each group; the groups of one large content are one job, because its base is indexed once. */
function planJobs(groups: readonly Segment[][], sourceOf: (content: number) => ContentSource): EncodeJob[] {
  const runs: Segment[][][] = [];
  for (const group of groups) {
    const isContinued = (group[0]?.start ?? 0) > 0;
    const last = runs.at(-1);
    if (isContinued && last !== undefined) last.push(group);
    else runs.push([group]);
  }
  return runs.map((run) => ({
    groups: run,
    contents: new Map(run.flat().map(({ content }) => [content, sourceOf(content)])),
  }));
}

/** Bytes that the segments cover. */
export function segmentBytes(segments: readonly Segment[]): number {
  return segments.reduce((sum, { start, end }) => sum + end - start, 0);
}

function sizeOf(repository: Repository, objectId: string): number {
  const size = repository.host.files.stat(objectPath(repository, objectId))?.size;
  if (size !== undefined) return size;
  throw damagedObject(objectId, "it is missing");
}

function unique(diffIds: readonly Digest[]): Digest[] {
  return [...new Set(diffIds)];
}
