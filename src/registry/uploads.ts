/**
 * Uploads: POST (session, single request, mount), PATCH, PUT, GET and DELETE of a session.
 *
 * A mount needs the right to read where the blob comes from; without `from`, only repositories that the client may read
 * count, because otherwise a guessed digest would copy private content.
 *
 * @see OCI distribution-spec, "Pushing blobs"
 */
import { type Digest, type DigestAlgorithm, digestAlgorithm, isDigest } from "../core/digest.ts";
import type { ServerResponse } from "../host/host.ts";
import type { OpenUpload } from "./driver.ts";
import { RegistryError } from "./errors.ts";
import { emptyResponse, type Exchange, requestBody } from "./exchange.ts";
import { listRepositories, openRepository, type Repository } from "./repository.ts";
import { isRepositoryName, parseRequestDigest } from "./route.ts";

/** What clients are asked for: a smaller chunk is taken, but its request costs more than its bytes. */
const CHUNK_BYTES_MIN = 1024 * 1024;

/** POST blobs/uploads/. */
export async function handleUploads(exchange: Exchange, repository: Repository): Promise<ServerResponse> {
  const { request, url, driver } = exchange;
  if (request.method !== "POST") {
    throw new RegistryError(405, "UNSUPPORTED", "method is not supported", { headers: { allow: "POST" } });
  }
  const mount = url.searchParams.get("mount");
  if (mount !== null && isDigest(mount) && (await canMount(exchange, mount))) {
    await exchange.quotas.require(repository.name, (await driver.blobSize(mount)) ?? 0);
    await link(exchange, repository, mount);
    return created(repository, mount);
  }
  const wanted = url.searchParams.get("digest");
  const digest = wanted === null ? undefined : parseRequestDigest(wanted);
  const algorithm = digest === undefined ? parseAlgorithm(url.searchParams) : digestAlgorithm(digest);
  await exchange.quotas.require(repository.name, Number(request.headers.get("content-length") ?? 0));
  const id = await driver.startUpload(repository.name, algorithm);
  if (digest === undefined) {
    const length = { "oci-chunk-min-length": String(CHUNK_BYTES_MIN) };
    return emptyResponse(202, { ...sessionHeaders(repository, id), ...length });
  }
  try {
    const body = requestBody(request, "BLOB_UPLOAD_INVALID");
    const upload = { id, repository: repository.name, size: 0 };
    const size = await driver.appendUpload(id, 0, exchange.quotas.receive(upload, body));
    return await finish(exchange, repository, { ...upload, size }, digest);
  } catch (error) {
    await cancel(exchange, id);
    throw error;
  }
}

/** PATCH, PUT, GET, DELETE blobs/uploads/<id>. */
export async function handleUpload(exchange: Exchange, repository: Repository, id: string): Promise<ServerResponse> {
  const { request, url, driver } = exchange;
  const info = await driver.uploadInfo(id);
  if (info === undefined || info.repository !== repository.name) {
    throw new RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
  }
  switch (request.method) {
    case "GET":
      return emptyResponse(204, { ...sessionHeaders(repository, id), range: rangeSoFar(info.size) });
    case "PATCH": {
      const size = await endRefused(exchange, id, () => append(exchange, repository, { ...info, id }));
      return emptyResponse(202, { ...sessionHeaders(repository, id), range: rangeSoFar(size) });
    }
    case "PUT": {
      const digest = parseRequestDigest(url.searchParams.get("digest") ?? "");
      return endRefused(exchange, id, async () => {
        const size = await append(exchange, repository, { ...info, id });
        return finish(exchange, repository, { ...info, id, size }, digest);
      });
    }
    case "DELETE":
      await cancel(exchange, id);
      return emptyResponse(204);
    default:
      throw new RegistryError(405, "UNSUPPORTED", "method is not supported", {
        headers: { allow: "GET, PATCH, PUT, DELETE" },
      });
  }
}

/** Nobody goes on with an upload that a quota refuses, and what has arrived of it would count on. */
async function endRefused<T>(exchange: Exchange, id: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RegistryError && error.code === "DENIED") await cancel(exchange, id);
    throw error;
  }
}

async function cancel(exchange: Exchange, id: string): Promise<void> {
  await exchange.driver.cancelUpload(id);
  exchange.quotas.ended(id);
}

async function append(exchange: Exchange, repository: Repository, upload: OpenUpload): Promise<number> {
  const { request, driver } = exchange;
  const { id, size: before } = upload;
  const chunk = parseContentRange(request.headers.get("content-range"));
  if (chunk === "malformed" || (chunk !== undefined && chunk.start !== before)) {
    throw new RegistryError(416, "BLOB_UPLOAD_INVALID", `chunk does not start at byte ${before}`, {
      headers: { ...sessionHeaders(repository, id), range: rangeSoFar(before) },
    });
  }
  const length = request.headers.get("content-length");
  if (chunk !== undefined && length !== null && Number(length) !== chunk.length) {
    throw new RegistryError(400, "SIZE_INVALID", "Content-Length and Content-Range differ");
  }
  if (request.body === null) return before;
  await exchange.quotas.requireUpload(upload, Number(length ?? 0));
  const body = requestBody(request, "BLOB_UPLOAD_INVALID", chunk?.length);
  const size = await driver.appendUpload(id, before, exchange.quotas.receive(upload, body));
  if (chunk !== undefined && size - before !== chunk.length) {
    await driver.truncateUpload(id, before);
    throw new RegistryError(400, "SIZE_INVALID", "the chunk is not as long as its Content-Range");
  }
  return size;
}

async function finish(
  exchange: Exchange,
  repository: Repository,
  upload: OpenUpload,
  digest: Digest,
): Promise<ServerResponse> {
  await exchange.quotas.requireUpload(upload, 0);
  await exchange.leases.take(digest);
  if ((await exchange.driver.finishUpload(upload.id, digest)) === "mismatch") {
    exchange.quotas.ended(upload.id);
    throw new RegistryError(400, "DIGEST_INVALID", "provided digest did not match uploaded content", {
      detail: { digest },
    });
  }
  await link(exchange, repository, digest);
  exchange.quotas.ended(upload.id);
  return created(repository, digest);
}

async function link(exchange: Exchange, repository: Repository, digest: Digest): Promise<void> {
  if (await repository.hasBlob(digest)) return;
  await repository.linkBlob(digest);
  exchange.quotas.added(repository.name, (await exchange.driver.blobSize(digest)) ?? 0);
}

async function canMount(exchange: Exchange, digest: Digest): Promise<boolean> {
  const { driver, principal } = exchange;
  const from = exchange.url.searchParams.get("from");
  const candidates = from === null ? await listRepositories(driver) : isRepositoryName(from) ? [from] : [];
  // Rights first: whether the storage has the digest may not even show in how long the answer takes.
  for (const name of candidates) {
    if (!principal.may("pull", name)) continue;
    const repository = openRepository(driver, name);
    if (!(await repository.hasBlob(digest))) continue;
    await exchange.leases.take(digest);
    return (await repository.hasBlob(digest)) && (await driver.blobSize(digest)) !== undefined;
  }
  return false;
}

function parseAlgorithm(query: URLSearchParams): DigestAlgorithm {
  const wanted = query.get("digest-algorithm") ?? "sha256";
  if (wanted === "sha256" || wanted === "sha512") return wanted;
  throw new RegistryError(400, "DIGEST_INVALID", "digest-algorithm is not sha256 or sha512", {
    detail: { algorithm: wanted.slice(0, 80) },
  });
}

function created(repository: Repository, digest: Digest): ServerResponse {
  return emptyResponse(201, { location: `/v2/${repository.name}/blobs/${digest}`, "docker-content-digest": digest });
}

function sessionHeaders(repository: Repository, id: string): Record<string, string> {
  return { location: `/v2/${repository.name}/blobs/uploads/${id}`, "docker-upload-uuid": id };
}

/** The Range header of a session: inclusive, and `0-0` for an empty one by custom. */
function rangeSoFar(size: number): string {
  return `0-${Math.max(0, size - 1)}`;
}

function parseContentRange(header: string | null): { start: number; length: number } | "malformed" | undefined {
  if (header === null) return undefined;
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim());
  const start = Number(match?.[1]);
  const end = Number(match?.[2]);
  return match === null || end < start ? "malformed" : { start, length: end - start + 1 };
}
