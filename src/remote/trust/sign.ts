/**
 * signImage(): signatures by a sigstore key for an image in a registry, in both forms that are read: under the tag
 * `sha256-<hex>.sig` (cosign, podman, skopeo) and as a referrer (what the OCI specification says). Of an index every manifest is
 * signed too, because the containers tools check the one for their machine.
 *
 * @see cosign "Signature Specification"; OCI image-spec "Guidelines for Artifact Usage"
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { streamOf } from "../../core/bytes.ts";
import { type Digest, digestOf } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { type Descriptor, formatManifest, type Manifest, parseIndex } from "../../oci/manifest.ts";
import { CONFIG, isIndexType, MANIFEST } from "../../oci/media-types.ts";
import { formatImageRef, type ImageRef, manifestSelector } from "../../oci/reference.ts";
import type { RemoteContext } from "../context.ts";
import { type FetchedManifest, fetchManifest } from "../fetch-manifest.ts";
import { createBlobPusher } from "../push-blob.ts";
import { pushReferrer, putManifest } from "../referrers.ts";
import { openPushSession, type Session } from "../session.ts";
import { formatSigstoreClaim } from "./claim.ts";
import {
  readSignatureManifest,
  SIGNATURE_ANNOTATION,
  SIGNATURE_ARTIFACT,
  signatureTag,
  sigstoreSignatures,
  SIMPLE_SIGNING,
} from "./signatures.ts";
import { signPayload, verifyPayload } from "./sigstore-key.ts";

export interface SignOptions {
  readonly key: KeyObject;
  /** The name in the signature: the reference itself unless told. */
  readonly identity?: string | undefined;
}

/** Digests of what was signed. Failure "not-found" for an unknown image, "unauthorized", "denied", "network". */
export async function signImage(
  context: RemoteContext,
  ref: ImageRef,
  options: SignOptions,
): Promise<readonly Digest[]> {
  const session = await openPushSession(context, ref);
  const image = await requireManifest(session, manifestSelector(ref), ref);
  const signed = [image];
  // Grows while it is walked: an index may hold indexes.
  for (const each of signed) {
    if (!isIndexType(each.mediaType)) continue;
    for (const { digest } of readIndex(each, ref).manifests) signed.push(await requireManifest(session, digest, ref));
  }
  const writeBlob = blobWriter(context, session);
  for (const manifest of signed) {
    const payload = formatSigstoreClaim({
      dockerReference: options.identity ?? formatImageRef(ref),
      digest: manifest.digest,
    });
    const layer = await signClaim(session, manifest.digest, Buffer.from(payload), options.key, writeBlob);
    await addToTag(session, manifest.digest, layer, writeBlob);
    await addReferrer(session, manifest, layer, writeBlob);
  }
  return signed.map(({ digest }) => digest);
}

/**
 * The claim as a blob, and the layer that carries the signature. ECDSA gives other bytes each time: a signature of this key for this
 * claim that is there already is taken again, so that signing twice changes nothing.
 */
async function signClaim(
  session: Session,
  digest: Digest,
  payload: Buffer,
  key: KeyObject,
  writeBlob: WriteBlob,
): Promise<Descriptor> {
  const signature = (await ownSignature(session, digest, payload, key)) ?? signPayload(key, payload);
  return { ...(await writeBlob(SIMPLE_SIGNING, payload)), annotations: { [SIGNATURE_ANNOTATION]: signature } };
}

async function ownSignature(
  session: Session,
  digest: Digest,
  payload: Buffer,
  key: KeyObject,
): Promise<string | undefined> {
  const publicKey = createPublicKey(key);
  for await (const other of sigstoreSignatures(session, digest)) {
    if ("broken" in other) {
      // It may be what we are looking for.
      if (other.outage !== undefined) throw other.outage;
      continue;
    }
    if (payload.equals(other.signed) && verifyPayload(publicKey, payload, other.signature)) return other.signature;
  }
  return undefined;
}

/** Signatures that are there stay. */
async function addToTag(session: Session, digest: Digest, layer: Descriptor, writeBlob: WriteBlob): Promise<void> {
  const tag = signatureTag(digest);
  const present = (await readSignatureManifest(session, tag))?.layers ?? [];
  const signature = layer.annotations?.[SIGNATURE_ANNOTATION];
  if (present.some((other) => other.annotations?.[SIGNATURE_ANNOTATION] === signature)) return;
  const layers = [...present, layer];
  const rootfs = { type: "layers", diff_ids: layers.map((each) => each.digest) };
  const config = Buffer.from(JSON.stringify({ architecture: "", os: "", config: {}, rootfs }));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: await writeBlob(CONFIG, config),
    layers,
  };
  await putManifest(session, tag, MANIFEST, formatManifest(manifest));
}

async function addReferrer(
  session: Session,
  signed: FetchedManifest,
  layer: Descriptor,
  writeBlob: WriteBlob,
): Promise<void> {
  await pushReferrer(session, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType: SIGNATURE_ARTIFACT,
    config: await writeBlob(SIGNATURE_ARTIFACT, Buffer.from("{}")),
    layers: [layer],
    subject: { mediaType: signed.mediaType, digest: signed.digest, size: signed.bytes.length },
  });
}

type WriteBlob = (mediaType: string, bytes: Buffer) => Promise<Descriptor>;

function blobWriter(context: RemoteContext, session: Session): WriteBlob {
  const pusher = createBlobPusher(context, session);
  return async (mediaType, bytes) => {
    const blob = { mediaType, digest: digestOf(bytes), size: bytes.length };
    await pusher.push({ blob, open: (from) => streamOf(bytes.subarray(from)), onSent() {} });
    return blob;
  };
}

async function requireManifest(session: Session, selector: string, ref: ImageRef): Promise<FetchedManifest> {
  const fetched = await fetchManifest(session, selector);
  if (fetched !== undefined) return fetched;
  throw new Failure("not-found", `Cannot sign "${formatImageRef(ref)}": "${session.name}" has no ${selector}`, {
    hint: "push it first: a signature lies in the registry beside its image",
  });
}

function readIndex(image: FetchedManifest, ref: ImageRef): ReturnType<typeof parseIndex> {
  try {
    return parseIndex(image.bytes.toString("utf8"), image.mediaType);
  } catch (error) {
    throw new Failure("bad-input", `Cannot sign "${formatImageRef(ref)}": its index is malformed`, { cause: error });
  }
}
