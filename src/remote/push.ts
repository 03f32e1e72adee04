/**
 * pushImage(): an image from a store to a registry, exactly as it is: same manifest, same blobs, same digests. What the registry
 * has is skipped or mounted from another repository of it; a broken upload goes on where the registry has it.
 *
 * @see OCI distribution-spec "Pushing blobs", "Pushing manifests"
 */
import { streamOf } from "../core/bytes.ts";
import { mapConcurrent } from "../core/concurrency.ts";
import { type Digest, digestHex } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { ProgressTask } from "../core/progress.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { formatImageRef, type ImageRef, manifestSelector, parseImageRef } from "../oci/reference.ts";
import type { Store, StoredImage } from "../store/store.ts";
import type { RemoteContext } from "./context.ts";
import { pushEndpoint, readRegistriesConf } from "./registries-conf.ts";
import { refusal } from "./answer.ts";
import { openSession, type Session } from "./session.ts";
import { backoffMs, isTransient, type TransportResponse } from "./transport.ts";

export interface PushResult {
  readonly digest: Digest;
  /** Bytes of blobs that were uploaded. */
  readonly sentBytes: number;
  /** Bytes of blobs that the registry had. */
  readonly skippedBytes: number;
}

const PARALLEL_BLOBS = 4;
const ATTEMPTS = 5;

/** Failure "unauthorized", "denied", "network", "not-found" when the store has not kept a layer's blob. */
export async function pushImage(
  context: RemoteContext,
  store: Store,
  image: StoredImage,
  ref: ImageRef,
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
  const session = await openSession(context, pushEndpoint(readRegistriesConf(context.host), ref), {
    access: "pull,push",
  });
  const { config } = image.manifest;
  const sources = mountSources(store, ref);
  const blobs = [
    ...layers.map((blob) => ({ blob, what: "blob", read: () => store.readBlob(blob.digest) })),
    { blob: config, what: "config", read: () => streamOf(image.configBytes) },
  ];
  const sent = await mapConcurrent(
    blobs,
    { limit: PARALLEL_BLOBS, ...(context.signal && { signal: context.signal }) },
    async ({ blob, what, read }) => {
      const label = `Copying ${what} ${digestHex(blob.digest).slice(0, 12)}`;
      const task = context.progress.task(label, { total: blob.size, unit: "bytes" });
      return pushBlob(context, session, { blob, read, mountFrom: sources.get(blob.digest) }, task);
    },
  );
  context.progress.say("Writing manifest to image destination");
  await putManifest(session, image, ref);
  const sentBytes = sent.reduce((sum, count) => sum + count, 0);
  const allBytes = blobs.reduce((sum, { blob }) => sum + blob.size, 0);
  return { digest: image.digest, sentBytes, skippedBytes: allBytes - sentBytes };
}

interface Upload {
  readonly blob: Descriptor;
  readonly read: () => AsyncIterable<Uint8Array>;
  /** A repository of the same registry that probably has it. */
  readonly mountFrom: string | undefined;
}

/** Returns the bytes sent. */
async function pushBlob(context: RemoteContext, session: Session, upload: Upload, task: ProgressTask): Promise<number> {
  const { blob, mountFrom } = upload;
  const head = await session.request("HEAD", `blobs/${blob.digest}`);
  head.discard();
  if (head.status === 200) {
    task.done("skipped: already exists");
    return 0;
  }
  let location: string | undefined;
  if (mountFrom !== undefined) {
    const mounted = await session.request(
      "POST",
      `blobs/uploads/?mount=${blob.digest}&from=${encodeURIComponent(mountFrom)}`,
      {
        alsoRead: mountFrom,
      },
    );
    mounted.discard();
    if (mounted.status === 201) {
      task.done(`skipped: mounted from ${mountFrom}`);
      return 0;
    }
    if (mounted.status === 202) location = uploadLocation(mounted, session);
  }
  await uploadBlob(context, session, upload, location, task);
  task.done();
  return blob.size;
}

/** One streaming PUT; after a broken connection the rest goes from where the registry has got to. */
async function uploadBlob(
  context: RemoteContext,
  session: Session,
  upload: Upload,
  started: string | undefined,
  task: ProgressTask,
): Promise<void> {
  let location = started ?? (await startUpload(session));
  let offset = 0;
  let shown = 0;
  const onSent = (end: number): void => {
    task.advance(Math.max(0, end - shown));
    shown = Math.max(shown, end);
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const done = await putRest(session, upload, location, offset, onSent);
      if (done.status === 201) return done.discard();
      // 404: the session is gone; 416: the registry has got to another byte.
      const code = isTransient(done.status) || done.status === 404 || done.status === 416 ? "network" : "io";
      throw new Failure(code, `Cannot push ${upload.blob.digest} to "${session.name}": ${await refusal(done)}`);
    } catch (error) {
      if (!isFailure(error, "network") || attempt >= ATTEMPTS) throw error;
    }
    await context.host.clock.sleep(backoffMs(attempt - 1), context.signal);
    const state = await uploadState(session, location);
    location = state?.location ?? (await startUpload(session));
    offset = state === undefined || state.size > upload.blob.size ? 0 : state.size;
  }
}

async function startUpload(session: Session): Promise<string> {
  const response = await session.request("POST", "blobs/uploads/");
  if (response.status !== 202) {
    throw new Failure("network", `Cannot start an upload to "${session.name}": ${await refusal(response)}`);
  }
  response.discard();
  return uploadLocation(response, session);
}

async function putRest(
  session: Session,
  upload: Upload,
  location: string,
  offset: number,
  onSent: (end: number) => void,
): Promise<TransportResponse> {
  const { blob } = upload;
  const url = new URL(location);
  url.searchParams.set("digest", blob.digest);
  const rest = blob.size - offset;
  return session.request("PUT", url.href, {
    headers: {
      "content-type": "application/octet-stream",
      "content-length": String(rest),
      ...(offset > 0 && rest > 0 && { "content-range": `${offset}-${blob.size - 1}` }),
    },
    ...(rest > 0 && { body: () => countedFrom(upload.read(), offset, onSent) }),
    retries: 0,
  });
}

/** How far the registry has got; undefined when it does not know the session any more. */
async function uploadState(
  session: Session,
  location: string,
): Promise<{ location: string; size: number } | undefined> {
  const response = await session.request("GET", location);
  response.discard();
  const last = /^(?:bytes=)?0-(\d+)$/.exec(response.headers["range"] ?? "")?.[1];
  if (response.status !== 204 || last === undefined) return undefined;
  // "0-0" is said of nothing and of one byte alike: nothing is the safe reading, and what is there is then refused with 416.
  const size = last === "0" ? 0 : Number(last) + 1;
  return size === 0
    ? undefined
    : { location: response.headers["location"] === undefined ? location : uploadLocation(response, session), size };
}

/** The bytes from `offset` on; `onSent` gets the position after each chunk. */
async function* countedFrom(
  source: AsyncIterable<Uint8Array>,
  offset: number,
  onSent: (end: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let position = 0;
  for await (const chunk of source) {
    const wanted = chunk.subarray(Math.min(chunk.length, Math.max(0, offset - position)));
    position += chunk.length;
    if (wanted.length === 0) continue;
    yield wanted;
    onSent(position);
  }
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

function uploadLocation(response: TransportResponse, session: Session): string {
  const location = response.headers["location"];
  if (location === undefined || !URL.canParse(location, response.url)) {
    throw new Failure("network", `Cannot push to "${session.name}": the registry gave no upload address`);
  }
  return new URL(location, response.url).href;
}
