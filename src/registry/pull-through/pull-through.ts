/**
 * createPullThrough(): repositories below a prefix that are those of another registry. What is asked for is fetched once, hashed,
 * kept, and served from here; a tag is compared with the upstream's at most once per interval, and what is kept goes on being
 * served, with a Warning, while the upstream is down. Below the prefix clients only read.
 *
 * @see OCI distribution-spec, "Registry Proxying", "Warnings"
 */
import { mapConcurrent } from "../../core/concurrency.ts";
import { type Digest, digestAlgorithm, digestOf } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { verified } from "../../core/verified.ts";
import type { Clock, ServerResponse } from "../../host/host.ts";
import type { Descriptor } from "../../oci/manifest.ts";
import { blobUnknown, handleBlob } from "../blobs.ts";
import type { Driver } from "../driver.ts";
import { RegistryError } from "../errors.ts";
import { addWarning, type Exchange, headResponse } from "../exchange.ts";
import { handleReferrers, handleTags } from "../listings.ts";
import { readManifestFacts } from "../manifest-facts.ts";
import { handleManifest, manifestUnknown, referrerDescriptor } from "../manifests.ts";
import { listRepositories, openRepository, type Repository } from "../repository.ts";
import type { Reference, Route } from "../route.ts";
import { type Flight, startFlight } from "./flight.ts";
import { createGate, type Gate } from "./gate.ts";
import { createRevalidator, isUpstreamFailure, REST_MS, type Revalidator, withDeadline } from "./revalidator.ts";
import type { Room } from "./room.ts";
import type { Upstream, UpstreamManifest } from "./upstream.ts";

const LOOKUPS_AT_ONCE = 16;

export interface PullThroughRule {
  /** Names below `<prefix>/` are the upstream's. */
  readonly prefix: string;
  /** What `?ns=` calls it, by namespaceOf(); undefined when it has no such name. */
  readonly namespace: string | undefined;
  readonly upstream: Upstream;
  readonly intervalMs: number;
  /** Blobs on their way at once; more wait their turn. */
  readonly fetchesMax: number;
  /** undefined: the copies may take what there is. */
  readonly room: Room | undefined;
}

export interface PullThrough {
  /** The route that a request means which names its registry by `?ns=`, and that name when it counted. */
  resolve(route: Route, url: URL): { readonly route: Route; readonly namespace: string | undefined };
  /** undefined for a repository that is this registry's own. */
  handle(exchange: Exchange, repository: Repository, route: RepositoryRoute): Promise<ServerResponse> | undefined;
}

export type RepositoryRoute = Extract<Route, { readonly repository: string }>;

export interface PullThroughOptions {
  readonly clock: Clock;
  readonly rules: readonly PullThroughRule[];
  /** Called with what an upstream did wrong: clients are only told that it did. */
  readonly warn: (text: string) => void;
  /** Called for each blob that comes from an upstream. */
  readonly fetched?: (what: "kept" | "passed on") => void;
}

/** A rule and what is remembered of its upstream. */
interface Cache {
  readonly rule: PullThroughRule;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
  readonly fetched: (what: "kept" | "passed on") => void;
  /** By tag, and by digest for those that are being fetched. */
  readonly manifestChecks: Revalidator<"kept">;
  readonly tagLists: Revalidator<readonly string[]>;
  readonly referrers: Revalidator<readonly Descriptor[]>;
  readonly flights: Map<string, Promise<Departure>>;
  readonly gate: Gate;
}

/** How a blob comes: by a flight, not at all because it is here, or to this client alone because there is no room to keep it. */
type Departure =
  | { readonly kind: "flight"; readonly flight: Flight }
  | { readonly kind: "here" }
  | { readonly kind: "full"; readonly size: number };

/** One request to a repository below the prefix. */
interface Visit {
  readonly cache: Cache;
  readonly exchange: Exchange;
  readonly repository: Repository;
  /** The repository's name at the upstream. */
  readonly path: string;
}

export function createPullThrough({ clock, rules, warn, fetched = () => {} }: PullThroughOptions): PullThrough {
  const caches = rules.map((rule): Cache => {
    const options = { clock, intervalMs: rule.intervalMs };
    return {
      rule,
      clock,
      warn,
      fetched,
      manifestChecks: createRevalidator(options),
      tagLists: createRevalidator(options),
      referrers: createRevalidator(options),
      flights: new Map(),
      gate: createGate(rule.fetchesMax),
    };
  });
  return {
    resolve(route, url) {
      const asked = "repository" in route ? url.searchParams.get("ns") : null;
      const rule = asked === null ? undefined : rules.find(({ namespace }) => namespace === namespaceOf(asked));
      if (asked === null || rule === undefined || !("repository" in route)) return { route, namespace: undefined };
      return { route: { ...route, repository: `${rule.prefix}/${route.repository}` }, namespace: asked };
    },
    handle(exchange, repository, route) {
      const cache = caches.find(({ rule }) => repository.name.startsWith(`${rule.prefix}/`));
      if (cache === undefined) return undefined;
      const path = repository.name.slice(cache.rule.prefix.length + 1);
      return answer({ cache, exchange, repository, path }, route);
    },
  };
}

/** One name for each registry: Docker Hub has three. */
export function namespaceOf(host: string): string {
  return host === "index.docker.io" || host === "registry-1.docker.io" ? "docker.io" : host;
}

async function answer(visit: Visit, route: RepositoryRoute): Promise<ServerResponse> {
  const { cache, exchange } = visit;
  const { method } = exchange.request;
  if ((method !== "GET" && method !== "HEAD") || route.kind === "uploads" || route.kind === "upload") {
    throw new RegistryError(
      405,
      "UNSUPPORTED",
      `repositories below ${cache.rule.prefix}/ are copies, to be read only`,
      {
        headers: { allow: "GET, HEAD" },
      },
    );
  }
  try {
    switch (route.kind) {
      case "blob":
        return await readBlob(visit, route.digest);
      case "manifest":
        return await readManifest(visit, route.reference);
      case "tags":
        return await readTags(visit);
      case "referrers":
        return await readReferrers(visit, route.digest);
    }
  } catch (error) {
    if (!isUpstreamFailure(error)) throw error;
    note(cache, error);
    throw refusal(cache, error);
  }
}

async function readManifest(visit: Visit, reference: Reference): Promise<ServerResponse> {
  const { cache, exchange, repository, path } = visit;
  const known = await repository.findManifest(reference);
  const serve = async (): Promise<ServerResponse> => {
    await cache.rule.room?.used(repository, reference, exchange.leases);
    return handleManifest(exchange, repository, reference);
  };
  const key = reference.kind === "tag" ? `${path}:${reference.tag}` : `${path}@${reference.digest}`;
  if (known === undefined) cache.manifestChecks.forget(key);
  if (reference.kind === "digest") {
    const fetch = async (): Promise<"kept"> => {
      await fetchManifest(visit, reference.digest);
      return "kept";
    };
    if (known === undefined) await cache.manifestChecks.check(key, fetch, async () => undefined);
    return serve();
  }
  const { tag } = reference;
  const { failure } = await cache.manifestChecks.check(
    key,
    async () => {
      const digest = await cache.rule.upstream.tagDigest(path, tag, known?.digest);
      if (digest === undefined) {
        await repository.deleteTag(tag);
        throw manifestUnknown(reference);
      }
      if (digest !== known?.digest) {
        await exchange.leases.take(digest);
        if ((await repository.findManifest({ kind: "digest", digest })) === undefined)
          await fetchManifest(visit, digest);
        await repository.setTag(tag, digest);
      }
      return "kept";
    },
    async () => (known === undefined ? undefined : "kept"),
  );
  return withWarning(cache, await serve(), failure);
}

/** Keeps the upstream's manifest. Throws RegistryError 404 when it has none. */
async function fetchManifest({ cache, exchange, repository, path }: Visit, digest: Digest): Promise<void> {
  const fetched = await withDeadline(cache.clock, cache.rule.upstream.manifest(path, digest));
  if (fetched === undefined) throw manifestUnknown({ kind: "digest", digest });
  const { bytes } = fetched;
  if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
    throw new Failure("digest-mismatch", `Cannot keep manifest ${digest}: the upstream's bytes are others`);
  }
  const facts = factsOf(fetched, digest);
  const { mediaType, subject } = facts;
  const record = { digest, mediaType, size: bytes.length, subject: subject?.digest };
  await exchange.leases.take(digest);
  await exchange.driver.putBlob(digest, bytes);
  await repository.addManifest(record, subject && referrerDescriptor(facts, digest, bytes.length));
}

function factsOf({ bytes, mediaType }: UpstreamManifest, digest: Digest): ReturnType<typeof readManifestFacts> {
  try {
    return readManifestFacts(bytes, mediaType);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new Failure("bad-input", `Cannot keep manifest ${digest}: it is malformed`, { cause });
  }
}

async function readBlob(visit: Visit, digest: Digest): Promise<ServerResponse> {
  const { exchange, repository, cache, path } = visit;
  const { upstream, room } = cache.rule;
  const serve = (): Promise<ServerResponse> => handleBlob(exchange, repository, digest);
  if (await repository.hasBlob(digest)) {
    if (room === undefined) return serve();
    await exchange.leases.take(digest);
    if (await repository.hasBlob(digest)) return serve();
  }
  if (exchange.request.method === "HEAD") {
    const size = await withDeadline(cache.clock, upstream.blobSize(path, digest));
    if (size === undefined) throw blobUnknown(digest);
    return headResponse(200, { ...blobHeaders(digest), "content-length": String(size) });
  }
  const key = `${path}@${digest}`;
  let starting = cache.flights.get(key);
  if (starting === undefined) {
    starting = depart(visit, digest);
    cache.flights.set(key, starting);
    const end = (): void => void cache.flights.delete(key);
    starting
      .then((departure) => (departure.kind === "flight" ? departure.flight.landed : undefined))
      .then(end, (error: unknown) => {
        end();
        note(cache, error);
      });
  }
  const departure = await starting;
  if (departure.kind === "here") return serve();
  if (departure.kind === "full") return passOn(visit, digest, departure.size);
  const { flight } = departure;
  if (exchange.request.headers.get("range") !== null) {
    await flight.landed;
    return serve();
  }
  const headers = new Map(Object.entries({ ...blobHeaders(digest), "content-length": String(flight.size) }));
  return { status: 200, headers, body: flight.follow() };
}

/** The whole blob, also to who wants a part: no byte of a range could be checked. The last bytes wait until the digest is right. */
function passOn({ cache, path }: Visit, digest: Digest, size: number): ServerResponse {
  const { gate, rule } = cache;
  const body = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    const leave = await gate.enter();
    try {
      cache.fetched("passed on");
      let last: Uint8Array | undefined;
      for await (const chunk of verified(rule.upstream.blob(path, digest, size), { digest, size })) {
        if (last !== undefined) yield last;
        last = chunk;
      }
      if (last !== undefined) yield last;
    } catch (error) {
      note(cache, error);
      throw error;
    } finally {
      leave();
    }
  };
  const headers = new Map(Object.entries({ ...blobHeaders(digest), "content-length": String(size) }));
  return { status: 200, headers, body: body() };
}

/**
 * "here" also when another copy of the same upstream's holds the blob: then its bytes came from there, and it has just said that
 * this repository has them too. Bytes that came another way are fetched all the same: to know a digest is no right to read it.
 */
async function depart({ cache, exchange, repository, path }: Visit, digest: Digest): Promise<Departure> {
  const { upstream, prefix, room } = cache.rule;
  const { driver, leases } = exchange;
  const size = await withDeadline(cache.clock, upstream.blobSize(path, digest));
  if (size === undefined) throw blobUnknown(digest);
  await exchange.leases.take(digest);
  if ((await driver.blobSize(digest)) === undefined || !(await isCopied(driver, prefix, digest))) {
    if (room !== undefined && !(await room.take(repository, size))) return { kind: "full", size };
    const leave = await cache.gate.enter();
    cache.fetched("kept");
    const flight = startFlight({ driver, leases, repository, digest, size, source: upstream.blob(path, digest, size) });
    flight.landed.then(leave, leave);
    return { kind: "flight", flight };
  }
  await repository.linkBlob(digest);
  return { kind: "here" };
}

/** Whether some repository below the prefix holds the blob. */
async function isCopied(driver: Driver, prefix: string, digest: Digest): Promise<boolean> {
  const copies = (await listRepositories(driver)).filter((name) => name.startsWith(`${prefix}/`));
  const holds = (name: string): Promise<boolean> => openRepository(driver, name).hasBlob(digest);
  return (await mapConcurrent(copies, { limit: LOOKUPS_AT_ONCE }, holds)).includes(true);
}

async function readTags({ cache, exchange, repository, path }: Visit): Promise<ServerResponse> {
  const { value, failure } = await cache.tagLists.check(
    path,
    async () => {
      const tags = await cache.rule.upstream.tags(path);
      if (tags === undefined) throw nameUnknown(repository.name);
      return [...new Set(tags)].sort();
    },
    () => repository.tags(),
  );
  const listed: Repository = { ...repository, tags: async () => [...value] };
  return withWarning(cache, await handleTags(exchange, listed), failure);
}

async function readReferrers({ cache, exchange, repository, path }: Visit, subject: Digest): Promise<ServerResponse> {
  const { value, failure } = await cache.referrers.check(
    `${path}@${subject}`,
    () => cache.rule.upstream.referrers(path, subject),
    () => repository.referrers(subject),
  );
  const listed: Repository = { ...repository, referrers: async () => [...value] };
  return withWarning(cache, await handleReferrers(exchange, listed, subject), failure);
}

function blobHeaders(digest: Digest): Record<string, string> {
  return {
    "docker-content-digest": digest,
    etag: `"${digest}"`,
    "cache-control": "max-age=31536000, immutable",
    "content-type": "application/octet-stream",
  };
}

function withWarning(cache: Cache, response: ServerResponse, failure: Failure | undefined): ServerResponse {
  if (failure === undefined) return response;
  note(cache, failure);
  addWarning(response, `${cache.rule.upstream.name} cannot be asked; this is what was there before`);
  return response;
}

function refusal(cache: Cache, failure: Failure): RegistryError {
  const { name } = cache.rule.upstream;
  if (failure.code === "unauthorized" || failure.code === "denied") {
    return new RegistryError(403, "DENIED", `${name} does not let this registry read it`);
  }
  if (failure.code === "network") {
    const headers = { "retry-after": String(REST_MS / 1000) };
    return new RegistryError(503, "UNKNOWN", `${name} cannot be asked`, { headers });
  }
  return new RegistryError(502, "UNKNOWN", `${name} sent something else than was asked for`);
}

function note(cache: Cache, error: unknown): void {
  if (error instanceof Failure) cache.warn(`upstream ${cache.rule.upstream.name}: ${error.message}`);
}

function nameUnknown(name: string): RegistryError {
  return new RegistryError(404, "NAME_UNKNOWN", "repository name not known to registry", { detail: { name } });
}
