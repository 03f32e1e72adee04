/**
 * verifyImage(): the signatures of an image by one key, without a policy: what a pipeline asks before it goes on. An image's name in
 * the signature must be of its repository, unless another is named, or none is asked for.
 */
import type { KeyObject } from "node:crypto";
import type { Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { formatImageRef, formatRepository, type ImageRef, manifestSelector } from "../../oci/reference.ts";
import type { RemoteContext } from "../context.ts";
import { fetchManifest } from "../fetch-manifest.ts";
import { pullEndpoints, readRegistriesConf } from "../registries-conf.ts";
import { openSession } from "../session.ts";
import { checkSigstoreSignature } from "./check-signature.ts";
import type { Claim } from "./claim.ts";
import { hintFor, sigstoreSignatures } from "./signatures.ts";
import { parseSignedIdentity, type SignedIdentity } from "./signed-identity.ts";

export interface VerifiedImage {
  readonly digest: Digest;
  /** At least one. */
  readonly signatures: readonly { readonly where: string; readonly claim: Claim }[];
}

/**
 * Failure "check-failed" when no signature is good, "network", "unauthorized" or "denied" when none is and a place could not be looked at,
 * "not-found" for an unknown image.
 */
export async function verifyImage(
  context: RemoteContext,
  ref: ImageRef,
  options: { readonly key: KeyObject; readonly identity?: string | undefined; readonly anyName?: boolean },
): Promise<VerifiedImage> {
  const name = formatImageRef(ref);
  const identity: SignedIdentity = options.anyName === true ? { kind: "anyName" } : readIdentity(options.identity);
  const [endpoint] = pullEndpoints(readRegistriesConf(context.host), ref).filter(({ isMirror }) => !isMirror);
  if (endpoint === undefined) throw new Failure("not-found", `Cannot find image "${name}": no registry to ask`);
  const session = await openSession(context, endpoint, { access: "pull" });
  const manifest = await fetchManifest(session, manifestSelector(ref), { name });
  if (manifest === undefined) {
    throw new Failure("not-found", `Cannot find image "${name}": "${endpoint.host}" does not know it`);
  }
  const { digest } = manifest;
  const signatures: { where: string; claim: Claim }[] = [];
  const bad: string[] = [];
  let outage: Failure | undefined;
  for await (const signature of sigstoreSignatures(session, digest)) {
    const verdict = checkSigstoreSignature(signature, [options.key], identity, { ref, digest });
    if (verdict.kind === "good") signatures.push({ where: signature.where, claim: verdict.claim });
    else bad.push(`${signature.where}: ${verdict.reason}`);
    if ("broken" in signature) outage ??= signature.outage;
  }
  if (signatures.length > 0) return { digest, signatures };
  throw new Failure(
    outage?.code ?? "check-failed",
    `Cannot verify "${name}": ${bad.length === 0 ? `it has no signature for ${digest}` : bad.join("; ")}`,
    { hint: hintFor(outage, `a signature is made with: berth sign ${formatRepository(ref)}@${digest} --key FILE`) },
  );
}

/** A repository or a full reference. Failure "usage". */
function readIdentity(text: string | undefined): SignedIdentity {
  if (text === undefined) return { kind: "matchRepository" };
  for (const identity of [
    { type: "exactReference", dockerReference: text },
    { type: "exactRepository", dockerRepository: text },
  ]) {
    try {
      return parseSignedIdentity(identity, "identity");
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  throw new Failure("usage", `Cannot use identity "${text}": it is no image reference and no repository`);
}
