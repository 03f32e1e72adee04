/**
 * Blobs: HEAD, GET with ranges, DELETE.
 *
 * @see OCI distribution-spec, "Pulling blobs", "Deleting blobs"
 */
import type { Digest } from "../core/digest.ts";
import type { ServerRequest, ServerResponse } from "../host/host.ts";
import { CACHEABLE_BYTES_MAX } from "./content-cache.ts";
import { RegistryError } from "./errors.ts";
import { contentResponse, emptyResponse, type Exchange, headResponse, isUnchanged } from "./exchange.ts";
import { multipartBody, parseRange, planMultipart } from "./ranges.ts";
import type { Repository } from "./repository.ts";

/** GET, HEAD, DELETE of a blob; RegistryError for what the specification names an error. @see OCI distribution-spec "Pulling blobs" */
export async function handleBlob(exchange: Exchange, repository: Repository, digest: Digest): Promise<ServerResponse> {
  switch (exchange.request.method) {
    case "HEAD":
    case "GET":
      return readBlob(exchange, repository, digest);
    case "DELETE":
      if (!(await repository.unlinkBlob(digest))) throw blobUnknown(digest);
      return emptyResponse(202);
    default:
      throw new RegistryError(405, "UNSUPPORTED", "method is not supported", {
        headers: { allow: "GET, HEAD, DELETE" },
      });
  }
}

export function blobUnknown(digest: Digest): RegistryError {
  return new RegistryError(404, "BLOB_UNKNOWN", "blob unknown to registry", { detail: { digest } });
}

async function readBlob(exchange: Exchange, repository: Repository, digest: Digest): Promise<ServerResponse> {
  const { request, driver } = exchange;
  const isThere = await hasForPusher(exchange, repository, digest);
  const size = isThere ? await driver.blobSize(digest) : undefined;
  if (size === undefined) throw blobUnknown(digest);
  const headers = {
    "docker-content-digest": digest,
    etag: `"${digest}"`,
    "accept-ranges": "bytes",
    "cache-control": "max-age=31536000, immutable",
    "content-type": "application/octet-stream",
  };
  if (isUnchanged(request, digest)) return headResponse(304, headers);
  if (request.method === "HEAD") return headResponse(200, { ...headers, "content-length": String(size) });

  const address = size > CACHEABLE_BYTES_MAX ? driver.blobAddress?.(digest) : undefined;
  if (address !== undefined) return emptyResponse(307, { ...headers, location: address, "cache-control": "no-store" });

  const wanted = parseRange(rangeHeader(request, digest), size);
  switch (wanted.kind) {
    case "unsatisfiable":
      throw new RegistryError(416, "RANGE_INVALID", "range is not satisfiable", {
        headers: { "content-range": `bytes */${size}` },
      });
    case "whole":
      if (size <= CACHEABLE_BYTES_MAX)
        return contentResponse(exchange, await exchange.cache.read(digest, size), headers);
      return streamResponse(driver.readBlob(digest, { start: 0, end: size }), size, headers);
    case "ranges": {
      const [first, second] = wanted.ranges;
      if (first !== undefined && second === undefined) {
        return streamResponse(
          driver.readBlob(digest, first),
          first.end - first.start,
          { ...headers, "content-range": `bytes ${first.start}-${first.end - 1}/${size}` },
          206,
        );
      }
      const plan = planMultipart(wanted.ranges, size, exchange.boundary());
      const body = multipartBody(plan, (range) => driver.readBlob(digest, range));
      return streamResponse(body, plan.contentLength, { ...headers, "content-type": plan.contentType }, 206);
    }
  }
}

/** Who may push and asks with HEAD will not push what is there: from then on it must stay. */
async function hasForPusher(exchange: Exchange, repository: Repository, digest: Digest): Promise<boolean> {
  const isThere = await repository.hasBlob(digest);
  if (!isThere || exchange.request.method !== "HEAD" || !exchange.principal.may("push", repository.name))
    return isThere;
  await exchange.leases.take(digest);
  return repository.hasBlob(digest);
}

/** Range, unless If-Range asks for another version: then the whole blob is wanted. */
function rangeHeader(request: ServerRequest, digest: Digest): string | null {
  const condition = request.headers.get("if-range");
  return condition === null || condition.trim() === `"${digest}"` ? request.headers.get("range") : null;
}

function streamResponse(
  body: AsyncIterable<Uint8Array>,
  length: number,
  headers: Readonly<Record<string, string>>,
  status = 200,
): ServerResponse {
  return { status, headers: new Map(Object.entries({ ...headers, "content-length": String(length) })), body };
}
