/**
 * What a fuzzer does to the registry's handler: every sequence of requests is answered with a status of the specification and a body in
 * its shape; what was acknowledged is there with its bytes until it is deleted, and nothing else is; restarts change nothing.
 */
import assert from "node:assert/strict";
import { collectBytes } from "../../src/core/bytes.ts";
import { createFakeHost, type FakeHost } from "../../src/host/fake.ts";
import type { HttpHandler, ServerResponse } from "../../src/host/host.ts";
import { openToAll } from "../../src/registry/auth.ts";
import { filesDriver } from "../../src/registry/files-driver.ts";
import { createRegistry } from "../../src/registry/handler.ts";
import { createRandom } from "./mutate.ts";
import { digestOf, type FuzzRequest, fuzzRequest, REPOSITORIES } from "./registry-requests.ts";

/** Requests to one registry; then its whole state is read and a new one begins. */
export const REQUESTS_PER_CASE = 500;

const STATUSES = new Set([200, 201, 202, 204, 206, 304, 400, 404, 405, 413, 416]);
const CODES =
  /^(BLOB_UNKNOWN|BLOB_UPLOAD_INVALID|BLOB_UPLOAD_UNKNOWN|DIGEST_INVALID|MANIFEST_BLOB_UNKNOWN|MANIFEST_INVALID|MANIFEST_UNKNOWN|NAME_INVALID|NAME_UNKNOWN|SIZE_INVALID|UNSUPPORTED|TAG_INVALID|PAGINATION_NUMBER_INVALID|RANGE_INVALID)$/;

/** What the registry has acknowledged, by repository. */
interface Model {
  readonly blobs: Set<string>;
  readonly manifests: Map<string, Buffer>;
  readonly tags: Map<string, string>;
}

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** Runs the cases of `count` seeds from `firstSeed` on. Returns how often each status was seen. Throws naming the seed and the request. */
export async function fuzzRegistry(firstSeed: number, count: number): Promise<Map<number, number>> {
  const seen = new Map<number, number>();
  for (let seed = firstSeed; seed < firstSeed + count; seed += 1) await fuzzCase(seed, seen);
  return seen;
}

async function fuzzCase(seed: number, seen: Map<number, number>): Promise<void> {
  const random = createRandom(seed);
  const host = createFakeHost({ seed });
  const models = new Map<string, Model>();
  const sessions: string[] = [];
  const manifests: string[] = [];
  let handler = start(host);
  let what = "the start";
  try {
    for (let count = 0; count < REQUESTS_PER_CASE; count += 1) {
      if (random(200) === 0) handler = start(host);
      const request = fuzzRequest(random, { sessions, manifests });
      what = `request ${count}, ${request.method} ${request.target.slice(0, 300)}`;
      const reply = await send(handler, request);
      seen.set(reply.status, (seen.get(reply.status) ?? 0) + 1);
      checkShape(request, reply);
      const route = routeOf(request);
      if (route !== undefined) checkAgainst(models, route, request, reply);
      learn(models, request, reply);
      const location = reply.headers.get("location");
      if (location?.includes("/uploads/")) remember(sessions, location.slice("/v2/".length));
      const digest = reply.headers.get("docker-content-digest");
      if (request.method === "PUT" && request.target.includes("/manifests/") && digest !== null)
        remember(manifests, digest);
    }
    what = "the state at the end";
    await checkState(start(host), models);
  } catch (cause) {
    throw new Error(
      `fuzz registry --seed ${seed}: ${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

function start(host: FakeHost): HttpHandler {
  return createRegistry({
    host,
    driver: filesDriver(host, "/srv/registry"),
    authenticate: openToAll,
    log: ({ error }) => {
      if (error !== undefined) throw error;
    },
  });
}

async function send(handler: HttpHandler, request: FuzzRequest): Promise<Reply> {
  const body = request.body === undefined ? null : streaming(request.body, request.cut);
  const response: ServerResponse = await handler(
    {
      method: request.method,
      url: `http://registry.test${new URL(request.target, "http://x").href.slice("http://x".length)}`,
      headers: new Headers(request.headers),
      body,
      signal: new AbortController().signal,
    },
    { address: "127.0.0.1" },
  );
  const { status } = response;
  const headers = new Headers([...response.headers]);
  if (response.body === null) return { status, headers, body: Buffer.alloc(0) };
  const bytes = response.body instanceof Uint8Array ? Buffer.from(response.body) : await collectBytes(response.body);
  return { status, headers, body: bytes };
}

async function* streaming(pieces: readonly Uint8Array[], cut: boolean): AsyncGenerator<Uint8Array, void, undefined> {
  yield* pieces;
  if (cut) throw new Error("the client went away");
}

function checkShape(request: FuzzRequest, { status, headers, body }: Reply): void {
  assert.ok(STATUSES.has(status), `status ${status}: ${body.toString().slice(0, 200)}`);
  const length = headers.get("content-length");
  if (request.method === "HEAD" || status === 304 || status === 204) assert.equal(body.length, 0, "a body");
  else assert.equal(length, String(body.length), "Content-Length");
  if (status < 400 || request.method === "HEAD") return;
  assert.equal(headers.get("content-type"), "application/json");
  const document: unknown = JSON.parse(body.toString());
  assert.ok(
    typeof document === "object" && document !== null && "errors" in document && Array.isArray(document.errors),
  );
  assert.ok(document.errors.length > 0);
  for (const { code, message } of document.errors as { code: string; message: string }[]) {
    assert.match(code, CODES);
    assert.equal(typeof message, "string");
  }
}

interface KnownRoute {
  readonly repository: string;
  readonly kind: string;
  readonly rest: string;
}

/** Requests whose outcome the model knows: an ordinary name of a repository, and a path that is what it looks like. */
function routeOf(request: FuzzRequest): KnownRoute | undefined {
  const { pathname } = new URL(request.target, "http://x");
  if (pathname.includes("%")) return undefined;
  const match = /^\/v2\/(.+)\/(blobs|manifests|tags)\/([^/]+)$/.exec(pathname);
  const [, repository = "", kind = "", rest = ""] = match ?? [];
  return REPOSITORIES.includes(repository) ? { repository, kind, rest } : undefined;
}

function modelOf(models: Map<string, Model>, repository: string): Model {
  const known = models.get(repository) ?? { blobs: new Set(), manifests: new Map(), tags: new Map() };
  models.set(repository, known);
  return known;
}

/** A read gives what the model has; called before the model learns of this request. */
function checkAgainst(models: Map<string, Model>, route: KnownRoute, request: FuzzRequest, reply: Reply): void {
  if (request.method !== "GET" && request.method !== "HEAD") return;
  const model = modelOf(models, route.repository);
  const { status } = reply;
  if (route.kind === "blobs" && /^sha(256|512):[0-9a-f]+$/.test(route.rest)) {
    const wanted = model.blobs.has(route.rest) ? [200, 206, 304, 416] : [404, 400];
    assert.ok(wanted.includes(status), `status ${status}, wanted ${wanted.join(" or ")}`);
    if (status === 200 && request.method === "GET")
      assert.equal(digestOf(reply.body, route.rest.slice(0, 6)), route.rest);
  }
  if (route.kind === "manifests") {
    const digest = route.rest.includes(":") ? route.rest : model.tags.get(route.rest);
    const bytes = digest === undefined ? undefined : model.manifests.get(digest);
    const wanted = bytes === undefined ? [404, 400] : [200, 304];
    assert.ok(wanted.includes(status), `status ${status}, wanted ${wanted.join(" or ")}`);
    if (bytes !== undefined) assert.equal(reply.headers.get("docker-content-digest"), digest);
    if (status === 200 && request.method === "GET")
      assert.ok(bytes?.equals(reply.body), "other bytes than were pushed");
  }
}

function learn(models: Map<string, Model>, request: FuzzRequest, reply: Reply): void {
  const url = new URL(request.target, "http://x");
  const created = /^\/v2\/(.+)\/(blobs|manifests)\/([^/]+)$/.exec(reply.headers.get("location") ?? "");
  if (reply.status === 201) {
    const [, repository = "", kind, digest = ""] = created ?? assert.fail("201 without a Location");
    const model = modelOf(models, repository);
    if (kind === "blobs") model.blobs.add(digest);
    else {
      model.manifests.set(digest, Buffer.concat(request.body ?? []));
      const reference = decodeURIComponent(url.pathname).split("/").at(-1) ?? "";
      const tags = [...(reference.includes(":") ? [] : [reference]), ...url.searchParams.getAll("tag")];
      for (const tag of tags) model.tags.set(tag, digest);
    }
  }
  if (request.method !== "DELETE" || reply.status !== 202) return;
  const [, repository = "", kind, rest = ""] =
    /^\/v2\/(.+)\/(blobs|manifests)\/([^/]+)$/.exec(decodeURIComponent(url.pathname)) ?? assert.fail("202 for no path");
  const model = modelOf(models, repository);
  if (kind === "blobs") assert.ok(model.blobs.delete(rest), "deleted what was never pushed");
  else if (!rest.includes(":")) assert.ok(model.tags.delete(rest), "deleted a tag that was never set");
  else {
    assert.ok(model.manifests.delete(rest), "deleted what was never pushed");
    for (const [tag, digest] of model.tags) if (digest === rest) model.tags.delete(tag);
  }
}

async function checkState(handler: HttpHandler, models: Map<string, Model>): Promise<void> {
  const get = async (target: string): Promise<Reply> =>
    send(handler, { method: "GET", target, headers: {}, body: undefined, cut: false });
  for (const [repository, { blobs, manifests, tags }] of models) {
    for (const digest of blobs) {
      const { status, body } = await get(`/v2/${repository}/blobs/${digest}`);
      assert.equal(status, 200, `${repository} ${digest}`);
      assert.equal(digestOf(body, digest.slice(0, 6)), digest);
    }
    for (const [digest, bytes] of manifests) {
      const { status, body } = await get(`/v2/${repository}/manifests/${digest}`);
      assert.equal(status, 200, `${repository} ${digest}`);
      assert.ok(body.equals(bytes), `${repository} ${digest}`);
    }
    const { status, body } = await get(`/v2/${repository}/tags/list`);
    if (status === 200) assert.deepEqual(JSON.parse(body.toString()).tags, [...tags.keys()].sort());
    else assert.equal(tags.size, 0, `no tags of ${repository}`);
  }
}

/** Keeps the last few. */
function remember(list: string[], value: string): void {
  if (!list.includes(value)) list.push(value);
  if (list.length > 30) list.shift();
}
