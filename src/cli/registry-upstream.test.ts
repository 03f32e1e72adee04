/** The cache's client against a registry in this process: what it asks, and what each refusal becomes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import { type FailureCode, isFailure } from "../core/failure.ts";
import type { HttpResponse } from "../host/host.ts";
import { openTestRegistry } from "../registry/testing.ts";
import { createTestClient, cutAfter, REGISTRY, type TestClient } from "../remote/testing.ts";
import { connectUpstream } from "./registry-upstream.ts";

const LOCATION = { host: REGISTRY, path: "" };

function open(client: TestClient, path = ""): ReturnType<typeof connectUpstream> {
  return connectUpstream(client.context, { location: { ...LOCATION, path }, insecure: true, authFile: undefined });
}

test("it reads tags, manifests, blobs and referrers, below its path, over one session", async () => {
  using registry = openTestRegistry();
  const { digest, bytes } = await registry.pushImage("org/team/os", "v1");
  const blob = await registry.pushBlob("org/team/os", "content");
  for (const tag of ["v2", "v3"]) await registry.pushImage("org/team/os", tag);
  const client = createTestClient({ [REGISTRY]: registry.handler });
  const upstream = open(client, "org");
  assert.equal(upstream.name, `${REGISTRY}/org`);
  assert.equal(await upstream.tagDigest("team/os", "v1", undefined), digest);
  assert.equal(await upstream.tagDigest("team/os", "v1", digest), digest);
  assert.equal(await upstream.tagDigest("team/os", "absent", undefined), undefined);
  assert.deepEqual((await upstream.manifest("team/os", digest))?.bytes, bytes);
  assert.equal(await upstream.manifest("team/os", digestOf("absent")), undefined);
  assert.equal(await upstream.blobSize("team/os", blob), 7);
  assert.equal(await upstream.blobSize("team/os", digestOf("absent")), undefined);
  assert.equal(String(await collectBytes(upstream.blob("team/os", blob, 7))), "content");
  assert.deepEqual(await upstream.tags("team/os"), ["v1", "v2", "v3"]);
  assert.equal(await upstream.tags("team/absent"), undefined);
  assert.deepEqual(await upstream.referrers("team/os", digest), []);
  const pings = client.requests.filter((request) => request === "GET /v2/");
  assert.equal(pings.length, 2, "one for each repository");
});

test("a list of tags in pages is read to its end; a blob that breaks off goes on where it was", async () => {
  using registry = openTestRegistry();
  for (const tag of ["v1", "v2", "v3"]) await registry.pushImage("team/os", tag);
  const blob = await registry.pushBlob("team/os", "0123456789");
  const client = createTestClient({ [REGISTRY]: registry.handler });
  const ranges: (string | undefined)[] = [];
  client.fault = async (request, next) => {
    const url = new URL(request.url);
    if (url.pathname.endsWith("/tags/list")) {
      url.searchParams.set("n", "2");
      const page = await next({ ...request, url: url.href });
      const link = page.headers["link"]?.replace("; rel=", '; title="more"; rel=');
      return link === undefined ? page : { ...page, headers: { ...page.headers, link } };
    }
    if (request.method !== "GET" || !url.pathname.includes("/blobs/")) return next(request);
    ranges.push(request.headers?.["range"]);
    const response = await next(request);
    return ranges.length === 1 ? cutAfter(response, 4) : response;
  };
  const upstream = open(client);
  assert.deepEqual(await upstream.tags("team/os"), ["v1", "v2", "v3"]);
  assert.equal(String(await collectBytes(upstream.blob("team/os", blob, 10))), "0123456789");
  assert.deepEqual(ranges, [undefined, "bytes=4-"]);
});

const refusals: readonly (readonly [status: number, FailureCode])[] = [
  [401, "unauthorized"],
  [403, "denied"],
  [429, "network"],
  [500, "network"],
  [503, "network"],
];

for (const [status, code] of refusals) {
  test(`an upstream that answers ${status} is a Failure "${code}", at once`, async () => {
    using registry = openTestRegistry();
    const client = createTestClient({ [REGISTRY]: registry.handler });
    client.fault = async (request, next) => {
      const response: HttpResponse = await next(request);
      return new URL(request.url).pathname === "/v2/" ? response : { ...response, status };
    };
    const upstream = open(client);
    const digest = digestOf("x");
    for (const ask of [
      () => upstream.tagDigest("team/os", "v1", undefined),
      () => upstream.manifest("team/os", digest),
      () => upstream.blobSize("team/os", digest),
      () => upstream.tags("team/os"),
    ]) {
      await assert.rejects(ask(), (error) => isFailure(error, code));
    }
    assert.deepEqual(client.slept, [], "somebody waits: it is not tried again");
  });
}

test("an upstream that is down is asked anew when it is back", async () => {
  using registry = openTestRegistry();
  const { digest } = await registry.pushImage("team/os", "v1");
  const handlers = { [REGISTRY]: registry.handler };
  const client = createTestClient(handlers);
  const upstream = open(client);
  client.fault = async (request, next) => next({ ...request, url: "http://gone.test/" });
  await assert.rejects(upstream.tagDigest("team/os", "v1", undefined), (error) => isFailure(error, "network"));
  client.fault = undefined;
  assert.equal(await upstream.tagDigest("team/os", "v1", undefined), digest);
});

test("a list of tags that never ends is refused, what is no tag left out, and one that is long is read", async () => {
  const long = Array.from({ length: 200_000 }, (_, i) => `t${i}`);
  const client = createTestClient({
    [REGISTRY]: async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/v2/endless/")) {
        return Response.json({ tags: ["v1"] }, { headers: { link: `<${pathname}?last=v1>; rel="next"` } });
      }
      return Response.json(
        pathname.startsWith("/v2/odd/") ? { tags: ["v1", "", "../x", "a b", "\0"] } : { tags: long },
      );
    },
  });
  const upstream = open(client);
  await assert.rejects(upstream.tags("endless"), (error) => isFailure(error, "bad-input"));
  assert.deepEqual(await upstream.tags("odd"), ["v1"]);
  assert.deepEqual(await upstream.tags("long"), long);
});

test("an answer that is malformed is the upstream's fault", async () => {
  const answers = [new Response('{"tags":[1]}'), new Response(null, { status: 200 })];
  const client = createTestClient({
    [REGISTRY]: async (request) => {
      if (new URL(request.url).pathname === "/v2/") return new Response("{}");
      return answers.shift() ?? new Response("{}");
    },
  });
  const upstream = open(client);
  await assert.rejects(upstream.tags("team/os"), (error) => isFailure(error, "bad-input"));
  await assert.rejects(upstream.blobSize("team/os", digestOf("x")), (error) => isFailure(error, "bad-input"));
});
