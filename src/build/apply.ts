/**
 * applyBuild(): runs a BuildPlan: each step comes from the cache or is done, stage by stage, and the target becomes an image. It
 * decides nothing but hit or miss.
 */
import { type Digest, digestHex } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { TarInput } from "../format/tar/write.ts";
import { writeTar } from "../format/tar/write.ts";
import type { Host } from "../host/host.ts";
import type { HistoryEntry, RunConfig } from "../oci/config.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { openArchives } from "./add-archive.ts";
import { assembleImage } from "./assemble.ts";
import { type BuildCache, cacheKey, type LayerResult, type StepResult } from "./build-cache.ts";
import type { BuildOutput } from "./build-output.ts";
import type { BuildRequest } from "./build-request.ts";
import { type BuildState, createBuildState } from "./build-state.ts";
import { copyMembers, existingStat, type FoundSource } from "./copy-layer.ts";
import { resolveOwner, ROOT } from "./owner.ts";
import { type RunProcess, runStep, type Written } from "./run-step.ts";
import { openScratch, type Scratch } from "./scratch.ts";
import { digestSources, findSources, type SourceTree } from "./source-tree.ts";
import type { BuildPlan, CopyAction, RunAction, SourceRef, StagePlan, Step } from "./step.ts";
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import { createIgnoreRules } from "../containerfile/ignore.ts";
import { resolveInRoot } from "./resolve-path.ts";
import { upperMembers } from "./upper-layer.ts";
import { NO_XATTRS } from "../tree/node.ts";

export interface BuildParts {
  readonly host: Host;
  readonly store: Store;
  readonly cache: BuildCache;
  readonly request: BuildRequest;
  readonly plan: BuildPlan;
  /** undefined: a build without context, from standard input alone. */
  readonly context: SourceTree | undefined;
  readonly useCache: boolean;
  readonly findImage: (name: string) => StoredImage | undefined;
  readonly runProcess: RunProcess;
  readonly output: BuildOutput;
  readonly names: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

interface StageResult {
  readonly state: BuildState;
  readonly layers: LayerResult[];
  readonly history: HistoryEntry[];
  config: RunConfig;
  author: string | undefined;
  /** The image that all this stands on. */
  readonly base: StoredImage | undefined;
  readonly baseName: string | undefined;
}

interface Run {
  readonly parts: BuildParts;
  readonly scratch: Scratch;
  readonly resources: DisposableStack;
  readonly stages: Map<number, StageResult>;
  readonly trees: Map<string, SourceTree>;
}

/** The image, tagged with all its names. */
export async function applyBuild(parts: BuildParts): Promise<StoredImage> {
  using scratch = openScratch(parts.host, parts.store);
  using resources = new DisposableStack();
  const run: Run = { parts, scratch, resources, stages: new Map(), trees: new Map() };
  const { stages, target } = parts.plan;
  for (const [i, stage] of stages.entries()) {
    const prefix = stages.length > 1 ? `[${i + 1}/${stages.length}] ` : "";
    const cached = await applyStage(run, stage, prefix);
    if (stage.stage === target) return finish(run, stage, { prefix, cached });
  }
  throw new Error("the plan has no target stage");
}

/** True when the target's last step came from the cache. */
async function applyStage(run: Run, plan: StagePlan, prefix: string): Promise<boolean> {
  const { output, signal } = run.parts;
  const total = plan.steps.length + 1;
  output.line(`${prefix}STEP 1/${total}: ${plan.fromText}`);
  const stage = startStage(run, plan);
  run.stages.set(plan.stage.index, stage);
  let id = cacheKey({ layers: stage.layers.map((layer) => layer.diffId), config: stage.config });
  for (const step of plan.steps) {
    signal?.throwIfAborted();
    output.line(`${prefix}STEP ${step.number}/${total}: ${step.text}`);
    const { result, cached } = await atLine(run.parts, step, () => applyStep(run, stage, step));
    id = cacheKey({ parent: id, createdBy: step.createdBy, config: step.config, layer: result.layer?.diffId ?? null });
    // The last step's id is the image's own, which finish() knows.
    if (step === plan.steps.at(-1) && plan.stage === run.parts.plan.target) return cached;
    if (cached) output.line(`--> Using cache ${id}`);
    output.line(`--> ${id.slice(0, 12)}`);
  }
  return false;
}

/** A failure of a step names the line that asked for it. */
async function atLine<T>(parts: BuildParts, step: Step, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Failure) || error.code === "aborted") throw error;
    const where = step.line === 0 ? "" : `line ${step.line}: `;
    const text = step.text.length > 60 ? `${step.text.slice(0, 60)}…` : step.text;
    throw new Failure(error.code, `Cannot build "${parts.request.fileName}": ${where}${text}`, { cause: error });
  }
}

function startStage(run: Run, plan: StagePlan): StageResult {
  const { base } = plan;
  const { findImage } = run.parts;
  const earlier = base.kind === "stage" ? run.stages.get(base.index) : undefined;
  const image = base.kind === "image" ? findImage(base.name) : earlier?.base;
  const layers = earlier?.layers ?? (image === undefined ? [] : layersOf(image));
  const history = earlier?.history ?? image?.config.history ?? [];
  return {
    state: newState(run, layers.map((layer) => layer.diffId)),
    layers: [...layers],
    history: [...history],
    config: plan.initialConfig,
    author: earlier?.author ?? image?.config.author,
    base: image,
    baseName: base.kind === "image" ? base.name : earlier?.baseName,
  };
}

function layersOf(image: StoredImage): LayerResult[] {
  return image.manifest.layers.map((descriptor, i) => {
    const diffId = image.config.rootfs.diff_ids[i];
    if (diffId === undefined) throw new Failure("corrupt", `Cannot use image ${image.digest}: it has more layers than diff ids`);
    return { descriptor, diffId };
  });
}

function newState(run: Run, diffIds: readonly Digest[]): BuildState {
  const { host, store, cache, plan, findImage } = run.parts;
  const knownTree = (wanted: readonly Digest[]): string | undefined => {
    for (const { base } of plan.stages) {
      const image = base.kind === "image" ? findImage(base.name) : undefined;
      if (image !== undefined && sameList(image.config.rootfs.diff_ids, wanted)) return store.imageId(image, "raw");
    }
    return undefined;
  };
  const state = createBuildState({ host, store, cache, scratch: run.scratch.path, name: run.scratch.name, knownTree }, diffIds);
  run.resources.use(state);
  return state;
}

function sameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((entry, i) => entry === right[i]);
}

/** Done or remembered; the stage's layers, history and configuration include it afterwards. */
async function applyStep(run: Run, stage: StageResult, step: Step): Promise<{ result: StepResult; cached: boolean }> {
  const { parts } = run;
  const prepared = prepareStep(run, stage, step);
  const createdBy = step.createdBy.replace("%DIGEST%", prepared.digest ?? "");
  const known = parts.useCache ? parts.cache.step(prepared.key) : undefined;
  const result = known ?? (await prepared.work());
  if (known?.layer !== undefined) stage.state.push(known.layer.diffId);
  if (known === undefined) parts.cache.putStep(prepared.key, result);
  if (result.layer !== undefined) stage.layers.push(result.layer);
  stage.history.push({ created: result.created, created_by: createdBy, ...(result.layer === undefined && { empty_layer: true }) });
  stage.config = step.config;
  stage.author = step.author;
  return { result, cached: known !== undefined };
}

function createdNow(parts: BuildParts): string {
  const { epochSec } = parts.request;
  return new Date(epochSec === undefined ? parts.host.clock.now() : epochSec * 1000).toISOString().replace(/\.000Z$/, "Z");
}

interface PreparedStep {
  readonly key: string;
  /** `file:<hex>` and the like, for the history. */
  readonly digest?: string;
  readonly work: () => Promise<StepResult>;
}

function prepareStep(run: Run, stage: StageResult, step: Step): PreparedStep {
  const { action } = step;
  const parent = stage.state.diffIds;
  const epoch = run.parts.request.epochSec ?? null;
  switch (action.kind) {
    case "none": {
      // Remembered for its time only, so that an unchanged build gives the same image.
      const key = cacheKey({ parent, epoch, config: step.config, createdBy: step.createdBy, number: step.number });
      return { key, work: () => Promise.resolve({ layer: undefined, created: createdNow(run.parts) }) };
    }
    case "run":
      return { key: cacheKey({ parent, epoch, run: { ...action, mounts: mountMaterial(run, action) } }), work: () => doRun(run, stage, action) };
    case "workdir":
      return { key: cacheKey({ parent, epoch, workdir: action }), work: () => doWorkdir(run, stage, action) };
    case "copy": {
      const { tree, found, digest } = findCopied(run, action);
      const { sources: _, ...rest } = action;
      return {
        key: cacheKey({ parent, epoch, copy: { ...rest, digest } }),
        digest,
        work: () => doCopy(run, stage, action, { tree, found }),
      };
    }
  }
}

/** What mounts add to a RUN's key: the content of bind sources; nothing of caches and secrets but their names. */
function mountMaterial(run: Run, action: RunAction): unknown[] {
  return action.mounts.map((mount) => {
    if (mount.kind !== "bind") return mount;
    const { from, ...rest } = mount;
    return { ...rest, content: contentKey(run, from, mount.source) };
  });
}

/** Trees of stages and images are known by their layers; the context is read. */
function contentKey(run: Run, from: SourceRef, source: string): unknown {
  if (from.kind !== "context") return layersOfRef(run, from);
  const tree = openTree(run, from);
  const { files } = run.parts.host;
  return digestSources(files, tree, findSources(files, tree, source), []);
}

function layersOfRef(run: Run, ref: Exclude<SourceRef, { kind: "context" }>): readonly Digest[] {
  if (ref.kind === "stage") return stageOf(run, ref.index).state.diffIds;
  return imageOf(run, ref.name).config.rootfs.diff_ids;
}

function stageOf(run: Run, index: number): StageResult {
  const stage = run.stages.get(index);
  if (stage === undefined) throw new Error(`stage ${index} was not built`);
  return stage;
}

function imageOf(run: Run, name: string): StoredImage {
  const image = run.parts.findImage(name);
  if (image === undefined) throw new Failure("not-found", `Cannot copy from image "${name}": it is not in the store`, { hint: `fetch it with: berth pull ${name}` });
  return image;
}

/** Mounts it at the first use. */
function openTree(run: Run, ref: SourceRef): SourceTree {
  if (ref.kind === "context") {
    if (run.parts.context !== undefined) return run.parts.context;
    throw new Failure("bad-input", "Cannot copy from the build context: this build has none", { hint: "give a directory: berth build DIRECTORY" });
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

interface Copied {
  readonly tree: SourceTree;
  readonly found: readonly FoundSource[];
}

function findCopied(run: Run, action: CopyAction): Copied & { digest: string } {
  const { files } = run.parts.host;
  const needsTree = action.sources.some((source) => source.kind === "path");
  const tree = needsTree ? openTree(run, action.from) : { root: "/", rules: createIgnoreRules(["*"]), isImage: false, title: "build context" };
  const found = action.sources.map((source): FoundSource => {
    if (source.kind === "heredoc") return source;
    return { kind: "path", sources: findSources(files, tree, source.path) };
  });
  const paths = found.flatMap((entry) => (entry.kind === "path" ? entry.sources : []));
  const texts = found.flatMap((entry) => (entry.kind === "heredoc" ? [[entry.heredoc.name, entry.heredoc.content]] : []));
  const written = action.sources.map((source) => (source.kind === "path" && action.parents ? source.path : ""));
  const content = digestSources(files, tree, paths, action.exclude);
  const count = paths.length + texts.length;
  const kind = count > 1 ? "multi" : paths[0]?.stat.kind === "directory" ? "dir" : "file";
  const layers = action.from.kind === "context" || !needsTree ? null : action.from.kind;
  return { tree, found, digest: `${kind}:${cacheKey({ content, texts, written, layers })}` };
}

async function doCopy(run: Run, stage: StageResult, action: CopyAction, copied: Copied): Promise<StepResult> {
  const { host, request } = run.parts;
  const nowSec = request.epochSec ?? Math.floor(host.clock.now() / 1000);
  const { rest, archives } = await openArchives(host, action, copied);
  const members = copyMembers(host.files, { action, tree: copied.tree, found: rest, view: stage.state.view(), nowSec });
  if (archives.length === 0) return commitMembers(run, stage, members);
  const unpacked: TarInput["member"][] = [];
  const inputs = async function* (): AsyncGenerator<TarInput, void, undefined> {
    for (const input of members) {
      unpacked.push(input.member);
      yield input;
    }
    for (const archive of archives) {
      for await (const input of archive.unpack(stage.state.view(), nowSec)) {
        unpacked.push(input.member);
        yield input;
      }
    }
  };
  return commit(run, inputs(), (diffId) => stage.state.pushMembers(diffId, unpacked.map((member) => ({ member }))));
}

async function doWorkdir(run: Run, stage: StageResult, action: { readonly path: string; readonly user: string }): Promise<StepResult> {
  const { host, request } = run.parts;
  const { files } = host;
  const view = stage.state.view();
  const { path, stat } = resolveInRoot(files, view, textToByteName(action.path), { followLast: true });
  if (stat !== undefined && stat.kind !== "directory") throw new Failure("conflict", `Cannot make directory "${action.path}": it is no directory in the image`);
  if (stat !== undefined) return { layer: undefined, created: createdNow(run.parts) };
  const owner = action.user === "" ? ROOT : resolveOwner(files, view, action.user);
  const names = path.split("/");
  const nowSec = request.epochSec ?? Math.floor(host.clock.now() / 1000);
  const members = names.map((_, i): TarInput => {
    const here = names.slice(0, i + 1).join("/");
    const existing = existingStat(files, view, here);
    if (existing === "other") throw new Failure("conflict", `Cannot make directory "${action.path}": "/${byteNameToText(here)}" is no directory`);
    const stat = existing ?? { mode: 0o755, ...owner, mtimeSec: nowSec, mtimeNsec: 0, xattrs: NO_XATTRS };
    return { member: { kind: "directory", path: here as TarInput["member"]["path"], stat } };
  });
  return commitMembers(run, stage, members);
}

async function doRun(run: Run, stage: StageResult, action: RunAction): Promise<StepResult> {
  const { parts, scratch } = run;
  const { host, store, request, output, runProcess, signal } = parts;
  const commitWritten = async ({ upper, merged }: Written): Promise<StepResult> => {
    output.endOfCommand();
    const members = upperMembers(host.files, { upper, merged, lower: stage.state.view() });
    if (members.length === 0) return { layer: undefined, created: createdNow(parts) };
    return commit(run, members, (diffId) => stage.state.pushUpper(diffId, upper));
  };
  return runStep(
    {
      host,
      store,
      runProcess,
      signal,
      secrets: request.secrets,
      proxies: request.proxies,
      openTree: (ref) => openTree(run, ref),
      newDirectory: scratch.newDirectory,
      secretDirectory: scratch.secretDirectory,
      onStdout: output.stdout,
      onStderr: output.stderr,
    },
    action,
    stage.state,
    commitWritten,
  );
}

function commitMembers(run: Run, stage: StageResult, members: readonly TarInput[]): Promise<StepResult> {
  if (members.length === 0) return Promise.resolve({ layer: undefined, created: createdNow(run.parts) });
  return commit(run, members, (diffId) => stage.state.pushMembers(diffId, members));
}

async function commit(run: Run, members: Iterable<TarInput> | AsyncIterable<TarInput>, push: (diffId: Digest) => void): Promise<StepResult> {
  const { store, request, signal } = run.parts;
  const tar = writeTar(members, request.epochSec === undefined ? {} : { epochSec: request.epochSec });
  const layer = await store.addLayer(tar, signal === undefined ? {} : { signal });
  push(layer.diffId);
  return { layer, created: createdNow(run.parts) };
}

async function finish(run: Run, plan: StagePlan, shown: { readonly prefix: string; readonly cached: boolean }): Promise<StoredImage> {
  const { parts } = run;
  const { store, cache, request, output, names } = parts;
  const stage = stageOf(run, plan.stage.index);
  if (stage.layers.length === 0) stage.layers.push(await store.addLayer(writeTar([])));
  const annotations = new Map(request.annotations);
  if (stage.base !== undefined) {
    const written = stage.baseName ?? "";
    const full = stage.base.names.find((name) => [written, `${written}:latest`, `localhost/${written}`, `localhost/${written}:latest`].includes(name));
    annotations.set("org.opencontainers.image.base.name", full ?? written);
    annotations.set("org.opencontainers.image.base.digest", stage.base.digest);
  }
  const { config, author, layers, history } = stage;
  const variant = stage.base?.config.variant;
  const steps = history.map(({ created_by, empty_layer }) => [created_by, empty_layer ?? false]);
  const key = cacheKey({ image: { config, author, layers, steps, annotations: [...annotations], epoch: request.epochSec ?? null } });
  const known = parts.useCache ? cache.image(key) : undefined;
  let image = known === undefined ? undefined : store.image(known);
  if (image === undefined) {
    const created = history.at(-1)?.created ?? createdNow(parts);
    image = store.saveImage(assembleImage({ created, author, architecture: request.architecture, variant, config, layers, history, annotations }));
    cache.putImage(key, image.digest);
  }
  const id = digestHex(image.manifest.config.digest);
  if (shown.cached) output.line(`--> Using cache ${id}`);
  output.line(`${shown.prefix}COMMIT${names.length === 0 ? "" : ` ${names[0]}`}`);
  for (const name of names) store.tag(name, image.digest);
  output.line(`--> ${id.slice(0, 12)}`);
  for (const name of names) output.line(`Successfully tagged ${name}`);
  return image;
}
