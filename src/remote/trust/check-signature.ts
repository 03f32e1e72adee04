/**
 * Is one signature good for one image? Three things must hold, in this order: the signature over the bytes by a trusted key, the
 * claim's digest, the claim's name.
 */
import type { KeyObject } from "node:crypto";
import type { Digest } from "../../core/digest.ts";
import type { ImageRef } from "../../oci/reference.ts";
import type { RemoteContext } from "../context.ts";
import { parseStatement } from "./bundle.ts";
import { type Claim, parseClaim, SIGSTORE_CLAIM, SIMPLE_CLAIM } from "./claim.ts";
import { openSigned } from "./gpg.ts";
import type { BrokenSignature, SigstoreSignature, SimpleSignature } from "./signatures.ts";
import { describeIdentity, matchesIdentity, type SignedIdentity } from "./signed-identity.ts";
import { verifyPayload } from "./sigstore-key.ts";

export interface Subject {
  readonly ref: ImageRef;
  readonly digest: Digest;
}

export type Verdict =
  | { readonly kind: "good"; readonly claim: Claim }
  | { readonly kind: "bad"; readonly reason: string };

/** One signature against the keys, the wanted name and the digest; why not, where it does not count. @see containers-signature(5) */
export function checkSigstoreSignature(
  entry: SigstoreSignature | BrokenSignature,
  keys: readonly KeyObject[],
  identity: SignedIdentity,
  subject: Subject,
): Verdict {
  if ("broken" in entry) return { kind: "bad", reason: entry.broken };
  const { kind, text, signed, signature } = entry;
  if (!keys.some((key) => verifyPayload(key, signed, signature)))
    return { kind: "bad", reason: "it is signed by another key, or changed" };
  const read = (): Claim => (kind === "claim" ? parseClaim(text, SIGSTORE_CLAIM) : parseStatement(text));
  return checkClaim(read, identity, subject);
}

/** Failure "missing-tool" without gpgv. */
export async function checkSimpleSignature(
  context: RemoteContext,
  entry: SimpleSignature | BrokenSignature,
  keyrings: readonly Uint8Array[],
  identity: SignedIdentity,
  subject: Subject,
): Promise<Verdict> {
  if ("broken" in entry) return { kind: "bad", reason: entry.broken };
  const opened = await openSigned(context.host, entry.message, keyrings, context.signal);
  if (opened.kind === "refused") return { kind: "bad", reason: opened.reason };
  return checkClaim(() => parseClaim(opened.content, SIMPLE_CLAIM), identity, subject);
}

function checkClaim(read: () => Claim, identity: SignedIdentity, { ref, digest }: Subject): Verdict {
  let claim: Claim;
  try {
    claim = read();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { kind: "bad", reason: error.message };
  }
  if (claim.digest !== digest) return { kind: "bad", reason: `it is for ${claim.digest}` };
  if (!matchesIdentity(identity, ref, claim.dockerReference)) {
    const found = claim.dockerReference === undefined ? "it names no image" : `it is for ${claim.dockerReference}`;
    const reason = `${found}, wanted ${describeIdentity(identity, ref)}`;
    return { kind: "bad", reason };
  }
  return { kind: "good", claim };
}
