/**
 * pullImage(): an image from a registry into a store. Only what the store lacks is fetched (layer-source.ts), several layers at a
 * time, each hashed, unpacked and stored while it arrives. The name is set last, so a pull that fails
 * leaves no image behind.
 */
import { mapConcurrent } from "../core/concurrency.ts";
import { type Digest, digestHex } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { verified } from "../core/verified.ts";
import { collectBytes } from "../core/bytes.ts";
import { type ImageConfig, parseImageConfig } from "../oci/config.ts";
import type { Descriptor, Manifest } from "../oci/manifest.ts";
import { layerCompression } from "../oci/media-types.ts";
import { formatImageRef, type ImageRef } from "../oci/reference.ts";
import { requireSpace } from "../store/space.ts";
import type { Store, StoredImage } from "../store/store.ts";
import type { RemoteContext } from "./context.ts";
import { createBlobSource, isHere, type LayerPlan } from "./layer-source.ts";
import { sweepPartialBlobs } from "./partial-blob.ts";
import { type ResolvedImage, resolveImage } from "./resolve.ts";
import { refusal } from "./answer.ts";

export interface PullPlan {
  readonly present: readonly LayerPlan[];
  readonly missing: readonly LayerPlan[];
  /** Compressed bytes of the missing layers. */
  readonly bytes: number;
}

export interface PullOptions {
  /** Answer of resolveImage(), when the caller has it already. */
  readonly resolved?: ResolvedImage;
  /** Names the image as the reference does; true by default. */
  readonly tag?: boolean;
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
  const plan = planPull(store, resolved.manifest, config);
  // Unpacked content is at least as large as the blob; the download itself, and a kept blob, come on top.
  const required = plan.bytes * (store.keepsBlobs ? 3 : 2);
  if (required > 0) requireSpace(context.host, store.path, required, `pull ${formatImageRef(ref)}`);
  sweepPartialBlobs(context.host, store.path);

  const source = createBlobSource(context, store, resolved.session, { onReceived: options.onReceived });
  for (const layer of plan.present) progress.task(blobLabel(layer.descriptor)).done("skipped: already exists");
  await mapConcurrent(
    plan.missing,
    { limit: PARALLEL_LAYERS, ...(context.signal && { signal: context.signal }) },
    async (layer) => {
      const { descriptor } = layer;
      const task = progress.task(blobLabel(descriptor), { total: descriptor.size, unit: "bytes" });
      task.done(await source.obtain(layer, task));
    },
  );
  progress.task(`Copying config ${digestHex(resolved.manifest.config.digest).slice(0, 12)}`).done();
  progress.say("Writing manifest to image destination");
  const image = store.saveImage({ manifestBytes: resolved.bytes, configBytes });
  if (options.tag === false) return image;
  store.tag(nameOf(ref), image.digest);
  return store.image(image.digest) ?? image;
}

/** What of `manifest` must be fetched. Failure "bad-input" when config and manifest do not fit, "unsupported" for unknown layers. */
export function planPull(
  store: Pick<Store, "hasLayer" | "hasBlob" | "keepsBlobs">,
  manifest: Manifest,
  config: ImageConfig,
): PullPlan {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw new Failure(
      "bad-input",
      `Cannot use image: its config names ${diffIds.length} layers and its manifest ${manifest.layers.length}`,
    );
  }
  const layers = new Map<Digest, LayerPlan>();
  for (const [i, descriptor] of manifest.layers.entries()) {
    const diffId = diffIds[i];
    if (diffId === undefined) continue;
    if (layerCompression(descriptor.mediaType) === undefined) {
      throw new Failure(
        "unsupported",
        `Cannot use layer ${descriptor.digest}: media type ${JSON.stringify(descriptor.mediaType)} is no tar layer`,
      );
    }
    layers.set(descriptor.digest, { descriptor, diffId });
  }
  const all = [...layers.values()];
  const present = all.filter((layer) => isHere(store, layer));
  const missing = all.filter((layer) => !present.includes(layer));
  const bytes = missing.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  return { present, missing, bytes };
}

/** The image's configuration, checked. For a look at an image that is not pulled. */
export async function fetchConfig(resolved: ResolvedImage): Promise<{ configBytes: Buffer; config: ImageConfig }> {
  const { session, manifest, ref } = resolved;
  const descriptor = manifest.config;
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
