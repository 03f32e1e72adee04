/**
 * createRegistry(): an OCI registry as one function from request to response. It owns no socket and no file: the driver
 * keeps the bytes, the server around it moves them. Every request ends as a response; an error of ours is a 500 that says
 * nothing and a line in the log.
 *
 * @see OCI distribution-spec 1.1
 */
import { memoized } from "../core/memoized.ts";
import type { Host, HttpHandler, ServerResponse } from "../host/host.ts";
import { answering, type LogEntry } from "./answering.ts";
import type { Action, Authenticate, Principal, Wanted } from "./auth.ts";
import { handleBlob } from "./blobs.ts";
import { createContentCache } from "./content-cache.ts";
import type { Driver } from "./driver.ts";
import { RegistryError } from "./errors.ts";
import { addWarning, emptyResponse, type Exchange } from "./exchange.ts";
import { handleCatalog, handleReferrers, handleTags } from "./listings.ts";
import { handleManifest } from "./manifests.ts";
import type { PullThrough } from "./pull-through/pull-through.ts";
import { openRepository } from "./repository.ts";
import { parseRoute, type Route } from "./route.ts";
import { createClaims } from "./upkeep/claims.ts";
import { createLeases } from "./upkeep/leases.ts";
import { createQuotas } from "./upkeep/quota.ts";
import { compileTagGlob } from "./upkeep/tag-glob.ts";
import type { QuotaRule } from "./config/rules.ts";
import { handleUpload, handleUploads } from "./uploads.ts";

export interface RegistryOptions {
  readonly host: Pick<Host, "clock" | "random">;
  readonly driver: Driver;
  /** How long a garbage collection keeps off content that a pusher was told of; a day by default. */
  readonly leaseMs?: number;
  readonly quotas?: readonly QuotaRule[];
  /** Globs. */
  readonly immutableTags?: readonly string[];
  readonly authenticate: Authenticate;
  /** Whether a repository takes manifests whose parts are not there; none does by default. */
  readonly takesSparse?: (repository: string) => boolean;
  /** Shown to users by clients; printable ASCII. */
  readonly notice?: string | undefined;
  /** Repositories that are copies of other registries'. */
  readonly pullThrough?: PullThrough | undefined;
  readonly log?: (entry: LogEntry) => void;
}

const LEASE_MS = 24 * 3600 * 1000;

export function createRegistry(options: RegistryOptions): HttpHandler {
  const { host, driver } = options;
  const cache = createContentCache(driver);
  const leases = createLeases(host, driver, { lifeMs: options.leaseMs ?? LEASE_MS });
  const claims = createClaims(host, driver);
  const quotas = createQuotas(host, driver, options.quotas ?? []);
  const immutable = (options.immutableTags ?? []).map(compileTagGlob);
  const isImmutable = (tag: string): boolean => immutable.some((glob) => glob.test(tag));
  const boundary = (): string => Buffer.from(host.random(18)).toString("hex");

  const takesSparse = options.takesSparse ?? (() => false);

  const routeOf = memoized(parseRoute);
  const repositoryOf = memoized((name) => openRepository(driver, name));
  const shared = { driver, repositoryOf, cache, leases, claims, quotas, isImmutable, boundary, takesSparse };
  return answering(options, async ({ request, peer, url, note }) => {
    const asked = routeOf(url.pathname);
    if (asked === undefined) throw new RegistryError(404, "UNSUPPORTED", "there is no such endpoint");
    const { route, namespace } = options.pullThrough?.resolve(asked, url) ?? { route: asked, namespace: undefined };
    note.route = route;
    const authentication = await options.authenticate(request, peer);
    if (authentication.kind === "challenge") {
      note.user = authentication.user;
      throw unauthorized(authentication.message, authentication.challenge);
    }
    const { principal } = authentication;
    note.user = principal.user;
    requireRight(principal, route, request.method);
    const response = await dispatch({ request, url, principal, ...shared }, route, options.pullThrough);
    if (options.notice !== undefined) addWarning(response, options.notice);
    if (namespace !== undefined) response.headers.set("oci-namespace", namespace);
    return response;
  });
}

function dispatch(
  exchange: Exchange,
  route: Route,
  pullThrough: PullThrough | undefined,
): Promise<ServerResponse> | ServerResponse {
  if (route.kind === "base") return handleBase(exchange);
  if (route.kind === "catalog") return handleCatalog(exchange);
  const repository = exchange.repositoryOf(route.repository);
  const copied = pullThrough?.handle(exchange, repository, route);
  if (copied !== undefined) return copied;
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

function handleBase({ request }: Exchange): ServerResponse {
  if (request.method === "GET" || request.method === "HEAD") return emptyResponse(200);
  throw new RegistryError(405, "UNSUPPORTED", "method is not supported", { headers: { allow: "GET, HEAD" } });
}

function requireRight(principal: Principal, route: Route, method: string): void {
  const wanted = wantedBy(route, method);
  const allowed =
    wanted.kind === "repository" ? principal.may(wanted.action, wanted.repository) : principal.mayEnter(wanted.kind);
  if (allowed) return;
  const challenge = principal.challenge(wanted);
  if (challenge !== undefined) throw unauthorized("authentication required", challenge);
  throw new RegistryError(403, "DENIED", "requested access to the resource is denied", {
    ...(wanted.kind === "repository" && { detail: { action: wanted.action, name: wanted.repository } }),
  });
}

function wantedBy(route: Route, method: string): Wanted {
  if (route.kind === "base" || route.kind === "catalog") return { kind: route.kind };
  return { kind: "repository", action: actionOf(route, method), repository: route.repository };
}

function actionOf(route: Route, method: string): Action {
  if (route.kind === "uploads" || route.kind === "upload") return "push";
  return method === "GET" || method === "HEAD" ? "pull" : method === "DELETE" ? "delete" : "push";
}

function unauthorized(message: string, challenge: string): RegistryError {
  return new RegistryError(401, "UNAUTHORIZED", message, { headers: { "www-authenticate": challenge } });
}
