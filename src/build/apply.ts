/**
 * applyBuild(): runs a BuildPlan: each step comes from the cache or is done, stage by stage, and the target becomes an image. It
 * decides nothing but hit or miss.
 */
import { digestHex } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { writeTar } from "../format/tar/write.ts";
import { recompressLayer } from "../store/layer-encoding.ts";
import type { StoredImage } from "../store/store.ts";
import { assembleImage } from "./assemble.ts";
import { cacheKey, type LayerResult, type StepResult } from "./build-cache.ts";
import { type BuildParts, type BuildRun, createdNow, newState, type StageResult, stageOf } from "./build-run.ts";
import { prepareStep } from "./prepare-step.ts";
import { openScratch } from "./scratch.ts";
import type { StagePlan, Step } from "./step.ts";

/** The image, tagged with all its names. */
export async function applyBuild(parts: BuildParts): Promise<StoredImage> {
  using scratch = openScratch(parts.host, parts.store);
  using resources = new DisposableStack();
  const run: BuildRun = { parts, scratch, resources, stages: new Map(), trees: new Map() };
  const { stages, target } = parts.plan;
  for (const [i, stage] of stages.entries()) {
    const prefix = stages.length > 1 ? `[${i + 1}/${stages.length}] ` : "";
    const cached = await applyStage(run, stage, prefix);
    if (stage.stage === target) return finish(run, stage, { prefix, cached });
  }
  throw new Error("the plan has no target stage");
}

/** True when the target's last step came from the cache. */
async function applyStage(run: BuildRun, plan: StagePlan, prefix: string): Promise<boolean> {
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

function startStage(run: BuildRun, plan: StagePlan): StageResult {
  const { base } = plan;
  const { findImage } = run.parts;
  const earlier = base.kind === "stage" ? run.stages.get(base.index) : undefined;
  const image = base.kind === "image" ? findImage(base.name) : earlier?.base;
  const layers = earlier?.layers ?? (image === undefined ? [] : layersOf(image));
  const history = earlier?.history ?? image?.config.history ?? [];
  return {
    state: newState(
      run,
      layers.map((layer) => layer.diffId),
    ),
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
    if (diffId === undefined)
      throw new Failure("corrupt", `Cannot use image ${image.digest}: it has more layers than diff ids`);
    return { descriptor, diffId };
  });
}

/** Done or remembered; the stage's layers, history and configuration include it afterwards. */
async function applyStep(
  run: BuildRun,
  stage: StageResult,
  step: Step,
): Promise<{ result: StepResult; cached: boolean }> {
  const { parts } = run;
  const prepared = prepareStep(run, stage, step);
  const createdBy = step.createdBy.replace("%DIGEST%", prepared.digest ?? "");
  const known = parts.useCache ? parts.cache.step(prepared.key) : undefined;
  const result = known ?? (await prepared.work());
  if (known?.layer !== undefined) stage.state.push(known.layer.diffId);
  if (known === undefined) parts.cache.putStep(prepared.key, result);
  if (result.layer !== undefined)
    stage.layers.push(await recompressLayer(parts.store, result.layer, parts.encoding, parts.signal));
  stage.history.push({
    created: result.created,
    created_by: createdBy,
    ...(result.layer === undefined && { empty_layer: true }),
  });
  stage.config = step.config;
  stage.author = step.author;
  return { result, cached: known !== undefined };
}

async function finish(
  run: BuildRun,
  plan: StagePlan,
  shown: { readonly prefix: string; readonly cached: boolean },
): Promise<StoredImage> {
  const { parts } = run;
  const { store, cache, request, output, names } = parts;
  const stage = stageOf(run, plan.stage.index);
  if (stage.layers.length === 0) stage.layers.push(await store.addLayer(writeTar([]), { encoding: parts.encoding }));
  const annotations = new Map(request.annotations);
  if (stage.base !== undefined) {
    const written = stage.baseName ?? "";
    const full = stage.base.names.find((name) =>
      [written, `${written}:latest`, `localhost/${written}`, `localhost/${written}:latest`].includes(name),
    );
    annotations.set("org.opencontainers.image.base.name", full ?? written);
    annotations.set("org.opencontainers.image.base.digest", stage.base.digest);
  }
  const { config, author, layers, history } = stage;
  const variant = stage.base?.config.variant;
  const steps = history.map(({ created_by, empty_layer }) => [created_by, empty_layer ?? false]);
  const key = cacheKey({
    image: { config, author, layers, steps, annotations: [...annotations], epoch: request.epochSec ?? null },
  });
  const known = parts.useCache ? cache.image(key) : undefined;
  let image = known === undefined ? undefined : store.image(known);
  if (image === undefined) {
    const created = history.at(-1)?.created ?? createdNow(parts);
    image = store.saveImage(
      assembleImage({
        created,
        author,
        architecture: request.architecture,
        variant,
        config,
        layers,
        history,
        annotations,
      }),
    );
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
