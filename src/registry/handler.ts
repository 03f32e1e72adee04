/**
 * createRegistry(): an OCI registry as one function from request to response. It owns no socket and no file: the driver
 * keeps the bytes, the server around it moves them. Every request ends as a response; an error of ours is a 500 that says
 * nothing and a line in the log.
 *
 * @see OCI distribution-spec 1.1
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { Host, HttpHandler, ServerResponse } from "../host/host.ts";
import type { Action, Authenticate, Principal } from "./auth.ts";
import { handleBlob } from "./blobs.ts";
import { createContentCache } from "./content-cache.ts";
import type { Driver } from "./driver.ts";
import { errorResponse, RegistryError } from "./errors.ts";
import { emptyResponse, type Exchange } from "./exchange.ts";
import { handleCatalog, handleReferrers, handleTags } from "./listings.ts";
import { handleManifest } from "./manifests.ts";
import { openRepository } from "./repository.ts";
import { parseRoute, type Route } from "./route.ts";
import { handleUpload, handleUploads } from "./uploads.ts";

export interface RegistryOptions {
  readonly host: Pick<Host, "clock" | "random">;
  readonly driver: Driver;
  readonly authenticate: Authenticate;
  readonly log?: (entry: LogEntry) => void;
}

/** One request, as the log shows it. */
export interface LogEntry {
  readonly address: string;
  readonly user: string | undefined;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly status: number;
  /** From the request to the head of the response. */
  readonly tookMs: number;
  /** An error of ours, with its stack. */
  readonly error?: unknown;
}

export function createRegistry(options: RegistryOptions): HttpHandler {
  const { host, driver } = options;
  const cache = createContentCache(driver);
  const boundary = (): string => Buffer.from(host.random(18)).toString("hex");

  return async (request, peer) => {
    const started = host.clock.elapsed();
    const url = new URL(request.url);
    let user: string | undefined;
    let error: unknown;
    let response: ServerResponse;
    try {
      const route = parseRoute(url.pathname);
      if (route === undefined) throw new RegistryError(404, "UNSUPPORTED", "there is no such endpoint");
      const authentication = await options.authenticate(request, peer);
      if (authentication.kind === "challenge") throw unauthorized(authentication.message, authentication.challenge);
      const { principal } = authentication;
      user = principal.user;
      requireRight(principal, route, request.method);
      response = await dispatch({ request, url, principal, driver, cache, boundary }, route);
    } catch (thrown) {
      const known = asRegistryError(thrown);
      if (known.status >= 500) error = thrown;
      response = errorResponse(known, request.method === "HEAD");
    }
    response.headers.set("docker-distribution-api-version", "registry/2.0");
    options.log?.({
      address: peer.address,
      user,
      method: request.method,
      target: url.pathname + url.search,
      status: response.status,
      tookMs: host.clock.elapsed() - started,
      ...(error !== undefined && { error }),
    });
    return response;
  };
}

function dispatch(exchange: Exchange, route: Route): Promise<ServerResponse> | ServerResponse {
  if (route.kind === "base") return emptyResponse(200);
  if (route.kind === "catalog") return handleCatalog(exchange);
  const repository = openRepository(exchange.driver, route.repository);
  switch (route.kind) {
    case "blob":
      return handleBlob(exchange, repository, route.digest);
    case "manifest":
      return handleManifest(exchange, repository, route.reference);
    case "tags":
      return handleTags(exchange, repository);
    case "referrers":
      return handleReferrers(exchange, repository, route.digest);
    case "uploads":
      return handleUploads(exchange, repository);
    case "upload":
      return handleUpload(exchange, repository, route.id);
  }
}

function requireRight(principal: Principal, route: Route, method: string): void {
  if (route.kind === "base" || route.kind === "catalog") return;
  const action = actionOf(route, method);
  if (principal.may(action, route.repository)) return;
  throw new RegistryError(403, "DENIED", "requested access to the resource is denied", {
    detail: { action, name: route.repository },
  });
}

function actionOf(route: Route, method: string): Action {
  if (route.kind === "uploads" || route.kind === "upload") return "push";
  return method === "GET" || method === "HEAD" ? "pull" : method === "DELETE" ? "delete" : "push";
}

function unauthorized(message: string, challenge: string): RegistryError {
  return new RegistryError(401, "UNAUTHORIZED", message, { headers: { "www-authenticate": challenge } });
}

function asRegistryError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  if (isFailure(error, "busy"))
    return new RegistryError(409, "BLOB_UPLOAD_INVALID", "another request goes on with this upload");
  if (isFailure(error, "not-found")) return new RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "content is gone");
  if (isFailure(error, "no-space")) return new RegistryError(507, "UNKNOWN", "the registry has no space left");
  return new RegistryError(
    500,
    "UNKNOWN",
    error instanceof Failure ? "the registry cannot read its storage" : "internal error",
  );
}
