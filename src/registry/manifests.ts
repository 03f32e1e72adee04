/**
 * Manifests: HEAD, GET, PUT and DELETE by tag or digest, with subjects.
 *
 * The bytes are kept exactly as they came. What they name must be in the repository, with the size that they say, except a subject
 * and layers that are fetched elsewhere.
 *
 * @see OCI distribution-spec, "Pulling manifests", "Pushing manifests", "Pushing manifests with subject"
 */
import { collectBytes } from "../core/bytes.ts";
import { type Digest, digestAlgorithm, digestOf } from "../core/digest.ts";
import type { ServerRequest, ServerResponse } from "../host/host.ts";
import { mapConcurrent } from "../core/concurrency.ts";
import { type Descriptor, MANIFEST_BYTES_MAX } from "../oci/manifest.ts";
import { RegistryError } from "./errors.ts";
import { contentResponse, emptyResponse, type Exchange, headResponse, isUnchanged, requestBody } from "./exchange.ts";
import { type ManifestFacts, readManifestFacts } from "./manifest-facts.ts";
import type { Repository } from "./repository.ts";
import { parseTag, type Reference } from "./route.ts";

const CLAIM_MS = 10_000;
const PARTS_AT_ONCE = 8;
/** Characters: type, slash and subtype of 127 each (RFC 6838, section 4.2). */
const ARTIFACT_TYPE_MAX = 255;
const LISTED_ANNOTATIONS_BYTES_MAX = 256 * 1024;

/** A deletion takes the tags and then the manifest: a push of the same in between would leave a tag of nothing. */
export function manifestClaim(repository: Repository, digest: Digest): string {
  return `manifest ${repository.name} ${digest}`;
}

export async function handleManifest(
  exchange: Exchange,
  repository: Repository,
  reference: Reference,
): Promise<ServerResponse> {
  switch (exchange.request.method) {
    case "HEAD":
    case "GET":
      return readManifest(exchange, repository, reference);
    case "PUT":
      return putManifest(exchange, repository, reference);
    case "DELETE": {
      await requireMutable(exchange, repository, reference);
      const deleted =
        reference.kind === "tag"
          ? repository.deleteTag(reference.tag)
          : exchange.claims.hold(
              manifestClaim(repository, reference.digest),
              { kind: "exclusive", waitMs: CLAIM_MS },
              () => repository.deleteManifest(reference.digest),
            );
      if (!(await deleted)) throw manifestUnknown(reference);
      return emptyResponse(202);
    }
    default:
      throw new RegistryError(405, "UNSUPPORTED", "method is not supported", {
        headers: { allow: "GET, HEAD, PUT, DELETE" },
      });
  }
}

async function readManifest(exchange: Exchange, repository: Repository, reference: Reference): Promise<ServerResponse> {
  const record = await repository.findManifest(reference);
  if (record === undefined) throw manifestUnknown(reference);
  const headers = {
    "content-type": record.mediaType,
    "docker-content-digest": record.digest,
    etag: `"${record.digest}"`,
    "cache-control": reference.kind === "digest" ? "max-age=31536000, immutable" : "no-cache",
  };
  if (isUnchanged(exchange.request, record.digest)) return headResponse(304, headers);
  if (exchange.request.method === "HEAD") {
    return headResponse(200, { ...headers, "content-length": String(record.size) });
  }
  return contentResponse(exchange, await exchange.cache.read(record.digest, record.size), headers);
}

async function putManifest(exchange: Exchange, repository: Repository, reference: Reference): Promise<ServerResponse> {
  const { request, url, driver } = exchange;
  const extraTags = url.searchParams.getAll("tag").map(parseTag);
  const bytes = await readLimited(request);
  const digest = digestOf(bytes, reference.kind === "digest" ? digestAlgorithm(reference.digest) : "sha256");
  if (reference.kind === "digest" && reference.digest !== digest) {
    throw new RegistryError(400, "DIGEST_INVALID", "provided digest did not match uploaded content", {
      detail: { digest: reference.digest },
    });
  }
  const facts = readFacts(bytes, request.headers.get("content-type"));
  if (!exchange.takesSparse(repository.name)) await requireParts(exchange, repository, facts);

  const { mediaType, subject } = facts;
  const record = { digest, mediaType, size: bytes.length, subject: subject?.digest };
  const tags = reference.kind === "tag" ? [reference.tag, ...extraTags] : extraTags;
  await exchange.quotas.require(repository.name, bytes.length);
  await exchange.leases.take(digest);
  await withImmutableTags(exchange, { repository, tags, digest }, () =>
    exchange.claims.hold(manifestClaim(repository, digest), { kind: "shared", waitMs: CLAIM_MS }, async () => {
      await driver.putBlob(digest, bytes);
      await repository.addManifest(record, subject && referrerDescriptor(facts, digest, bytes.length));
      for (const tag of tags) await repository.setTag(tag, digest);
    }),
  );
  exchange.quotas.added(repository.name, bytes.length);

  return emptyResponse(201, {
    location: `/v2/${repository.name}/manifests/${digest}`,
    "docker-content-digest": digest,
    ...(subject && { "oci-subject": subject.digest }),
    ...(extraTags.length > 0 && { "oci-tag": extraTags.join(", ") }),
  });
}

interface TagMove {
  readonly repository: Repository;
  readonly tags: readonly string[];
  readonly digest: Digest;
}

/** One push at a time may set an immutable tag, and only where there is none or it says the same already. */
async function withImmutableTags(exchange: Exchange, move: TagMove, work: () => Promise<void>): Promise<void> {
  const { repository, tags, digest } = move;
  const tag = tags.find(exchange.isImmutable);
  if (tag === undefined) return work();
  const rest = { ...move, tags: tags.filter((other) => other !== tag) };
  return exchange.claims.hold(`tag ${repository.name} ${tag}`, { kind: "exclusive", waitMs: CLAIM_MS }, async () => {
    const found = await repository.findManifest({ kind: "tag", tag });
    if (found !== undefined && found.digest !== digest) throw immutableTag(tag);
    await withImmutableTags(exchange, rest, work);
  });
}

/** Throws RegistryError when a deletion would take an immutable tag. */
async function requireMutable(exchange: Exchange, repository: Repository, reference: Reference): Promise<void> {
  const tags = reference.kind === "tag" ? [reference.tag] : ((await repository.tags()) ?? []);
  for (const tag of tags.filter(exchange.isImmutable)) {
    const found = await repository.findManifest({ kind: "tag", tag });
    if (found !== undefined && (reference.kind === "tag" || found.digest === reference.digest)) throw immutableTag(tag);
  }
}

function immutableTag(tag: string): RegistryError {
  return new RegistryError(403, "DENIED", `tag "${tag}" is immutable`, { detail: { tag } });
}

function readFacts(bytes: Buffer, contentType: string | null): ManifestFacts {
  try {
    return readManifestFacts(bytes, contentType);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RegistryError(400, "MANIFEST_INVALID", "manifest invalid", { detail: error.message });
  }
}

async function requireParts(exchange: Exchange, repository: Repository, facts: ManifestFacts): Promise<void> {
  const blobSize = async (digest: Digest): Promise<number | undefined> =>
    (await repository.hasBlob(digest)) ? exchange.driver.blobSize(digest) : undefined;
  const manifestSize = async (digest: Digest): Promise<number | undefined> =>
    (await repository.findManifest({ kind: "digest", digest }))?.size ?? (await blobSize(digest));
  const parts = [
    ...[...facts.blobs, ...facts.foreignLayers].map((part) => ({ ...part, find: blobSize })),
    ...facts.manifests.map((part) => ({ ...part, find: manifestSize })),
  ];
  const found = await mapConcurrent(parts, { limit: PARTS_AT_ONCE }, async ({ digest, find }) => {
    if ((await find(digest)) === undefined) return undefined;
    await exchange.leases.take(digest);
    return find(digest);
  });
  const foreign = new Set(facts.foreignLayers.map(({ digest }) => digest));
  const missing = parts.filter(({ digest }, index) => found[index] === undefined && !foreign.has(digest));
  if (missing.length > 0) {
    throw new RegistryError(404, "MANIFEST_BLOB_UNKNOWN", "manifest references content unknown to the repository", {
      details: missing.map(({ digest }) => ({ digest })),
    });
  }
  const wrong = parts.flatMap(({ digest, size }, index) => {
    const actual = found[index];
    return actual === undefined || actual === size ? [] : [{ digest, size, actual }];
  });
  if (wrong.length === 0) return;
  throw new RegistryError(400, "SIZE_INVALID", "manifest gives content a size that it does not have", {
    details: wrong,
  });
}

/**
 * How the list of its subject shows the manifest. Annotations and a type past their limits stand in the manifest only: clients
 * take lists of 4 MiB, and nobody's attachment may make a list unreadable for the others.
 */
export function referrerDescriptor(facts: ManifestFacts, digest: Digest, size: number): Descriptor {
  const { mediaType, artifactType, annotations } = facts;
  const isTypeListed = artifactType !== undefined && artifactType.length <= ARTIFACT_TYPE_MAX;
  const areListed = annotations && Buffer.byteLength(JSON.stringify(annotations)) <= LISTED_ANNOTATIONS_BYTES_MAX;
  return {
    mediaType,
    digest,
    size,
    ...(isTypeListed && { artifactType }),
    ...(areListed && { annotations }),
  };
}

async function readLimited(request: ServerRequest): Promise<Buffer> {
  const tooLarge = new RegistryError(413, "SIZE_INVALID", `manifest is larger than ${MANIFEST_BYTES_MAX} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > MANIFEST_BYTES_MAX) throw tooLarge;
  const bytes = await collectBytes(requestBody(request, "MANIFEST_INVALID", MANIFEST_BYTES_MAX));
  if (bytes.length > MANIFEST_BYTES_MAX) throw tooLarge;
  return bytes;
}

export function manifestUnknown(reference: Reference): RegistryError {
  return new RegistryError(404, "MANIFEST_UNKNOWN", "manifest unknown", {
    detail: reference.kind === "tag" ? { tag: reference.tag } : { digest: reference.digest },
  });
}
