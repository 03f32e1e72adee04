/**
 * Deltas in a registry: an artifact that refers to the new image, with one layer, the delta file. Its annotations say all that is
 * needed to choose it, and registries repeat them in the list of referrers, so that one request finds it.
 *
 * @see docs/formats/delta.md; OCI image-spec "Guidelines for Artifact Usage"
 */
import { streamOf } from "../core/bytes.ts";
import { type Digest, digestOf, isDigest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { type Descriptor, type Manifest, parseManifest } from "../oci/manifest.ts";
import { MANIFEST } from "../oci/media-types.ts";
import type { Delta } from "../store/delta/create-delta.ts";
import type { StoredImage } from "../store/store.ts";
import type { RemoteContext } from "./context.ts";
import { fetchManifest } from "./fetch-manifest.ts";
import { createBlobPusher, requireWritable } from "./push-blob.ts";
import { listReferrers, pushReferrer } from "./referrers.ts";
import type { Session } from "./session.ts";

export const DELTA_ARTIFACT = "application/vnd.berth.delta.v3";
const EMPTY = "application/vnd.oci.empty.v1+json";
const OLD_ANNOTATION = "vnd.berth.delta.old";
const BYTES_ANNOTATION = "vnd.berth.delta.bytes";
const NEEDS_ANNOTATION = "vnd.berth.delta.needs";

/** What the list of referrers says of a delta. Nothing of it is trusted. */
export interface OfferedDelta {
  /** Of the artifact's manifest. */
  readonly digest: Digest;
  /** Manifest digest of the image that it starts from. */
  readonly old: Digest;
  readonly bytes: number;
  /** Programs that a machine must have to use it; names may be new to us. */
  readonly needs: readonly string[];
}

/** That a delta to `next` can be pushed, to be asked before it is made. Failure "not-found", "unauthorized", "denied", "network". */
export async function requireDeltaPlace(session: Session, next: Digest): Promise<void> {
  if ((await fetchManifest(session, next)) === undefined) {
    throw new Failure(
      "not-found",
      `Cannot put a delta beside "${session.name}@${next}": the registry does not have it`,
      {
        hint: "push the image first",
      },
    );
  }
  await requireWritable(session);
}

/** Uploads a delta beside its new image, which must be there. Returns the artifact's digest. Failure "network", "denied". */
export async function pushDelta(
  context: RemoteContext,
  session: Session,
  { delta, next }: { readonly delta: Pick<Delta, "old" | "bytes" | "chunks" | "needs">; readonly next: StoredImage },
): Promise<Digest> {
  const file = Buffer.concat(delta.chunks);
  const layer = await pushBytes(context, session, DELTA_ARTIFACT, file);
  return pushReferrer(session, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType: DELTA_ARTIFACT,
    config: await pushBytes(context, session, EMPTY, Buffer.from("{}")),
    layers: [layer],
    subject: { mediaType: next.manifest.mediaType, digest: next.digest, size: next.manifestBytes.length },
    annotations: {
      [OLD_ANNOTATION]: delta.old,
      [BYTES_ANNOTATION]: String(delta.bytes),
      ...(delta.needs.length > 0 && { [NEEDS_ANNOTATION]: delta.needs.join(" ") }),
    },
  });
}

/** One request where the registry has the referrers API. Failure "network", "bad-input". */
export async function listDeltas(session: Session, subject: Digest): Promise<OfferedDelta[]> {
  const referrers = await listReferrers(session, subject, DELTA_ARTIFACT);
  return referrers.map(readOffer).filter((offer) => offer !== undefined);
}

/** The delta file's descriptor. Failure "not-found", "bad-input" when it is another than was offered. */
export async function fetchDeltaLayer(session: Session, offer: OfferedDelta): Promise<Descriptor> {
  const fetched = await fetchManifest(session, offer.digest);
  if (fetched === undefined)
    throw new Failure("not-found", `Cannot use delta ${offer.digest}: "${session.name}" does not have it`);
  const [layer, ...others] = readManifest(fetched.bytes, offer.digest).layers;
  if (layer !== undefined && others.length === 0 && layer.size === offer.bytes) return layer;
  throw new Failure("bad-input", `Cannot use delta ${offer.digest}: it is not the one file that was offered`);
}

function readOffer({ digest, annotations }: Descriptor): OfferedDelta | undefined {
  const old = annotations?.[OLD_ANNOTATION] ?? "";
  const bytes = annotations?.[BYTES_ANNOTATION] ?? "";
  if (!isDigest(old) || !/^[0-9]{1,15}$/.test(bytes)) return undefined;
  const needs = (annotations?.[NEEDS_ANNOTATION] ?? "").split(" ").filter((program) => program !== "");
  return { digest, old, bytes: Number(bytes), needs };
}

function readManifest(bytes: Buffer, digest: Digest): Manifest {
  try {
    return parseManifest(bytes.toString("utf8"));
  } catch (error) {
    throw new Failure("bad-input", `Cannot use delta ${digest}: its manifest is malformed`, { cause: error });
  }
}

async function pushBytes(
  context: RemoteContext,
  session: Session,
  mediaType: string,
  bytes: Buffer,
): Promise<Descriptor> {
  const blob: Descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  const label = `Copying ${mediaType === EMPTY ? "config" : "delta"} ${blob.digest.slice(7, 19)}`;
  const task = context.progress.task(label, { total: bytes.length, unit: "bytes" });
  const { note } = await createBlobPusher(context, session).push({
    blob,
    open: (from) => streamOf(bytes.subarray(from)),
    onSent: (count) => task.advance(count),
  });
  task.done(note);
  return blob;
}
