/** buildImage(): a request → an image in the store. What is missing is fetched before the plan is made. */
import type { Host } from "../host/host.ts";
import type { Progress } from "../core/progress.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { asArray, asObject, optional, parseJsonObject } from "../core/json.ts";
import { formatImageRef, type ImageRef, parseImageRef } from "../oci/reference.ts";
import type { LayerEncoding } from "../store/layer-encoding.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { applyBuild } from "./apply.ts";
import { openBuildCache } from "./build-cache.ts";
import type { BuildOutput } from "./build-output.ts";
import type { BuildRequest } from "./build-request.ts";
import { checkSources } from "./check-sources.ts";
import { imageNames, planBuild } from "./plan.ts";
import type { RunProcess } from "./run-step.ts";
import type { SourceTree } from "./source-tree.ts";
import type { BuildPlan } from "./step.ts";

export interface BuildImageOptions {
  readonly request: BuildRequest;
  readonly context: SourceTree;
  readonly names: readonly string[];
  readonly useCache: boolean;
  /** Of the layers that are made; those of the base stay as they are. */
  readonly encoding: LayerEncoding;
  readonly output: BuildOutput;
  readonly progress: Progress;
  readonly runProcess: RunProcess;
  /** Fetches an image that the store lacks; undefined when the reference is one of this machine alone. */
  readonly pull: (ref: ImageRef) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/** Fetches what is missing, then plans. Throws as planBuild() and checkSources(). */
export async function prepareBuild(
  host: Pick<Host, "files">,
  store: Store,
  options: Pick<BuildImageOptions, "request" | "context" | "pull">,
): Promise<BuildPlan> {
  for (const name of imageNames(options.request)) {
    if (findImage(store, name) !== undefined) continue;
    const ref = remoteReference(name);
    if (ref !== undefined) await options.pull(ref);
  }
  for (const name of imageNames(options.request)) refuseTriggers(name, findImage(store, name));
  const plan = planBuild(options.request, (name) => findImage(store, name)?.config);
  checkSources(host.files, plan, options.context);
  return plan;
}

/** ONBUILD of a base (Docker's format only) would have to run right after FROM. */
function refuseTriggers(name: string, image: StoredImage | undefined): void {
  if (image === undefined) return;
  const config = optional(
    parseJsonObject(image.configBytes.toString("utf8"), "image config")["config"],
    "image config.config",
    asObject,
  );
  const triggers = optional(config?.["OnBuild"], "image config.config.OnBuild", asArray) ?? [];
  if (triggers.length === 0) return;
  throw new Failure(
    "unsupported",
    `Cannot build from image "${name}": it has ONBUILD triggers, which are not supported`,
    {
      hint: "write what they do into the Containerfile of a base without them",
    },
  );
}

export async function buildImage(host: Host, store: Store, options: BuildImageOptions): Promise<StoredImage> {
  const plan = await prepareBuild(host, store, options);
  const image = await applyBuild({
    host,
    store,
    cache: openBuildCache(host, store),
    request: options.request,
    plan,
    context: options.context,
    useCache: options.useCache,
    encoding: options.encoding,
    findImage: (name) => findImage(store, name),
    runProcess: options.runProcess,
    output: options.output,
    names: options.names,
    signal: options.signal,
  });
  for (const warning of plan.warnings) options.progress.warn(`warning: ${warning}`);
  return image;
}

/** As FROM names images: a full name, one without host (of this machine), a digest or an image id. */
export function findImage(store: Pick<Store, "image">, name: string): StoredImage | undefined {
  for (const candidate of [name, `localhost/${name}`]) {
    try {
      const found = store.image(formatImageRef(parseImageRef(candidate)));
      if (found !== undefined) return found;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  if (!/^(?:sha256:)?[0-9a-f]{6,64}$/.test(name)) return undefined;
  try {
    return store.image(name.replace(/^sha256:/, "")) ?? store.image(name);
  } catch (error) {
    if (isFailure(error, "not-found")) return undefined;
    throw error;
  }
}

function remoteReference(name: string): ImageRef | undefined {
  try {
    const ref = parseImageRef(name);
    return ref.host === "localhost" ? undefined : ref;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
