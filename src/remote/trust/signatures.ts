/**
 * Where signatures of a manifest are found: sigstore's in the registry beside the image, under the tag `sha256-<hex>.sig` and as
 * referrers; OpenPGP ones in a lookaside store, numbered from 1.
 *
 * @see cosign "Signature Specification"; containers/image docs/signature-protocols.md
 */
import { collectBytes, textToByteName } from "../../core/bytes.ts";
import { type Digest, digestAlgorithm, digestHex } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { verified } from "../../core/verified.ts";
import { type Descriptor, type Manifest, parseManifest } from "../../oci/manifest.ts";
import { expandDockerHub, type ImageRef } from "../../oci/reference.ts";
import { readBody, refusal } from "../answer.ts";
import type { RemoteContext } from "../context.ts";
import { fetchManifest } from "../fetch-manifest.ts";
import { listReferrers } from "../referrers.ts";
import type { Session } from "../session.ts";
import { createTransport } from "../transport.ts";

export interface SigstoreSignature {
  readonly where: string;
  readonly payload: Buffer;
  /** In base64. */
  readonly signature: string;
}

export interface SimpleSignature {
  readonly where: string;
  readonly message: Buffer;
}

/** A layer of this type is a claim; its signature is the annotation. */
export const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
export const SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature";
/** The artifact type of a manifest with signatures, as a referrer. */
export const SIGNATURE_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json";

const SIGNATURES_MAX = 128;
const SIGNATURE_BYTES_MAX = 4 * 1024 * 1024;

/** The tag form first: whoever has found a good one there need not ask for referrers. Failure "network", "bad-input". */
export async function* sigstoreSignatures(
  session: Session,
  digest: Digest,
): AsyncGenerator<SigstoreSignature, void, undefined> {
  const seen = new Set<string>();
  for await (const selector of signatureManifests(session, digest)) {
    const manifest = await readSignatureManifest(session, selector);
    for (const layer of (manifest?.layers ?? []).slice(0, SIGNATURES_MAX)) {
      const signature = layer.annotations?.[SIGNATURE_ANNOTATION];
      if (layer.mediaType !== SIMPLE_SIGNING || signature === undefined || seen.has(signature)) continue;
      seen.add(signature);
      yield { where: `${session.name}:${selector}`, payload: await fetchPayload(session, layer), signature };
    }
  }
}

async function* signatureManifests(session: Session, digest: Digest): AsyncGenerator<string, void, undefined> {
  yield signatureTag(digest);
  const referrers = await listReferrers(session, digest, SIGNATURE_ARTIFACT);
  for (const referrer of referrers.slice(0, SIGNATURES_MAX)) yield referrer.digest;
}

/** `sha256-<hex>.sig` */
export function signatureTag(digest: Digest): string {
  return `${digestAlgorithm(digest)}-${digestHex(digest)}.sig`;
}

/** undefined when there is none. */
export async function readSignatureManifest(session: Session, selector: string): Promise<Manifest | undefined> {
  const fetched = await fetchManifest(session, selector);
  if (fetched === undefined) return undefined;
  try {
    return parseManifest(fetched.bytes.toString("utf8"), fetched.mediaType);
  } catch (error) {
    throw new Failure(
      "bad-input",
      `Cannot use the signatures "${session.name}:${selector}": their manifest is malformed`,
      {
        cause: error,
      },
    );
  }
}

/** `lookaside` is a URL without a slash at its end. Failure "network", "io". */
export async function* simpleSignatures(
  context: RemoteContext,
  lookaside: string,
  ref: ImageRef,
  digest: Digest,
): AsyncGenerator<SimpleSignature, void, undefined> {
  const base = `${lookaside}/${expandDockerHub(ref).path}@${digestAlgorithm(digest)}=${digestHex(digest)}`;
  for (let number = 1; number <= SIGNATURES_MAX; number += 1) {
    const where = `${base}/signature-${number}`;
    const message = where.startsWith("file:") ? readFile(context, where) : await download(context, where);
    if (message === undefined) return;
    yield { where, message };
  }
}

async function fetchPayload(session: Session, layer: Descriptor): Promise<Buffer> {
  if (layer.size > SIGNATURE_BYTES_MAX)
    throw new Failure("bad-input", `Cannot use a signature in "${session.name}": its payload has ${layer.size} bytes`);
  const response = await session.request("GET", `blobs/${layer.digest}`);
  if (response.status !== 200)
    throw new Failure("network", `Cannot fetch a signature of "${session.name}": ${await refusal(response)}`);
  return collectBytes(verified(response.body, layer));
}

function readFile(context: RemoteContext, url: string): Buffer | undefined {
  const { files } = context.host;
  const path = textToByteName(decodeURIComponent(new URL(url).pathname));
  const stat = files.stat(path);
  if (stat === undefined) return undefined;
  if (stat.kind !== "file" || stat.size > SIGNATURE_BYTES_MAX)
    throw new Failure(
      "bad-input",
      `Cannot use signature "${path}": it is no file of at most ${SIGNATURE_BYTES_MAX} bytes`,
    );
  return files.read(path);
}

async function download(context: RemoteContext, url: string): Promise<Buffer | undefined> {
  const response = await createTransport(context)({ method: "GET", url, insecure: false });
  if (response.status === 404) {
    response.discard();
    return undefined;
  }
  if (response.status !== 200)
    throw new Failure("network", `Cannot fetch signature "${url}": ${await refusal(response)}`);
  return readBody(response, SIGNATURE_BYTES_MAX);
}
