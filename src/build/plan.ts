/**
 * planBuild(): a Containerfile and a request → BuildPlan. Pure: the configuration of base images comes in through `bases`. All
 * that berth cannot do is refused here, with its line, before a step runs.
 */
import { findTarget, neededStages } from "../containerfile/graph.ts";
import { errorAt } from "../containerfile/logical-line.ts";
import { findStage, sourcesOf, type Stage } from "../containerfile/stages.ts";
import { expandWord } from "../containerfile/word-expansion.ts";
import { parseWord, WordError, wordText } from "../containerfile/word-syntax.ts";
import { Failure } from "../core/failure.ts";
import type { ImageConfig, RunConfig } from "../oci/config.ts";
import type { BuildRequest } from "./build-request.ts";
import { planInstruction } from "./plan-instruction.ts";
import { createStageScope, type StageScope } from "./stage-scope.ts";
import type { BaseRef, BuildPlan, StagePlan, Step } from "./step.ts";
import { type GlobalArgs, getVariable, readGlobalArgs, setVariable, unconsumedArgs } from "./variables.ts";

/** The configuration of an image in the store, by the name that FROM gives; undefined when it is not there. */
export type FindBase = (name: string) => Pick<ImageConfig, "config" | "author" | "architecture"> | undefined;

export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Throws ContainerfileError for what the file says, Failure for what the request says or the store lacks. */
export function planBuild(request: BuildRequest, bases: FindBase): BuildPlan {
  const { file } = request;
  const globals = wordErrorsAt(file.globals[0], () => readGlobalArgs(request));
  const target = findTargetOrFail(request);
  const scopes = new Map<number, StageScope>();
  const warnings: string[] = file.warnings.map((warning) => `${request.fileName}:${warning.line}: ${warning.message}`);
  const stages = neededStages(file, target, globals.lookup).map((stage): StagePlan => {
    const planned = planStage(stage, { request, globals, bases, scopes, warnings });
    scopes.set(stage.index, planned.scope);
    return planned.plan;
  });
  for (const { stage, steps } of stages) {
    for (const step of steps) {
      const missing = imagesOfStep(step).find((name) => bases(name) === undefined);
      if (missing === undefined) continue;
      const instruction = stage.instructions[step.number - 2];
      const message = `image "${missing}" is not in the store`;
      if (instruction !== undefined)
        throw errorAt(
          instruction.source.line,
          message,
          sourcesOf(instruction)[0]?.offset,
          `fetch it with: berth pull ${missing}`,
        );
    }
  }
  const unconsumed = unconsumedArgs(request, globals.consumed);
  if (unconsumed.length > 0) warnings.push(`one or more build args were not consumed: [${unconsumed.join(" ")}]`);
  return { stages, target, warnings };
}

/** Images that the build stands on or copies from, as far as their names hold no variable of a stage: what may have to be fetched. */
export function imageNames(request: BuildRequest): string[] {
  const { file } = request;
  const { escape } = file.directives;
  const globals = wordErrorsAt(file.globals[0], () => readGlobalArgs(request));
  const names = neededStages(file, findTargetOrFail(request), globals.lookup).flatMap((stage) => {
    const base = wordErrorsAt(stage.from, () => expandWord(stage.from.image.text, globals.lookup, { escape }));
    const copied = stage.instructions.flatMap((instruction) =>
      instruction.kind === "onbuild" ? [] : sourcesOf(instruction),
    );
    const fixed = copied.flatMap((source) => wordText(parseWord(source.text, { escape })) ?? []);
    return [base, ...fixed].filter(
      (name) => name !== "" && name !== "scratch" && findStage(file.stages, name, stage.index) === undefined,
    );
  });
  return [...new Set(names)];
}

function imagesOfStep(step: Step): string[] {
  const { action } = step;
  const refs =
    action.kind === "copy"
      ? [action.from]
      : action.kind === "run"
        ? action.mounts.flatMap((mount) => ("from" in mount && mount.from !== undefined ? [mount.from] : []))
        : [];
  return refs.flatMap((ref) => (ref.kind === "image" ? [ref.name] : []));
}

function findTargetOrFail(request: BuildRequest): Stage {
  try {
    return findTarget(request.file, request.target);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Failure("usage", `Cannot build target of "${request.fileName}": ${error.message}`);
  }
}

/** Word errors that only values bring (`${v:?message}`) get the place of the instruction. */
export function wordErrorsAt<T>(
  instruction: { readonly source: { readonly line: Parameters<typeof errorAt>[0] } } | undefined,
  work: () => T,
): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof WordError && instruction !== undefined) throw errorAt(instruction.source.line, error.message);
    throw error;
  }
}

interface StageParts {
  readonly request: BuildRequest;
  readonly globals: GlobalArgs;
  readonly bases: FindBase;
  readonly scopes: ReadonlyMap<number, StageScope>;
  readonly warnings: string[];
}

function planStage(stage: Stage, parts: StageParts): { plan: StagePlan; scope: StageScope } {
  const { request, globals } = parts;
  const { escape } = request.file.directives;
  const expand = (text: string): string => wordErrorsAt(stage.from, () => expandWord(text, globals.lookup, { escape }));
  const name = expand(stage.from.image.text);
  const { line } = stage.from.source;
  if (name.trim() === "")
    throw errorAt(
      line,
      `base name ${JSON.stringify(stage.from.image.text)} is empty after expansion`,
      stage.from.image.offset,
    );
  checkPlatform(
    stage,
    stage.from.platform === undefined ? undefined : expand(stage.from.platform.text),
    request.architecture,
  );
  const base = findBase(stage, name, request);
  const inherited = base.kind === "stage" ? parts.scopes.get(base.index) : undefined;
  const start = inherited?.config ?? baseConfig(stage, base, parts);
  const initialConfig = withPath(start.config);
  const scope = createStageScope({
    request,
    stage,
    globals,
    warnings: parts.warnings,
    config: { config: initialConfig, author: start.author },
    args: new Map(inherited?.args ?? []),
    shell: inherited?.shell ?? ["/bin/sh", "-c"],
  });
  const as = stage.name === undefined ? "" : ` AS ${stage.name}`;
  const steps = stage.instructions.map(
    (instruction, i): Step => wordErrorsAt(instruction, () => planInstruction(instruction, i + 2, scope)),
  );
  const last = stage === findTarget(request.file, request.target);
  const labelled = last && request.labels.size > 0 ? labelStep(steps.length + 2, scope) : [];
  return {
    scope,
    plan: { stage, fromText: `FROM ${name}${as}`, base, initialConfig, steps: [...steps, ...labelled] },
  };
}

/** `--label` comes last, as an instruction of its own. */
function labelStep(number: number, scope: StageScope): Step[] {
  const { request } = scope;
  const labels = Object.fromEntries(request.labels);
  scope.config = {
    ...scope.config,
    config: { ...scope.config.config, Labels: { ...scope.config.config.Labels, ...labels } },
  };
  const text = `LABEL ${[...request.labels].map(([name, value]) => `${JSON.stringify(name)}=${JSON.stringify(value)}`).join(" ")}`;
  const { config, author } = scope.config;
  return [{ number, line: 0, text, createdBy: `/bin/sh -c #(nop) ${text}`, action: { kind: "none" }, config, author }];
}

function checkPlatform(stage: Stage, platform: string | undefined, architecture: string): void {
  if (platform === undefined) return;
  const [os = "", machine = ""] = platform.includes("/") ? platform.split("/") : ["linux", platform];
  if (os === "linux" && machine === architecture) return;
  const message = `platform ${JSON.stringify(platform)} is not this machine's, linux/${architecture}: building for others is not supported`;
  throw errorAt(stage.from.source.line, message, stage.from.platform?.offset);
}

function findBase(stage: Stage, name: string, request: BuildRequest): BaseRef {
  if (name === "scratch") return { kind: "scratch" };
  const earlier = findStage(request.file.stages, name, stage.index);
  return earlier === undefined ? { kind: "image", name } : { kind: "stage", index: earlier.index };
}

function baseConfig(stage: Stage, base: BaseRef, parts: StageParts): { config: RunConfig; author: string | undefined } {
  if (base.kind !== "image") return { config: {}, author: undefined };
  const found = parts.bases(base.name);
  const { line } = stage.from.source;
  const { offset } = stage.from.image;
  if (found === undefined) {
    throw errorAt(
      line,
      `base image "${base.name}" is not in the store`,
      offset,
      /[.:/]/.test(base.name)
        ? `fetch it with: berth pull ${base.name}`
        : `write the full name, e.g. localhost/${base.name}`,
    );
  }
  if (found.architecture !== parts.request.architecture) {
    throw errorAt(
      line,
      `base image "${base.name}" is for ${found.architecture}, this machine is ${parts.request.architecture}`,
      offset,
    );
  }
  return { config: found.config, author: found.author };
}

function withPath(config: RunConfig): RunConfig {
  const env = config.Env ?? [];
  return getVariable(env, "PATH") === undefined ? { ...config, Env: setVariable(env, "PATH", DEFAULT_PATH) } : config;
}
