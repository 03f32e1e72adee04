/**
 * resolveImage(): a reference to the manifest that it names now, for this machine's architecture. The bytes are checked against
 * the digest asked for, or against the one that the registry states.
 *
 * @see OCI distribution-spec "Pulling manifests"; image-spec image-index.md
 */
import { type Digest, digestAlgorithm, digestOf, isDigest } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import {
  type Descriptor,
  type Index,
  type Manifest,
  MANIFEST_BYTES_MAX,
  parseIndex,
  parseManifest,
} from "../oci/manifest.ts";
import { DOCKER_INDEX, DOCKER_MANIFEST, INDEX, isIndexType, MANIFEST } from "../oci/media-types.ts";
import { formatImageRef, type ImageRef, manifestSelector } from "../oci/reference.ts";
import type { RemoteContext } from "./context.ts";
import { pullEndpoints, readRegistriesConf } from "./registries-conf.ts";
import { readBody, refusal } from "./answer.ts";
import { openSession, type Session } from "./session.ts";

export interface ResolvedImage {
  readonly ref: ImageRef;
  readonly manifest: Manifest;
  /** Of the manifest's bytes. */
  readonly digest: Digest;
  readonly bytes: Buffer;
  /** Where the manifest came from: its blobs are there too. */
  readonly session: Session;
}

const ACCEPT = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX].join(", ");
const INDEX_DEPTH_MAX = 3;

/** Mirrors first; a mirror that fails is passed over with a warning. Failure "not-found", "network", "unauthorized", "bad-input". */
export async function resolveImage(context: RemoteContext, ref: ImageRef): Promise<ResolvedImage> {
  const endpoints = pullEndpoints(readRegistriesConf(context.host), ref);
  for (const endpoint of endpoints) {
    try {
      const session = await openSession(context, endpoint, { access: "pull" });
      return await resolveAt(context, session, ref, manifestSelector(ref), 0);
    } catch (error) {
      if (!endpoint.isMirror || !isFailure(error) || error.code === "aborted") throw error;
      context.progress.warn(`Mirror ${endpoint.host}/${endpoint.path} is passed over: ${error.message}`);
    }
  }
  throw new Failure("not-found", `Cannot find image "${formatImageRef(ref)}": no registry to ask`);
}

async function resolveAt(
  context: RemoteContext,
  session: Session,
  ref: ImageRef,
  selector: string,
  depth: number,
): Promise<ResolvedImage> {
  const name = formatImageRef(ref);
  const { bytes, digest, mediaType } = await fetchManifest(session, name, selector);
  const text = bytes.toString("utf8");
  const read = <T>(parse: () => T): T => {
    try {
      return parse();
    } catch (error) {
      throw new Failure("bad-input", `Cannot use image "${name}": its manifest ${digest} is malformed`, {
        cause: error,
      });
    }
  };
  if (!read(() => isIndexType(documentType(text, mediaType)))) {
    return { ref, manifest: read(() => parseManifest(text, mediaType)), digest, bytes, session };
  }
  if (depth >= INDEX_DEPTH_MAX)
    throw new Failure("bad-input", `Cannot use image "${name}": its indexes are nested too deep`);
  const child = choosePlatform(
    read(() => parseIndex(text, mediaType)),
    context.host.architecture,
  );
  if (child === undefined) {
    throw new Failure(
      "not-found",
      `Cannot use image "${name}": it has no variant for linux/${context.host.architecture}`,
    );
  }
  return resolveAt(context, session, ref, child.digest, depth + 1);
}

/** The first entry for linux on this architecture; an entry without a platform serves when there is no other. */
export function choosePlatform(index: Index, architecture: string): Descriptor | undefined {
  const fits = index.manifests.find(
    ({ platform }) => platform?.os === "linux" && platform.architecture === architecture,
  );
  return (
    fits ?? (index.manifests.length === 1 ? index.manifests.find(({ platform }) => platform === undefined) : undefined)
  );
}

async function fetchManifest(
  session: Session,
  name: string,
  selector: string,
): Promise<{ bytes: Buffer; digest: Digest; mediaType: string }> {
  const response = await session.request("GET", `manifests/${selector}`, { headers: { accept: ACCEPT } });
  if (response.status === 404) {
    response.discard();
    throw new Failure("not-found", `Cannot find image "${name}": "${session.endpoint.host}" does not know it`, {
      hint: "check the name and the tag",
    });
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
  const type = response.headers["content-type"];
  return { bytes, digest, mediaType: type === undefined ? MANIFEST : type.replace(/;.*/, "").trim() };
}

/** What the document says it is, else what the registry says. */
function documentType(text: string, contentType: string): string {
  const value: unknown = JSON.parse(text);
  const own: unknown = Object(value).mediaType;
  if (typeof own === "string") return own;
  return contentType === "application/json" || contentType === "text/plain"
    ? "manifests" in Object(value)
      ? INDEX
      : MANIFEST
    : contentType;
}
