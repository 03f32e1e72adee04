/**
 * BuildRun: what lives while a build runs: its stages so far, the trees that were opened, the scratch directory.
 */
import { createIgnoreRules } from "../containerfile/ignore.ts";
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import type { HistoryEntry, RunConfig } from "../oci/config.ts";
import type { LayerEncoding } from "../store/layer-encoding.ts";
import type { Store, StoredImage } from "../store/store.ts";
import type { BuildCache, LayerResult } from "./build-cache.ts";
import type { BuildOutput } from "./build-output.ts";
import type { BuildRequest } from "./build-request.ts";
import { type BuildState, createBuildState } from "./build-state.ts";
import type { RunProcess } from "./run-step.ts";
import type { Scratch } from "./scratch.ts";
import type { SourceTree } from "./source-tree.ts";
import type { BuildPlan, SourceRef } from "./step.ts";

export interface BuildParts {
  readonly host: Host;
  readonly store: Store;
  readonly cache: BuildCache;
  readonly request: BuildRequest;
  readonly plan: BuildPlan;
  /** undefined: a build without context, from standard input alone. */
  readonly context: SourceTree | undefined;
  readonly useCache: boolean;
  readonly encoding: LayerEncoding;
  readonly findImage: (name: string) => StoredImage | undefined;
  readonly runProcess: RunProcess;
  readonly output: BuildOutput;
  readonly names: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

export interface StageResult {
  readonly state: BuildState;
  readonly layers: LayerResult[];
  readonly history: HistoryEntry[];
  config: RunConfig;
  author: string | undefined;
  /** The image that all this stands on. */
  readonly base: StoredImage | undefined;
  readonly baseName: string | undefined;
}

export interface BuildRun {
  readonly parts: BuildParts;
  readonly scratch: Scratch;
  readonly resources: DisposableStack;
  readonly stages: Map<number, StageResult>;
  readonly trees: Map<string, SourceTree>;
}

export function newState(run: BuildRun, diffIds: readonly Digest[]): BuildState {
  const { host, store, cache, plan, findImage } = run.parts;
  const knownTree = (wanted: readonly Digest[]): string | undefined => {
    for (const { base } of plan.stages) {
      const image = base.kind === "image" ? findImage(base.name) : undefined;
      if (image !== undefined && sameList(image.config.rootfs.diff_ids, wanted)) return store.imageId(image, "raw");
    }
    return undefined;
  };
  const state = createBuildState(
    { host, store, cache, scratch: run.scratch.path, name: run.scratch.name, knownTree },
    diffIds,
  );
  run.resources.use(state);
  return state;
}

function sameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((entry, i) => entry === right[i]);
}

export function createdNow(parts: BuildParts): string {
  const { epochSec } = parts.request;
  return new Date(epochSec === undefined ? parts.host.clock.now() : epochSec * 1000)
    .toISOString()
    .replace(/\.000Z$/, "Z");
}

export function stageOf(run: BuildRun, index: number): StageResult {
  const stage = run.stages.get(index);
  if (stage === undefined) throw new Error(`stage ${index} was not built`);
  return stage;
}

export function imageOf(run: BuildRun, name: string): StoredImage {
  const image = run.parts.findImage(name);
  if (image === undefined)
    throw new Failure("not-found", `Cannot copy from image "${name}": it is not in the store`, {
      hint: `fetch it with: berth pull ${name}`,
    });
  return image;
}

/** Mounts it at the first use. */
export function openTree(run: BuildRun, ref: SourceRef): SourceTree {
  if (ref.kind === "context") {
    if (run.parts.context !== undefined) return run.parts.context;
    throw new Failure("bad-input", "Cannot copy from the build context: this build has none", {
      hint: "give a directory: berth build DIRECTORY",
    });
  }
  const title = ref.kind === "stage" ? `stage ${ref.index}` : `image "${ref.name}"`;
  const isImage = true;
  const rules = createIgnoreRules([]);
  if (ref.kind === "stage") return { root: stageOf(run, ref.index).state.view(), rules, isImage, title };
  const known = run.trees.get(ref.name);
  if (known !== undefined) return known;
  const state = newState(run, imageOf(run, ref.name).config.rootfs.diff_ids);
  const tree = { root: state.view(), rules, isImage, title };
  run.trees.set(ref.name, tree);
  return tree;
}
