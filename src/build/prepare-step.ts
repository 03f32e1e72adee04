/**
 * prepareStep(): what a step's result depends on, as a cache key, and the work that makes it.
 */
import { createIgnoreRules } from "../containerfile/ignore.ts";
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { type TarInput, writeTar } from "../format/tar/write.ts";
import { NO_XATTRS } from "../tree/node.ts";
import { openArchives } from "./add-archive.ts";
import { cacheKey, type StepResult } from "./build-cache.ts";
import { type BuildRun, createdNow, imageOf, openTree, type StageResult, stageOf } from "./build-run.ts";
import { copyMembers, existingStat, type FoundSource } from "./copy-layer.ts";
import { resolveOwner, ROOT } from "./owner.ts";
import { resolveInRoot } from "../host/resolve-in-root.ts";
import { runStep, type Written } from "./run-step.ts";
import { digestSources, findSources, type SourceTree } from "./source-tree.ts";
import type { CopyAction, RunAction, SourceRef, Step } from "./step.ts";
import { upperMembers } from "./upper-layer.ts";

export interface PreparedStep {
  readonly key: string;
  /** `file:<hex>` and the like, for the history. */
  readonly digest?: string;
  readonly work: () => Promise<StepResult>;
}

export function prepareStep(run: BuildRun, stage: StageResult, step: Step): PreparedStep {
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
      return {
        key: cacheKey({ parent, epoch, run: { ...action, mounts: mountMaterial(run, action) } }),
        work: () => doRun(run, stage, action),
      };
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
function mountMaterial(run: BuildRun, action: RunAction): unknown[] {
  return action.mounts.map((mount) => {
    if (mount.kind !== "bind") return mount;
    const { from, ...rest } = mount;
    return { ...rest, content: contentKey(run, from, mount.source) };
  });
}

/** Trees of stages and images are known by their layers; the context is read. */
function contentKey(run: BuildRun, from: SourceRef, source: string): unknown {
  if (from.kind !== "context") return layersOfRef(run, from);
  const tree = openTree(run, from);
  const { files } = run.parts.host;
  return digestSources(files, tree, findSources(files, tree, source), []);
}

function layersOfRef(run: BuildRun, ref: Exclude<SourceRef, { kind: "context" }>): readonly Digest[] {
  if (ref.kind === "stage") return stageOf(run, ref.index).state.diffIds;
  return imageOf(run, ref.name).config.rootfs.diff_ids;
}

interface Copied {
  readonly tree: SourceTree;
  readonly found: readonly FoundSource[];
}

function findCopied(run: BuildRun, action: CopyAction): Copied & { digest: string } {
  const { files } = run.parts.host;
  const needsTree = action.sources.some((source) => source.kind === "path");
  const tree = needsTree
    ? openTree(run, action.from)
    : { root: "/", rules: createIgnoreRules(["*"]), isImage: false, title: "build context" };
  const found = action.sources.map((source): FoundSource => {
    if (source.kind === "heredoc") return source;
    return { kind: "path", sources: findSources(files, tree, source.path) };
  });
  const paths = found.flatMap((entry) => (entry.kind === "path" ? entry.sources : []));
  const texts = found.flatMap((entry) =>
    entry.kind === "heredoc" ? [[entry.heredoc.name, entry.heredoc.content]] : [],
  );
  const written = action.sources.map((source) => (source.kind === "path" && action.parents ? source.path : ""));
  const content = digestSources(files, tree, paths, action.exclude);
  const count = paths.length + texts.length;
  const kind = count > 1 ? "multi" : paths[0]?.stat.kind === "directory" ? "dir" : "file";
  const layers = action.from.kind === "context" || !needsTree ? null : action.from.kind;
  return { tree, found, digest: `${kind}:${cacheKey({ content, texts, written, layers })}` };
}

async function doCopy(run: BuildRun, stage: StageResult, action: CopyAction, copied: Copied): Promise<StepResult> {
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
  return commit(run, inputs(), (diffId) =>
    stage.state.pushMembers(
      diffId,
      unpacked.map((member) => ({ member })),
    ),
  );
}

async function doWorkdir(
  run: BuildRun,
  stage: StageResult,
  action: { readonly path: string; readonly user: string },
): Promise<StepResult> {
  const { host, request } = run.parts;
  const { files } = host;
  const view = stage.state.view();
  const { path, stat } = resolveInRoot(files, view, textToByteName(action.path));
  if (stat !== undefined && stat.kind !== "directory")
    throw new Failure("conflict", `Cannot make directory "${action.path}": it is no directory in the image`);
  if (stat !== undefined) return { layer: undefined, created: createdNow(run.parts) };
  const owner = action.user === "" ? ROOT : resolveOwner(files, view, action.user);
  const names = path.split("/");
  const nowSec = request.epochSec ?? Math.floor(host.clock.now() / 1000);
  const members = names.map((_, i): TarInput => {
    const here = names.slice(0, i + 1).join("/");
    const existing = existingStat(files, view, here);
    if (existing === "other")
      throw new Failure(
        "conflict",
        `Cannot make directory "${action.path}": "/${byteNameToText(here)}" is no directory`,
      );
    const stat = existing ?? { mode: 0o755, ...owner, mtimeSec: nowSec, mtimeNsec: 0, xattrs: NO_XATTRS };
    return { member: { kind: "directory", path: here as TarInput["member"]["path"], stat } };
  });
  return commitMembers(run, stage, members);
}

async function doRun(run: BuildRun, stage: StageResult, action: RunAction): Promise<StepResult> {
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
      newDirectory: () => scratch.newDirectory(),
      secretDirectory: () => scratch.secretDirectory(),
      onStdout: (chunk) => output.stdout(chunk),
      onStderr: (chunk) => output.stderr(chunk),
    },
    action,
    stage.state,
    commitWritten,
  );
}

function commitMembers(run: BuildRun, stage: StageResult, members: readonly TarInput[]): Promise<StepResult> {
  if (members.length === 0) return Promise.resolve({ layer: undefined, created: createdNow(run.parts) });
  return commit(run, members, (diffId) => stage.state.pushMembers(diffId, members));
}

async function commit(
  run: BuildRun,
  members: Iterable<TarInput> | AsyncIterable<TarInput>,
  push: (diffId: Digest) => void,
): Promise<StepResult> {
  const { store, request, signal } = run.parts;
  const tar = writeTar(members, request.epochSec === undefined ? {} : { epochSec: request.epochSec });
  const layer = await store.addLayer(tar, signal === undefined ? {} : { signal });
  push(layer.diffId);
  return { layer, created: createdNow(run.parts) };
}
