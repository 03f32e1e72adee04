/**
 * makeRegistryDeltas(): deltas from the images that machines probably run to one of a registry's, by whoever has the registry's
 * storage: images go through a store that is only for this, deltas into the registry beside their new image.
 */
import type { Digest } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import type { HttpHandler } from "../host/host.ts";
import { isConfigType } from "../oci/media-types.ts";
import type { RemoteContext } from "../remote/context.ts";
import { listDeltas, type OfferedDelta } from "../remote/delta-artifact.ts";
import { type PreviousImage, previousImages } from "../remote/previous-images.ts";
import { pullImage } from "../remote/pull.ts";
import { readRepositoryImage } from "../remote/repository-image.ts";
import type { ResolvedImage } from "../remote/resolve.ts";
import type { Session } from "../remote/session.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { localSession } from "./local-session.ts";
import { pushDeltas } from "./push-deltas.ts";

export interface DeltaRequest {
  readonly repository: string;
  /** Of the new image's manifest. */
  readonly digest: Digest;
  /** Manifests that lost a tag, the last first. */
  readonly replaced: readonly Digest[];
  readonly count: number;
  /** Compare xz files as they are. */
  readonly keepXz: boolean;
}

/** All deltas to the image that there are now. Failure "not-found", "unsupported" for what is no image, "corrupt" for a damaged blob. */
export async function makeRegistryDeltas(
  context: RemoteContext,
  registry: HttpHandler,
  store: Store,
  request: DeltaRequest,
): Promise<readonly OfferedDelta[]> {
  const session = localSession(registry, request.repository, "pull,push");
  const next = await readRepositoryImage(session, request.digest);
  const before = await imagesBefore(session, request);
  if (before.length > 0) {
    const pull = (resolved: ResolvedImage): Promise<StoredImage> =>
      pullOwn({ ...context, progress: silent }, store, resolved);
    const image = await pull(next);
    for (const { resolved } of before) await pull(resolved);
    await pushDeltas(context, store, session, {
      next: image,
      ref: next.ref,
      from: before,
      keepXz: request.keepXz,
    });
  }
  return listDeltas(session, request.digest);
}

/** Failure "corrupt" where the registry's own content is damaged. */
async function pullOwn(context: RemoteContext, store: Store, resolved: ResolvedImage): Promise<StoredImage> {
  try {
    return await pullImage(context, store, resolved.ref, { resolved, tag: false });
  } catch (cause) {
    if (!isFailure(cause, "digest-mismatch")) throw cause;
    throw new Failure(
      "corrupt",
      `Cannot make deltas with image "${resolved.digest}": the registry's content is damaged`,
      {
        cause,
        hint: "put damaged blobs aside with berth registry check --repair, then push the images again",
      },
    );
  }
}

interface ImageBefore extends PreviousImage {
  readonly resolved: ResolvedImage;
}

async function imagesBefore(
  session: Session,
  { digest, replaced, count }: DeltaRequest,
): Promise<readonly ImageBefore[]> {
  const known = new Set((await listDeltas(session, digest)).map(({ old }) => old));
  const tagged = await previousImages(session, undefined, count + replaced.length + 1);
  const tags = new Map(tagged.map(({ tag, digest: each }) => [each, tag]));
  const before: ImageBefore[] = [];
  let found = 0;
  for (const each of new Set([...replaced, ...tags.keys()])) {
    if (found === count) break;
    if (each === digest) continue;
    const resolved = await imageIfAny(session, each);
    if (resolved === undefined) continue;
    found += 1;
    if (!known.has(each)) before.push({ tag: tags.get(each), digest: each, resolved });
  }
  return before;
}

/** undefined for an index, another artifact, and what has gone meanwhile. */
async function imageIfAny(session: Session, digest: Digest): Promise<ResolvedImage | undefined> {
  try {
    const resolved = await readRepositoryImage(session, digest);
    return isConfigType(resolved.manifest.config.mediaType) ? resolved : undefined;
  } catch (error) {
    if (isFailure(error, "not-found") || isFailure(error, "unsupported")) return undefined;
    throw error;
  }
}
