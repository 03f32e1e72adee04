/**
 * pushImage(): an image from a store to a registry, exactly as it is: same manifest, same blobs, same digests. Blobs first
 * (push-blob.ts), several at a time; the manifest last, so that a push that fails leaves no image behind.
 *
 * @see OCI distribution-spec "Pushing manifests"
 */
import { streamOf } from "../core/bytes.ts";
import { mapConcurrent } from "../core/concurrency.ts";
import { type Digest, digestHex } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { partOf } from "../core/progress.ts";
import { formatImageRef, type ImageRef, manifestSelector, parseImageRef } from "../oci/reference.ts";
import type { Store, StoredImage } from "../store/store.ts";
import type { RemoteContext } from "./context.ts";
import { refusal } from "./answer.ts";
import { createBlobPusher } from "./push-blob.ts";
import { openPushSession, type Session } from "./session.ts";

export interface PushResult {
  readonly digest: Digest;
  /** Bytes of blobs that were uploaded. */
  readonly sentBytes: number;
  /** Bytes of blobs that the registry had. */
  readonly skippedBytes: number;
}

export interface PushOptions {
  /** One that may write to the repository of the reference, when it is open already. */
  readonly session?: Session;
}

const PARALLEL_BLOBS = 4;

/** Failure "unauthorized", "denied", "network", "not-found" when the store has not kept a layer's blob. */
export async function pushImage(
  context: RemoteContext,
  store: Store,
  image: StoredImage,
  ref: ImageRef,
  options: PushOptions = {},
): Promise<PushResult> {
  if (ref.digest !== undefined && ref.digest !== image.digest) {
    throw new Failure(
      "bad-input",
      `Cannot push image ${image.digest} to "${formatImageRef(ref)}": that is another digest`,
    );
  }
  const layers = [...new Map(image.manifest.layers.map((layer) => [layer.digest, layer])).values()];
  const lost = layers.find((layer) => !store.hasBlob(layer.digest));
  if (lost !== undefined) {
    throw new Failure(
      "not-found",
      `Cannot push image ${image.digest}: the store has not kept its layer ${lost.digest} as it came`,
    );
  }
  const session = options.session ?? (await openPushSession(context, ref));
  const { config } = image.manifest;
  const sources = mountSources(store, ref);
  const pusher = createBlobPusher(context, session);
  const blobs = [
    ...layers.map((blob) => ({ blob, what: "blob", open: (from: number) => store.readBlob(blob.digest, from) })),
    { blob: config, what: "config", open: (from: number) => streamOf(image.configBytes.subarray(from)) },
  ];
  const allBytes = blobs.reduce((sum, { blob }) => sum + blob.size, 0);
  const whole = context.progress.task("In all", { total: allBytes, unit: "bytes", passing: true });
  let toSend = allBytes;
  const pushed = await mapConcurrent(
    blobs,
    { limit: PARALLEL_BLOBS, ...(context.signal && { signal: context.signal }) },
    async ({ blob, what, open }) => {
      const label = `Copying ${what} ${digestHex(blob.digest).slice(0, 12)}`;
      const task = partOf(whole, context.progress.task(label, { total: blob.size, unit: "bytes" }));
      const mountFrom = sources.get(blob.digest);
      const result = await pusher.push({ blob, open, mountFrom, onSent: (count) => task.advance(count) });
      task.done(result.note);
      toSend -= blob.size - result.sentBytes;
      whole.total(toSend);
      return result;
    },
  );
  whole.done();
  context.progress.say("Writing manifest to image destination");
  await putManifest(session, image, ref);
  const sentBytes = pushed.reduce((sum, blob) => sum + blob.sentBytes, 0);
  return { digest: image.digest, sentBytes, skippedBytes: allBytes - sentBytes };
}

async function putManifest(session: Session, image: StoredImage, ref: ImageRef): Promise<void> {
  const response = await session.request("PUT", `manifests/${manifestSelector(ref)}`, {
    headers: { "content-type": image.manifest.mediaType },
    body: image.manifestBytes,
  });
  if (response.status !== 201) {
    throw new Failure("network", `Cannot push the manifest of "${formatImageRef(ref)}": ${await refusal(response)}`);
  }
  response.discard();
  const stored = response.headers["docker-content-digest"];
  if (stored !== undefined && stored !== image.digest) {
    throw new Failure(
      "digest-mismatch",
      `Cannot push "${formatImageRef(ref)}": the registry stored ${stored}, wanted ${image.digest}`,
    );
  }
}

/** Other repositories of the registry that images with the same blobs were pulled from or pushed to. */
function mountSources(store: Store, ref: ImageRef): Map<Digest, string> {
  const sources = new Map<Digest, string>();
  for (const other of store.images()) {
    for (const name of other.names) {
      const named = readName(name);
      if (named === undefined || named.host !== ref.host || named.path === ref.path) continue;
      for (const blob of [...other.manifest.layers, other.manifest.config]) sources.set(blob.digest, named.path);
    }
  }
  return sources;
}

/** undefined for a local name that is no reference. */
function readName(name: string): ImageRef | undefined {
  try {
    return parseImageRef(name);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
