/**
 * Where signatures of a manifest are found: sigstore's in the registry beside the image, under the tag `sha256-<hex>.sig` and as
 * referrers (cosign 3's are bundles); OpenPGP ones in a lookaside store, numbered from 1. An entry that cannot be read is told as one,
 * never thrown: whoever may write one signature must not be able to hide the others, and where one form cannot be asked for, the other
 * may be good.
 *
 * @see cosign "Signature Specification"; containers/image docs/signature-protocols.md
 */
import { collectBytes, textToByteName } from "../../core/bytes.ts";
import { type Digest, digestAlgorithm, digestHex } from "../../core/digest.ts";
import { Failure, type FailureCode, isFailure } from "../../core/failure.ts";
import { verified } from "../../core/verified.ts";
import { type Descriptor, type Manifest, parseManifest } from "../../oci/manifest.ts";
import { expandDockerHub, type ImageRef } from "../../oci/reference.ts";
import { readBody, refusal } from "../answer.ts";
import type { RemoteContext } from "../context.ts";
import { fetchManifest } from "../fetch-manifest.ts";
import { listReferrers } from "../referrers.ts";
import type { Session } from "../session.ts";
import { createTransport } from "../transport.ts";
import { BUNDLE, parseBundle, PREDICATE_ANNOTATION, SIGNED_PREDICATE } from "./bundle.ts";
import type { SignedClaim } from "./claim.ts";

export interface SigstoreSignature extends SignedClaim {
  readonly where: string;
}

export interface SimpleSignature {
  readonly where: string;
  readonly message: Buffer;
}

/** One that is there and cannot be read, or a place where nobody could look. */
export interface BrokenSignature {
  readonly where: string;
  readonly broken: string;
  /** Why nobody could look: a good signature may lie there. */
  readonly outage?: Failure;
}

/** What helps whoever found no good signature: signing, unless a place could not be looked at. */
export function hintFor(outage: Failure | undefined, sign: string): string {
  return outage === undefined ? sign : (outage.hint ?? "try again when the registry answers");
}

/** A layer of this type is a claim; its signature is the annotation. */
export const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
export const SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature";
/** The artifact type of a manifest with signatures, as a referrer. */
export const SIGNATURE_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json";

/** Codes of a registry that answers, if at all, with something else than what it has. */
const OUTAGES: ReadonlySet<FailureCode> = new Set(["network", "unauthorized", "denied"]);
const SIGNATURES_MAX = 128;
const SIGNATURE_BYTES_MAX = 4 * 1024 * 1024;

/** The tag form first: whoever has found a good one there need not ask for referrers. */
export async function* sigstoreSignatures(
  session: Session,
  digest: Digest,
): AsyncGenerator<SigstoreSignature | BrokenSignature, void, undefined> {
  const seen = new Set<string>();
  yield* signaturesIn(session, signatureTag(digest), seen);
  const where = `${session.name}@${digest}`;
  const referrers = await readOrBroken(where, () => listReferrers(session, digest));
  if ("broken" in referrers) return yield referrers;
  for (const isWanted of [isSignature, isBundle])
    for (const referrer of referrers.filter(isWanted).slice(0, SIGNATURES_MAX))
      yield* signaturesIn(session, referrer.digest, seen);
}

function isSignature({ artifactType }: Descriptor): boolean {
  return artifactType === SIGNATURE_ARTIFACT;
}

/** A bundle that is, for all its manifest says, no attestation. */
function isBundle({ artifactType, annotations }: Descriptor): boolean {
  return artifactType === BUNDLE && (annotations?.[PREDICATE_ANNOTATION] ?? SIGNED_PREDICATE) === SIGNED_PREDICATE;
}

/** Those not `seen` under another selector. A broken one is not seen: elsewhere the same may be good. */
async function* signaturesIn(
  session: Session,
  selector: string,
  seen: Set<string>,
): AsyncGenerator<SigstoreSignature | BrokenSignature, void, undefined> {
  const where = `${session.name}:${selector}`;
  const layers = await readOrBroken(where, async () => (await readSignatureManifest(session, selector))?.layers ?? []);
  if ("broken" in layers) return yield layers;
  for (const layer of layers.slice(0, SIGNATURES_MAX)) {
    const read = readerOf(layer);
    const identity = `${layer.digest} ${layer.annotations?.[SIGNATURE_ANNOTATION]}`;
    if (read === undefined || seen.has(identity)) continue;
    const found = await readOrBroken(where, async () => ({ where, ...read(await fetchPayload(session, layer)) }));
    if (!("broken" in found)) seen.add(identity);
    yield found;
  }
}

/** undefined for what is no signature. The reader throws SyntaxError. */
function readerOf({ mediaType, annotations }: Descriptor): ((blob: Buffer) => SignedClaim) | undefined {
  if (mediaType === BUNDLE) return (blob) => parseBundle(blob.toString("utf8"));
  const signature = annotations?.[SIGNATURE_ANNOTATION];
  if (mediaType !== SIMPLE_SIGNING || signature === undefined) return undefined;
  return (blob) => ({ kind: "claim", text: blob.toString("utf8"), signed: blob, signature });
}

/** What `read` gives; a BrokenSignature for what lies there malformed, and for a registry that does not give it. */
async function readOrBroken<T>(where: string, read: () => T | Promise<T>): Promise<T | BrokenSignature> {
  try {
    return await read();
  } catch (error) {
    const isMalformed =
      error instanceof SyntaxError || isFailure(error, "bad-input") || isFailure(error, "digest-mismatch");
    if (isMalformed) return { where, broken: error.message };
    if (isFailure(error) && OUTAGES.has(error.code)) return { where, broken: error.message, outage: error };
    throw error;
  }
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

/** `lookaside` is a URL without a slash at its end. Ends at the first number that is not there, or that cannot be asked for. */
export async function* simpleSignatures(
  context: RemoteContext,
  lookaside: string,
  ref: ImageRef,
  digest: Digest,
): AsyncGenerator<SimpleSignature | BrokenSignature, void, undefined> {
  const base = `${lookaside}/${expandDockerHub(ref).path}@${digestAlgorithm(digest)}=${digestHex(digest)}`;
  for (let number = 1; number <= SIGNATURES_MAX; number += 1) {
    const where = `${base}/signature-${number}`;
    const found = await readOrBroken(where, async () => {
      const message = where.startsWith("file:") ? readFile(context, where) : await download(context, where);
      return message && { where, message };
    });
    if (found === undefined) return;
    yield found;
    if ("outage" in found) return;
  }
}

async function fetchPayload(session: Session, layer: Descriptor): Promise<Buffer> {
  if (layer.size > SIGNATURE_BYTES_MAX)
    throw new Failure("bad-input", `Cannot use a signature in "${session.name}": its payload has ${layer.size} bytes`);
  const response = await session.request("GET", `blobs/${layer.digest}`);
  if (response.status !== 200) {
    const code = response.status === 404 ? "bad-input" : "network";
    throw new Failure(code, `Cannot fetch a signature of "${session.name}": ${await refusal(response)}`);
  }
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
