/**
 * pullImage(): an image from a registry into a store. Only what the store lacks is fetched, in the way that moves least
 * (transfer-plan.ts), several layers at a time, each hashed, unpacked and stored while it arrives. The name is set last, so a pull
 * that fails leaves no image behind.
 */
import { mapConcurrent } from "../core/concurrency.ts";
import { digestHex } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { partOf } from "../core/progress.ts";
import { verified } from "../core/verified.ts";
import { collectBytes } from "../core/bytes.ts";
import { type ImageConfig, parseImageConfig } from "../oci/config.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { formatImageRef, type ImageRef } from "../oci/reference.ts";
import { requireSpace } from "../store/space.ts";
import type { Store, StoredImage } from "../store/store.ts";
import type { RemoteContext } from "./context.ts";
import { obtainLayer } from "./layer-option.ts";
import { sweepPartialBlobs } from "./partial-blob.ts";
import { type ResolvedImage, resolveImage } from "./resolve.ts";
import { refusal } from "./answer.ts";
import { describeTransfer, planTransfer, type TransferPlan } from "./transfer-plan.ts";

export interface PullOptions {
  /** Answer of resolveImage(), when the caller has it already. */
  readonly resolved?: ResolvedImage;
  /** Answer of planTransfer() for it, when the caller has it already. */
  readonly plan?: TransferPlan;
  /** Names the image as the reference does; true by default. */
  readonly tag?: boolean;
  /** Called before the first layer. */
  readonly onPlan?: (plan: TransferPlan) => void;
  /** Called with each count of bytes that came over the network. */
  readonly onReceived?: (count: number) => void;
}

const PARALLEL_LAYERS = 4;
const CONFIG_BYTES_MAX = 16 * 1024 * 1024;

/** Failure "not-found", "unauthorized", "network", "no-space", "digest-mismatch", "bad-input". */
export async function pullImage(
  context: RemoteContext,
  store: Store,
  ref: ImageRef,
  options: PullOptions = {},
): Promise<StoredImage> {
  const { progress } = context;
  const resolved = options.resolved ?? (await resolveImage(context, ref));
  const { configBytes, config } = await fetchConfig(resolved);
  const { onReceived } = options;
  const plan = options.plan ?? (await planTransfer({ context, store, resolved, config, onReceived }));
  if (plan.spaceBytes > 0) requireSpace(context.host, store.path, plan.spaceBytes, `pull ${formatImageRef(ref)}`);
  sweepPartialBlobs(context.host, store.path);

  progress.say(`Plan: ${describeTransfer(plan)}`);
  options.onPlan?.(plan);
  for (const layer of plan.present) progress.task(blobLabel(layer.descriptor)).done("skipped: already exists");
  const whole = progress.task("In all", { total: plan.restBytes, unit: "bytes", passing: true });
  await mapConcurrent(
    plan.missing,
    { limit: PARALLEL_LAYERS, ...(context.signal && { signal: context.signal }) },
    async (planned) => {
      const { descriptor } = planned.layer;
      const task = partOf(whole, progress.task(blobLabel(descriptor), { total: descriptor.size, unit: "bytes" }));
      task.done(await obtainLayer(planned, task));
    },
  );
  whole.done();
  progress.task(`Copying config ${digestHex(resolved.manifest.config.digest).slice(0, 12)}`).done();
  progress.say("Writing manifest to image destination");
  const image = store.saveImage({ manifestBytes: resolved.bytes, configBytes });
  if (options.tag === false) return image;
  store.tag(nameOf(ref), image.digest);
  return store.image(image.digest) ?? image;
}

/** The image's configuration, checked. For a look at an image that is not pulled. */
export async function fetchConfig(resolved: ResolvedImage): Promise<{ configBytes: Buffer; config: ImageConfig }> {
  const { session, manifest, ref } = resolved;
  const descriptor = manifest.config;
  if (resolved.configBytes !== undefined) {
    const { configBytes } = resolved;
    return { configBytes, config: parseImageConfig(configBytes.toString("utf8")) };
  }
  if (descriptor.size > CONFIG_BYTES_MAX) {
    throw new Failure(
      "bad-input",
      `Cannot use image "${formatImageRef(ref)}": its config has ${descriptor.size} bytes, wanted at most ${CONFIG_BYTES_MAX}`,
    );
  }
  const response = await session.request("GET", `blobs/${descriptor.digest}`);
  if (response.status !== 200) {
    throw new Failure("not-found", `Cannot fetch the config of "${formatImageRef(ref)}": ${await refusal(response)}`);
  }
  const configBytes = await collectBytes(verified(response.body, descriptor));
  try {
    return { configBytes, config: parseImageConfig(configBytes.toString("utf8")) };
  } catch (error) {
    throw new Failure(
      "bad-input",
      `Cannot use image "${formatImageRef(ref)}": its config ${descriptor.digest} is malformed`,
      { cause: error },
    );
  }
}

function nameOf(ref: ImageRef): string {
  return formatImageRef(ref.tag === undefined ? ref : { ...ref, digest: undefined });
}

function blobLabel(descriptor: Descriptor): string {
  return `Copying blob ${digestHex(descriptor.digest).slice(0, 12)}`;
}
