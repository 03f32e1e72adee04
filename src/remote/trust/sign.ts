/**
 * signImage(): signatures by a sigstore key for an image in a registry, in both forms that are read: under the tag
 * `sha256-<hex>.sig` (cosign, podman, skopeo) and as a referrer (what the OCI specification says). Of an index every manifest is
 * signed too, because the containers tools check the one for their machine.
 *
 * @see cosign "Signature Specification"; OCI image-spec "Guidelines for Artifact Usage"
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { type Digest, digestOf } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { type Descriptor, formatManifest, type Manifest, parseIndex } from "../../oci/manifest.ts";
import { CONFIG, isIndexType, MANIFEST } from "../../oci/media-types.ts";
import { formatImageRef, type ImageRef, manifestSelector } from "../../oci/reference.ts";
import { refusal } from "../answer.ts";
import type { RemoteContext } from "../context.ts";
import { type FetchedManifest, fetchManifest } from "../fetch-manifest.ts";
import { pushReferrer, putManifest } from "../referrers.ts";
import { pushEndpoint, readRegistriesConf } from "../registries-conf.ts";
import { openSession, type Session } from "../session.ts";
import { formatSigstoreClaim } from "./claim.ts";
import {
  findSigstoreSignatures,
  readSignatureManifest,
  SIGNATURE_ANNOTATION,
  SIGNATURE_ARTIFACT,
  signatureTag,
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
  const endpoint = pushEndpoint(readRegistriesConf(context.host), ref);
  const session = await openSession(context, endpoint, { access: "pull,push" });
  const image = await requireManifest(session, manifestSelector(ref), ref);
  const signed = [image];
  if (isIndexType(image.mediaType)) {
    const { manifests } = readIndex(image, ref);
    for (const { digest } of manifests) signed.push(await requireManifest(session, digest, ref));
  }
  for (const manifest of signed) {
    const layer = await pushClaim(session, manifest, options, formatImageRef(ref));
    await addToTag(session, manifest.digest, layer);
    await addReferrer(session, manifest, layer);
  }
  return signed.map(({ digest }) => digest);
}

/**
 * The claim as a blob, and the layer that carries the signature. ECDSA gives other bytes each time: a signature of this key for this
 * claim that is there already is taken again, so that signing twice changes nothing.
 */
async function pushClaim(
  session: Session,
  manifest: FetchedManifest,
  { key, identity }: SignOptions,
  name: string,
): Promise<Descriptor> {
  const payload = Buffer.from(formatSigstoreClaim({ dockerReference: identity ?? name, digest: manifest.digest }));
  const publicKey = createPublicKey(key);
  const known = (await findSigstoreSignatures(session, manifest.digest)).find(
    (other) => payload.equals(other.payload) && verifyPayload(publicKey, payload, other.signature),
  );
  const layer = await pushBlob(session, SIMPLE_SIGNING, payload);
  return { ...layer, annotations: { [SIGNATURE_ANNOTATION]: known?.signature ?? signPayload(key, payload) } };
}

/** Signatures that are there stay. */
async function addToTag(session: Session, digest: Digest, layer: Descriptor): Promise<void> {
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
    config: await pushBlob(session, CONFIG, config),
    layers,
  };
  await putManifest(session, tag, MANIFEST, formatManifest(manifest));
}

async function addReferrer(session: Session, signed: FetchedManifest, layer: Descriptor): Promise<void> {
  await pushReferrer(session, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType: SIGNATURE_ARTIFACT,
    config: await pushBlob(session, SIGNATURE_ARTIFACT, Buffer.from("{}")),
    layers: [layer],
    subject: { mediaType: signed.mediaType, digest: signed.digest, size: signed.bytes.length },
  });
}

async function pushBlob(session: Session, mediaType: string, bytes: Buffer): Promise<Descriptor> {
  const digest = digestOf(bytes);
  const descriptor = { mediaType, digest, size: bytes.length };
  const head = await session.request("HEAD", `blobs/${digest}`);
  head.discard();
  if (head.status === 200) return descriptor;
  const started = await session.request("POST", "blobs/uploads/");
  const location = started.headers["location"];
  if (started.status !== 202 || location === undefined)
    throw new Failure("network", `Cannot start an upload to "${session.name}": ${await refusal(started)}`);
  started.discard();
  const url = new URL(location, started.url);
  url.searchParams.set("digest", digest);
  const done = await session.request("PUT", url.href, {
    headers: { "content-type": "application/octet-stream" },
    body: bytes,
  });
  if (done.status !== 201)
    throw new Failure("network", `Cannot push ${digest} to "${session.name}": ${await refusal(done)}`);
  done.discard();
  return descriptor;
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
