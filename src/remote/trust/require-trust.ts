/**
 * requireTrust(): an image passes only when everything holds that policy.json asks for it. A signature of an index counts for every
 * manifest in it, because the index names them by digest.
 *
 * @see containers-policy.json(5)
 */
import { textToByteName } from "../../core/bytes.ts";
import type { Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { formatImageRef, type ImageRef } from "../../oci/reference.ts";
import type { RemoteContext } from "../context.ts";
import type { Session } from "../session.ts";
import { checkSigstoreSignature, checkSimpleSignature, type Verdict } from "./check-signature.ts";
import { type Keys, readImagePolicy, type Requirement } from "./policy.ts";
import { readSignaturePlaces, type SignaturePlaces } from "./registries-d.ts";
import { findSigstoreSignatures, findSimpleSignatures } from "./signatures.ts";
import { parsePublicKey } from "./sigstore-key.ts";

export interface ImageToTrust {
  readonly ref: ImageRef;
  /** Where it comes from, and its signatures too. */
  readonly session: Session;
  /** Of the manifest, and of the indexes that led to it. */
  readonly digests: readonly Digest[];
}

/** How one requirement was met or not. */
interface Finding {
  /** e.g. `sigstoreSigned by /etc/pki/os.pub`. */
  readonly requirement: string;
  readonly isMet: boolean;
  readonly found: string;
  readonly hint?: string;
}

/** Failure "denied" naming scope, requirement and what was found; "bad-input" for a policy or key that is malformed. */
export async function requireTrust(context: RemoteContext, image: ImageToTrust): Promise<void> {
  const policy = readImagePolicy(context.host, image.ref);
  if (policy === undefined) return;
  for (const requirement of policy.requirements) {
    const finding = await judge(context, image, requirement);
    if (finding.isMet) continue;
    throw new Failure(
      "denied",
      `Cannot use "${formatImageRef(image.ref)}": the policy for "${policy.scope}" in ${policy.file} wants ` +
        `${finding.requirement}, and ${finding.found}`,
      { hint: finding.hint ?? `who is trusted for what is said in ${policy.file}` },
    );
  }
}

async function judge(context: RemoteContext, image: ImageToTrust, requirement: Requirement): Promise<Finding> {
  switch (requirement.kind) {
    case "insecureAcceptAnything":
      return { requirement: requirement.kind, isMet: true, found: "nothing is checked" };
    case "reject":
      return { requirement: "it rejected", isMet: false, found: "that is what it gets" };
    case "unsupported":
      return { requirement: requirement.what, isMet: false, found: "berth does not support that" };
    case "signedBy":
      return judgeSignedBy(context, image, requirement);
    case "sigstoreSigned":
      return judgeSigstoreSigned(context, image, requirement);
  }
}

async function judgeSignedBy(
  context: RemoteContext,
  { ref, session, digests }: ImageToTrust,
  { kind, keys, identity }: Extract<Requirement, { kind: "signedBy" }>,
): Promise<Finding> {
  const { lookaside, directory } = readSignaturePlaces(context.host, placeOf(ref, session));
  const keyrings = readKeys(context, keys);
  const verdicts: Verdict[] = [];
  for (const digest of digests) {
    for (const signature of await findSimpleSignatures(context, lookaside, placeOf(ref, session), digest)) {
      verdicts.push(await checkSimpleSignature(context, signature, keyrings, identity, { ref, digest }));
    }
  }
  const hint = `signatures are looked for in ${lookaside}; another place is a "lookaside" in ${directory}`;
  return finding(`${kind} ${describeKeys(keys)}`, verdicts, digests, hint);
}

async function judgeSigstoreSigned(
  context: RemoteContext,
  { ref, session, digests }: ImageToTrust,
  { kind, keys, identity }: Extract<Requirement, { kind: "sigstoreSigned" }>,
): Promise<Finding> {
  const requirement = `${kind} ${describeKeys(keys)}`;
  const places = readSignaturePlaces(context.host, placeOf(ref, session));
  if (!places.usesSigstoreAttachments) return attachmentsOff(requirement, session, places);
  const publicKeys = readKeys(context, keys).map((pem, i) => {
    try {
      return parsePublicKey(pem.toString("utf8"));
    } catch (error) {
      throw new Failure("bad-input", `Cannot use key ${keys.paths[i] ?? "data"} of the policy: it is malformed`, {
        cause: error,
      });
    }
  });
  const verdicts: Verdict[] = [];
  for (const digest of digests) {
    const signatures = await findSigstoreSignatures(session, digest);
    verdicts.push(...signatures.map((found) => checkSigstoreSignature(found, publicKeys, identity, { ref, digest })));
  }
  return finding(requirement, verdicts, digests, `sign it with: berth sign ${formatImageRef(ref)} --key FILE`);
}

/** The containers tools then see no signature either, and do not say why. */
function attachmentsOff(requirement: string, session: Session, { directory }: SignaturePlaces): Finding {
  const { host } = session.endpoint;
  return {
    requirement,
    isMet: false,
    found: `signatures in registry ${host} are not looked for, because use-sigstore-attachments is off`,
    hint: `write into ${directory}/${host}.yaml: docker: {"${host}": {use-sigstore-attachments: true}}`,
  };
}

function finding(requirement: string, verdicts: readonly Verdict[], digests: readonly Digest[], hint: string): Finding {
  const good = verdicts.find((verdict) => verdict.kind === "good");
  if (good !== undefined) return { requirement, isMet: true, found: `found ${good.where}` };
  const reasons = verdicts.map((verdict) => (verdict.kind === "bad" ? `${verdict.where}: ${verdict.reason}` : ""));
  const found =
    reasons.length === 0
      ? `found no signature of ${digests.join(" or ")}`
      : `found no good signature (${reasons.join("; ")})`;
  return { requirement, isMet: false, found, hint };
}

/** The address of the mirror or location that the image came from: its signatures are there too. */
function placeOf(ref: ImageRef, session: Session): ImageRef {
  return { ...ref, host: session.endpoint.host, path: session.endpoint.path };
}

function readKeys(context: RemoteContext, keys: Keys): readonly Buffer[] {
  return [...keys.paths.map((path) => context.host.files.read(textToByteName(path))), ...keys.data];
}

function describeKeys({ paths, data }: Keys): string {
  return paths.length > 0 ? `by ${paths.join(" or ")}` : `by ${data.length === 1 ? "the key" : "a key"} in it`;
}
