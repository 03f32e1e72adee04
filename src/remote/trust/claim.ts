/**
 * Claim: what a signature signs, in the simple signing format: "the manifest of this digest is the image of this name". Read
 * strictly, and only after the signature over its bytes was found good.
 *
 * @see containers-signature(5); cosign "Signature Specification"
 */
import { type Digest, parseDigest } from "../../core/digest.ts";
import { asExactObject, asString, parseUniqueJsonObject } from "../../core/json.ts";

export interface Claim {
  /** A reference or a repository; undefined where signatures give no name. */
  readonly dockerReference: string | undefined;
  readonly digest: Digest;
}

export interface NamedClaim extends Claim {
  readonly dockerReference: string;
}

/** A claim, or a statement in a bundle, as it was found: nothing of it is checked. */
export interface SignedClaim {
  readonly kind: "claim" | "statement";
  readonly text: string;
  /** The bytes under the signature. */
  readonly signed: Buffer;
  /** In base64. */
  readonly signature: string;
}

/** The `critical.type` of both kinds of signatures. */
export const SIGSTORE_CLAIM = "cosign container image signature";
export const SIMPLE_CLAIM = "atomic container signature";

/** Throws SyntaxError. */
export function parseClaim(text: string, type: typeof SIGSTORE_CLAIM | typeof SIMPLE_CLAIM): NamedClaim {
  const object = asExactObject(parseUniqueJsonObject(text, "claim"), "claim", ["critical", "optional"]);
  const critical = asExactObject(object["critical"], "claim.critical", ["type", "image", "identity"]);
  const found = asString(critical["type"], "claim.critical.type");
  if (found !== type)
    throw new SyntaxError(
      `Cannot read claim.critical.type: it is ${JSON.stringify(found)}, wanted ${JSON.stringify(type)}`,
    );
  const image = asExactObject(critical["image"], "claim.critical.image", ["docker-manifest-digest"]);
  const identity = asExactObject(critical["identity"], "claim.critical.identity", ["docker-reference"]);
  return {
    dockerReference: asString(identity["docker-reference"], "claim.critical.identity.docker-reference"),
    digest: parseDigest(asString(image["docker-manifest-digest"], "claim.critical.image.docker-manifest-digest")),
  };
}

/** The claim of a sigstore signature; no clock in it, so that the same claim gives the same bytes. */
export function formatSigstoreClaim(claim: NamedClaim): string {
  return JSON.stringify({
    critical: {
      identity: { "docker-reference": claim.dockerReference },
      image: { "docker-manifest-digest": claim.digest },
      type: SIGSTORE_CLAIM,
    },
    optional: { creator: "berth" },
  });
}
