/**
 * pullImage(): an image from a registry into a store. Only what the store lacks is fetched; several layers at a time, each
 * hashed, unpacked and stored while it arrives; interrupted downloads go on. The name is set last, so a pull that fails
 * leaves no image behind.
 */
import { mapConcurrent } from "../core/concurrency.ts";
import { type Digest, digestHex } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { verified } from "../core/verified.ts";
import { collectBytes } from "../core/bytes.ts";
import { type ImageConfig, parseImageConfig } from "../oci/config.ts";
import type { Descriptor, Manifest } from "../oci/manifest.ts";
import { layerCompression } from "../oci/media-types.ts";
import { formatImageRef, type ImageRef } from "../oci/reference.ts";
import { requireSpace } from "../store/space.ts";
import type { Store, StoredImage } from "../store/store.ts";
import type { RemoteContext } from "./context.ts";
import { fetchBlob } from "./fetch-blob.ts";
import { openPartialBlob, type PartialBlob, sweepPartialBlobs } from "./partial-blob.ts";
import { type ResolvedImage, resolveImage } from "./resolve.ts";
import { refusal } from "./answer.ts";
import type { Session } from "./session.ts";

export interface LayerPlan {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
}

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

  for (const layer of plan.present) progress.task(blobLabel(layer.descriptor)).done("skipped: already exists");
  await mapConcurrent(
    plan.missing,
    { limit: PARALLEL_LAYERS, ...(context.signal && { signal: context.signal }) },
    (layer) => pullLayer(context, store, resolved.session, layer, options),
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
  const isHere = ({ descriptor, diffId }: LayerPlan): boolean =>
    store.hasLayer(diffId) && (!store.keepsBlobs || store.hasBlob(descriptor.digest));
  const all = [...layers.values()];
  const missing = all.filter((layer) => !isHere(layer));
  const bytes = missing.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  return { present: all.filter(isHere), missing, bytes };
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

async function pullLayer(
  context: RemoteContext,
  store: Store,
  session: Session,
  layer: LayerPlan,
  options: PullOptions,
): Promise<void> {
  const { descriptor } = layer;
  const task = context.progress.task(blobLabel(descriptor), { total: descriptor.size, unit: "bytes" });
  using partial = await openPartialBlob(context.host, store.path, descriptor.digest, context.signal);
  if (planIsStale(store, layer)) {
    partial.remove();
    task.done("skipped: already exists");
    return;
  }
  const kept = partial.size;
  try {
    await importOnce(context, store, session, layer, partial, options, (count) => task.advance(count));
  } catch (error) {
    if (!isFailure(error, "digest-mismatch")) throw error;
    partial.reset();
    if (kept === 0) {
      partial.remove();
      throw error;
    }
    // Bytes kept from before a power cut may be wrong: once more, from the first byte.
    await importOnce(context, store, session, layer, partial, options, () => {});
  }
  partial.remove();
  task.done();
}

async function importOnce(
  context: RemoteContext,
  store: Store,
  session: Session,
  layer: LayerPlan,
  partial: PartialBlob,
  options: PullOptions,
  onBytes: (count: number) => void,
): Promise<void> {
  const source = fetchBlob(context, session, layer.descriptor, partial, {
    ...(options.onReceived && { onReceived: options.onReceived }),
  });
  await store.importLayer(source, { ...layer, signal: context.signal, onBytes });
}

/** Another process has pulled the layer while we waited for its file. */
function planIsStale(store: Store, { descriptor, diffId }: LayerPlan): boolean {
  return store.hasLayer(diffId) && (!store.keepsBlobs || store.hasBlob(descriptor.digest));
}

function nameOf(ref: ImageRef): string {
  return formatImageRef(ref.tag === undefined ? ref : { ...ref, digest: undefined });
}

function blobLabel(descriptor: Descriptor): string {
  return `Copying blob ${digestHex(descriptor.digest).slice(0, 12)}`;
}
