/**
 * requireTrust(): an image passes only when everything holds that policy.json asks for it. A signature of an index counts for every
 * manifest in it, because the index names them by digest.
 *
 * @see containers-policy.json(5)
 */
import type { KeyObject } from "node:crypto";
import { textToByteName } from "../../core/bytes.ts";
import type { Digest } from "../../core/digest.ts";
import { explained, Failure, type FailureCode } from "../../core/failure.ts";
import { formatImageRef, type ImageRef } from "../../oci/reference.ts";
import type { RemoteContext } from "../context.ts";
import type { Session } from "../session.ts";
import { checkSigstoreSignature, checkSimpleSignature, type Verdict } from "./check-signature.ts";
import { type Keys, readImagePolicy, type Requirement } from "./policy.ts";
import { readSignaturePlaces, type SignaturePlaces } from "./registries-d.ts";
import { type BrokenSignature, hintFor, sigstoreSignatures, simpleSignatures } from "./signatures.ts";
import { parsePublicKey } from "./sigstore-key.ts";

export interface ImageToTrust {
  readonly ref: ImageRef;
  /** Where it comes from, and its signatures too. */
  readonly session: Session;
  /** Of the manifest, and of the indexes that led to it. */
  readonly digests: readonly Digest[];
}

/** Why a requirement is not met. */
interface Refusal {
  /** What the policy does: "rejects it". */
  readonly reason: string;
  readonly hint?: string | undefined;
  /** "denied" unless something else is known. */
  readonly code?: FailureCode | undefined;
}

/**
 * Failure "denied" naming scope, requirement and what was found; "network" or "unauthorized" when nothing good was found and a place could
 * not be looked at; "bad-input" for a policy or key that is malformed.
 */
export async function requireTrust(context: RemoteContext, image: ImageToTrust): Promise<void> {
  const policy = readImagePolicy(context.host, image.ref);
  if (policy === undefined) return;
  for (const requirement of policy.requirements) {
    const refusal = await judge(context, image, requirement);
    if (refusal === undefined) continue;
    const { reason, code = "denied", hint = `who is trusted for what is said in ${policy.file}` } = refusal;
    const name = formatImageRef(image.ref);
    throw new Failure(code, `Cannot use "${name}": the policy for "${policy.scope}" in ${policy.file} ${reason}`, {
      hint,
    });
  }
}

/** undefined when the requirement is met. */
async function judge(
  context: RemoteContext,
  image: ImageToTrust,
  requirement: Requirement,
): Promise<Refusal | undefined> {
  switch (requirement.kind) {
    case "insecureAcceptAnything":
      return undefined;
    case "reject":
      return { reason: "rejects it" };
    case "unsupported":
      return { reason: `wants ${requirement.what}, and berth does not support that` };
    case "signedBy":
      return judgeSignedBy(context, image, requirement);
    case "sigstoreSigned":
      return judgeSigstoreSigned(context, image, requirement);
  }
}

async function judgeSignedBy(
  context: RemoteContext,
  { ref, session, digests }: ImageToTrust,
  { keys, identity }: Extract<Requirement, { kind: "signedBy" }>,
): Promise<Refusal | undefined> {
  const place = placeOf(ref, session);
  const { lookaside, directory } = await readSignaturePlaces(context.host, place);
  const keyrings = readKeys(context, keys);
  const none = await judgeSignatures(
    digests,
    (digest) => simpleSignatures(context, lookaside, place, digest),
    (signature, digest) => checkSimpleSignature(context, signature, keyrings, identity, { ref, digest }),
  );
  if (none === undefined) return undefined;
  return {
    code: none.outage?.code,
    reason: `wants signedBy ${describeKeys(keys)}, and found ${none.found}`,
    hint: `signatures are looked for in ${lookaside}; another place is a "lookaside" in ${directory}`,
  };
}

async function judgeSigstoreSigned(
  context: RemoteContext,
  { ref, session, digests }: ImageToTrust,
  { keys, identity }: Extract<Requirement, { kind: "sigstoreSigned" }>,
): Promise<Refusal | undefined> {
  const wanted = `wants sigstoreSigned ${describeKeys(keys)}`;
  const places = await readSignaturePlaces(context.host, placeOf(ref, session));
  if (!places.usesSigstoreAttachments) return attachmentsOff(wanted, session, places);
  const publicKeys = readPublicKeys(context, keys);
  const none = await judgeSignatures(
    digests,
    (digest) => sigstoreSignatures(session, digest),
    (signature, digest) => checkSigstoreSignature(signature, publicKeys, identity, { ref, digest }),
  );
  if (none === undefined) return undefined;
  const { found, outage } = none;
  return {
    code: outage?.code,
    reason: `${wanted}, and found ${found}`,
    hint: hintFor(outage, `sign it with: berth sign ${formatImageRef(ref)} --key FILE`),
  };
}

interface NoneGood {
  readonly found: string;
  /** The first place that could not be looked at. */
  readonly outage: Failure | undefined;
}

/** undefined as soon as one of them is good. */
async function judgeSignatures<Signature extends { readonly where: string }>(
  digests: readonly Digest[],
  list: (digest: Digest) => AsyncIterable<Signature | BrokenSignature>,
  check: (signature: Signature | BrokenSignature, digest: Digest) => Verdict | Promise<Verdict>,
): Promise<NoneGood | undefined> {
  const bad: string[] = [];
  let outage: Failure | undefined;
  for (const digest of digests) {
    for await (const signature of list(digest)) {
      const verdict = await check(signature, digest);
      if (verdict.kind === "good") return undefined;
      bad.push(`${signature.where}: ${verdict.reason}`);
      if ("broken" in signature) outage ??= signature.outage;
    }
  }
  const found = bad.length === 0 ? `no signature of ${digests.join(" or ")}` : `no good signature (${bad.join("; ")})`;
  return { found, outage };
}

/** The containers tools then see no signature either, and do not say why. */
function attachmentsOff(wanted: string, session: Session, { directory }: SignaturePlaces): Refusal {
  const { host } = session.endpoint;
  return {
    reason: `${wanted}, and signatures in registry ${host} are not looked for, because use-sigstore-attachments is off`,
    hint: `write into ${directory}/${host}.yaml: docker: {"${host}": {use-sigstore-attachments: true}}`,
  };
}

/** The address of the mirror or location that the image came from: its signatures are there too. */
function placeOf(ref: ImageRef, session: Session): ImageRef {
  return { ...ref, host: session.endpoint.host, path: session.endpoint.path };
}

function readKeys(context: RemoteContext, keys: Keys): readonly Buffer[] {
  return [...keys.paths.map((path) => readKey(context, path)), ...keys.data];
}

function readKey({ host }: RemoteContext, path: string): Buffer {
  return explained(`Cannot use key ${path} of the policy`, () => host.files.read(textToByteName(path)));
}

function readPublicKeys(context: RemoteContext, keys: Keys): readonly KeyObject[] {
  return readKeys(context, keys).map((pem, i) => {
    try {
      return parsePublicKey(pem.toString("utf8"));
    } catch (error) {
      throw new Failure("bad-input", `Cannot use key ${keys.paths[i] ?? "data"} of the policy: it is malformed`, {
        cause: error,
      });
    }
  });
}

function describeKeys({ paths, data }: Keys): string {
  return paths.length > 0 ? `by ${paths.join(" or ")}` : `by ${data.length === 1 ? "the key" : "a key"} in it`;
}
