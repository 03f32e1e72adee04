/**
 * fetchManifest(): a manifest's bytes by tag or digest, checked against the digest asked for, or against the one that the registry
 * states.
 *
 * @see OCI distribution-spec "Pulling manifests"
 */
import { type Digest, digestAlgorithm, digestOf, isDigest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { MANIFEST_BYTES_MAX } from "../oci/manifest.ts";
import { bareType, DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST } from "../oci/media-types.ts";
import { readBody, refusal } from "./answer.ts";
import type { Session } from "./session.ts";

export interface FetchedManifest {
  readonly bytes: Buffer;
  readonly digest: Digest;
  /** What the document says it is, else what the registry says. */
  readonly mediaType: string;
}

interface FetchManifestOptions {
  /** In the error, instead of repository and selector. */
  readonly name?: string;
  readonly retries?: number | undefined;
}

const ACCEPT = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");

/** undefined when the repository has none. Failure "network", "digest-mismatch", "unauthorized", "denied". */
export async function fetchManifest(
  session: Session,
  selector: string,
  options: FetchManifestOptions = {},
): Promise<FetchedManifest | undefined> {
  const { name = `${session.name}${isDigest(selector) ? "@" : ":"}${selector}`, retries } = options;
  const response = await session.request("GET", `manifests/${selector}`, {
    headers: { accept: ACCEPT },
    ...(retries !== undefined && { retries }),
  });
  if (response.status === 404) {
    response.discard();
    return undefined;
  }
  if (response.status !== 200) throw new Failure("network", `Cannot read image "${name}": ${await refusal(response)}`);
  const bytes = await readBody(response, MANIFEST_BYTES_MAX);
  const stated = isDigest(selector) ? selector : response.headers["docker-content-digest"];
  const digest = digestOf(bytes, stated !== undefined && isDigest(stated) ? digestAlgorithm(stated) : "sha256");
  if (stated !== undefined && stated !== digest) {
    throw new Failure(
      "digest-mismatch",
      `Cannot accept the manifest of "${name}": its bytes hash to ${digest}, wanted ${stated}`,
    );
  }
  const contentType = bareType(response.headers["content-type"] ?? MANIFEST);
  return { bytes, digest, mediaType: documentType(bytes, contentType) };
}

/** The digest that a tag has now, without its manifest; a digest is its own. undefined when the registry does not say. */
export async function findManifestDigest(
  session: Session,
  selector: string,
  { retries }: FetchManifestOptions = {},
): Promise<Digest | undefined> {
  if (isDigest(selector)) return selector;
  const response = await session.request("HEAD", `manifests/${selector}`, {
    headers: { accept: ACCEPT },
    ...(retries !== undefined && { retries }),
  });
  response.discard();
  const stated = response.headers["docker-content-digest"];
  return response.status === 200 && stated !== undefined && isDigest(stated) ? stated : undefined;
}

/** Malformed bytes keep the registry's word: parsing them is the caller's, and so is the error. */
function documentType(bytes: Buffer, contentType: string): string {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    return contentType;
  }
  const own: unknown = Object(value).mediaType;
  if (typeof own === "string") return own;
  if (contentType !== "application/json" && contentType !== "text/plain") return contentType;
  return "manifests" in Object(value) ? INDEX : MANIFEST;
}
