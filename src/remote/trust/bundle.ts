/**
 * Sigstore bundles: what cosign 3 attaches to an image, as a referrer of one blob. Signed is an in-toto statement in an envelope: "the
 * manifest of this digest was signed", without a name. Read strictly where it decides, and the statement only after its signature was
 * found good.
 *
 * @see sigstore "Bundle Format"; DSSE "Protocol" (PAE); in-toto "Statement v1"
 */
import { type Digest, parseDigest } from "../../core/digest.ts";
import { asArray, asObject, asString, parseUniqueJsonObject } from "../../core/json.ts";
import type { Claim, SignedClaim } from "./claim.ts";

/** Media type of the blob, and artifact type of its manifest. */
export const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
/** An annotation of the manifest, so that attestations need not be fetched. */
export const PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType";
export const SIGNED_PREDICATE = "https://sigstore.dev/cosign/sign/v1";

const STATEMENT = "application/vnd.in-toto+json";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";

/** Throws SyntaxError. */
export function parseBundle(text: string): SignedClaim {
  const object = parseUniqueJsonObject(text, "bundle");
  requireText(object["mediaType"], "bundle.mediaType", BUNDLE);
  const envelope = asObject(object["dsseEnvelope"], "bundle.dsseEnvelope");
  requireText(envelope["payloadType"], "bundle.dsseEnvelope.payloadType", STATEMENT);
  const payload = Buffer.from(asString(envelope["payload"], "bundle.dsseEnvelope.payload"), "base64");
  const signature = asObject(
    onlyOne(envelope["signatures"], "bundle.dsseEnvelope.signatures"),
    "bundle.dsseEnvelope.signatures[0]",
  );
  return {
    kind: "statement",
    text: payload.toString("utf8"),
    signed: Buffer.concat([Buffer.from(`DSSEv1 ${STATEMENT.length} ${STATEMENT} ${payload.length} `), payload]),
    signature: asString(signature["sig"], "bundle.dsseEnvelope.signatures[0].sig"),
  };
}

/** The statement of a signature; SyntaxError for another (an attestation says more, and not that the image was signed). */
export function parseStatement(text: string): Claim {
  const statement = parseUniqueJsonObject(text, "statement");
  requireText(statement["_type"], "statement._type", STATEMENT_TYPE);
  requireText(statement["predicateType"], "statement.predicateType", SIGNED_PREDICATE);
  const subject = asObject(onlyOne(statement["subject"], "statement.subject"), "statement.subject[0]");
  const { sha256 } = asObject(subject["digest"], "statement.subject[0].digest");
  return { dockerReference: undefined, digest: readSha256(sha256, "statement.subject[0].digest.sha256") };
}

function readSha256(value: unknown, what: string): Digest {
  return parseDigest(`sha256:${asString(value, what)}`);
}

function requireText(value: unknown, what: string, wanted: string): void {
  const found = asString(value, what);
  if (found !== wanted)
    throw new SyntaxError(`Cannot read ${what}: it is ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
}

function onlyOne(value: unknown, what: string): unknown {
  const [first, ...others] = asArray(value, what);
  if (first === undefined || others.length > 0) throw new SyntaxError(`Cannot read ${what}: wanted one`);
  return first;
}
