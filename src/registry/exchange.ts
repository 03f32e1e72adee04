/** Exchange: one request on its way through the handler, and the small answers that every endpoint makes. */
import type { Digest } from "../core/digest.ts";
import type { ServerRequest, ServerResponse } from "../host/host.ts";
import type { Principal } from "./auth.ts";
import type { ContentCache } from "./content-cache.ts";
import type { Driver } from "./driver.ts";
import type { Claims } from "./upkeep/claims.ts";
import type { Leases } from "./upkeep/leases.ts";
import type { Quotas } from "./upkeep/quota.ts";
import { RegistryError, type RegistryErrorCode } from "./errors.ts";
import type { Repository } from "./repository.ts";

export interface Exchange {
  readonly request: ServerRequest;
  readonly url: URL;
  readonly principal: Principal;
  readonly driver: Driver;
  readonly repositoryOf: (name: string) => Repository;
  readonly cache: ContentCache;
  readonly leases: Leases;
  readonly claims: Claims;
  readonly quotas: Quotas;
  readonly isImmutable: (tag: string) => boolean;
  /** Text for a multipart boundary, random. */
  readonly boundary: () => string;
  readonly takesSparse: (repository: string) => boolean;
}

/** `bytes` with its length; without the bytes for HEAD. */
export function contentResponse(
  exchange: Exchange,
  bytes: Uint8Array,
  headers: Readonly<Record<string, string>>,
  status = 200,
): ServerResponse {
  return {
    status,
    headers: new Map([["content-length", String(bytes.length)], ...Object.entries(headers)]),
    body: exchange.request.method === "HEAD" ? null : bytes,
  };
}

export function jsonResponse(
  exchange: Exchange,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): ServerResponse {
  return contentResponse(exchange, Buffer.from(JSON.stringify(value)), {
    "content-type": "application/json",
    ...headers,
  });
}

/** Status without a body. 204 has no Content-Length. */
export function emptyResponse(status: number, headers: Readonly<Record<string, string>> = {}): ServerResponse {
  return headResponse(status, { ...(status !== 204 && { "content-length": "0" }), ...headers });
}

/** Only these headers, without a body: for HEAD and 304. */
export function headResponse(status: number, headers: Readonly<Record<string, string>>): ServerResponse {
  return { status, headers: new Map(Object.entries(headers)), body: null };
}

/** Adds to the warnings that the answer has. `text`: printable ASCII, which clients show to users. */
export function addWarning({ headers }: ServerResponse, text: string): void {
  const warning = `299 - "${text.replace(/["\\]/g, String.raw`\$&`)}"`;
  const others = headers.get("warning");
  headers.set("warning", typeof others === "string" ? `${others}, ${warning}` : warning);
}

/** True when If-None-Match names this digest's ETag. */
export function isUnchanged(request: ServerRequest, digest: Digest): boolean {
  const header = request.headers.get("if-none-match");
  if (header === null) return false;
  return header.split(",").some((tag) => ["*", `"${digest}"`].includes(tag.trim().replace(/^W\//, "")));
}

/** The body as it arrives; a client that goes away is its error, 400 with `code`. Stops once more than `limit` bytes came. */
export async function* requestBody(
  request: ServerRequest,
  code: RegistryErrorCode,
  limit?: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (request.body === null) return;
  const chunks = request.body[Symbol.asyncIterator]();
  let seen = 0;
  try {
    for (;;) {
      const next = await chunks.next().catch((cause: unknown) => {
        const message = `the body ended early (${cause instanceof Error ? cause.message : String(cause)})`;
        throw new RegistryError(400, code, message);
      });
      if (next.done === true) return;
      seen += next.value.length;
      yield next.value;
      if (limit !== undefined && seen > limit) return;
    }
  } finally {
    await chunks.return?.().catch(() => undefined);
  }
}
