import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../../core/digest.ts";
import { Failure, type FailureCode } from "../../core/failure.ts";
import { silent } from "../../core/progress.ts";
import type { Descriptor } from "../../oci/manifest.ts";
import { CONFIG, LAYER_GZIP, MANIFEST } from "../../oci/media-types.ts";
import type { Authenticate } from "../auth.ts";
import { createRegistry } from "../handler.ts";
import { openRepository } from "../repository.ts";
import { openTestRegistry, type TestRegistry, toWeb } from "../testing.ts";
import { openPullThrough } from "./open-pull-through.ts";
import { createPullThrough } from "./pull-through.ts";
import { createRoom } from "./room.ts";
import type { Upstream } from "./upstream.ts";

const INTERVAL_MS = 60_000;

/** An upstream in memory that counts what it is asked, and fails when told to. */
class FakeUpstream implements Upstream {
  readonly name = "up.test";
  readonly asked: string[] = [];
  readonly warnings: string[] = [];
  readonly fetched: string[] = [];
  readonly blobs = new Map<Digest, Buffer>();
  readonly manifests = new Map<string, Buffer>();
  readonly tagged = new Map<string, Digest>();
  readonly listed: Descriptor[] = [];
  failing: FailureCode | undefined;
  /** Waited for before each chunk of a blob. */
  gate: ((offset: number) => Promise<void>) | undefined;
  hangs = false;

  async #enter(what: string): Promise<void> {
    this.asked.push(what);
    if (this.hangs) await new Promise(() => undefined);
    if (this.failing !== undefined) throw new Failure(this.failing, "Cannot ask: password of /etc/secret is wrong");
  }

  push(tag: string, layer: string | Buffer): { manifest: Digest; layer: Digest; bytes: Buffer } {
    const bytes = Buffer.from(layer);
    const add = (content: Buffer): Digest => {
      this.blobs.set(digestOf(content), content);
      return digestOf(content);
    };
    const config = Buffer.from("{}");
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: { mediaType: CONFIG, digest: add(config), size: 2 },
        layers: [{ mediaType: LAYER_GZIP, digest: add(bytes), size: bytes.length }],
      }),
    );
    const digest = digestOf(manifest);
    this.manifests.set(digest, manifest);
    this.tagged.set(tag, digest);
    return { manifest: digest, layer: digestOf(bytes), bytes };
  }

  async tagDigest(path: string, tag: string): Promise<Digest | undefined> {
    await this.#enter(`HEAD ${path}:${tag}`);
    return this.tagged.get(tag);
  }

  async manifest(path: string, selector: string): Promise<{ bytes: Buffer; mediaType: string } | undefined> {
    await this.#enter(`GET ${path}@${selector.slice(0, 6)}`);
    const bytes = this.manifests.get(selector);
    return bytes && { bytes, mediaType: MANIFEST };
  }

  async blobSize(path: string, digest: Digest): Promise<number | undefined> {
    await this.#enter(`HEAD ${path} blob`);
    return this.blobs.get(digest)?.length;
  }

  async *blob(path: string, digest: Digest): AsyncGenerator<Uint8Array, void, undefined> {
    await this.#enter(`GET ${path} blob`);
    const bytes = this.blobs.get(digest) ?? Buffer.alloc(0);
    for (let at = 0; at < bytes.length; at += 1000) {
      await this.gate?.(at);
      yield bytes.subarray(at, at + 1000);
    }
  }

  async tags(path: string): Promise<string[] | undefined> {
    await this.#enter(`TAGS ${path}`);
    return this.tagged.size === 0 ? undefined : [...this.tagged.keys()];
  }

  async referrers(path: string): Promise<Descriptor[]> {
    await this.#enter(`REFERRERS ${path}`);
    return this.listed;
  }
}

interface Cache {
  readonly registry: TestRegistry;
  readonly upstream: FakeUpstream;
  readonly pass: (ms: number) => void;
  readonly get: (path: string, options?: { method?: string; headers?: Record<string, string> }) => Promise<Response>;
}

function openCache(registry: TestRegistry, { authenticate, size }: CacheOptions = {}): Cache {
  const upstream = new FakeUpstream();
  let nowMs = 0;
  // The deadline passes at once when the upstream hangs, and never otherwise.
  const sleep = (): Promise<void> => new Promise((done) => void (upstream.hangs && setImmediate(done)));
  const clock = { ...registry.host.clock, elapsed: () => nowMs, sleep };
  const room = size === undefined ? undefined : createRoom({ clock }, registry.driver, { prefix: "hub", size });
  const rules = [{ prefix: "hub", namespace: "up.test", upstream, intervalMs: INTERVAL_MS, fetchesMax: 2, room }];
  const pullThrough = createPullThrough({
    clock,
    rules,
    warn: (text) => upstream.warnings.push(text),
    fetched: (what) => upstream.fetched.push(what),
  });
  const handler = createRegistry({
    host: registry.host,
    driver: registry.driver,
    authenticate: authenticate ?? (async () => ({ kind: "principal", principal: everything })),
    pullThrough,
  });
  return {
    registry,
    upstream,
    pass: (ms) => {
      nowMs += ms;
    },
    get: async (path, { method = "GET", headers = {} } = {}) =>
      toWeb(await handler(new Request(`http://cache.test${path}`, { method, headers }), { address: "127.0.0.1" })),
  };
}

interface CacheOptions {
  readonly authenticate?: Authenticate;
  /** Of all copies. */
  readonly size?: number;
}

const everything = {
  user: undefined,
  may: () => true,
  mayList: () => true,
  mayEnter: () => true,
  challenge: () => undefined,
};
const TAG = "/v2/hub/team/os/manifests/v1";

test("an image is fetched once, then served from here; its tag is compared once per interval", async () => {
  using registry = openTestRegistry();
  const { upstream, get, pass } = openCache(registry);
  const first = upstream.push("v1", "layer");
  for (let i = 0; i < 3; i += 1) {
    const answer = await get(TAG);
    assert.deepEqual(
      [answer.status, answer.headers.get("docker-content-digest"), answer.headers.get("warning")],
      [200, first.manifest, null],
    );
    assert.equal(await (await get(`/v2/hub/team/os/blobs/${first.layer}`)).text(), "layer");
  }
  const once = ["HEAD team/os:v1", "GET team/os@sha256", "HEAD team/os blob", "GET team/os blob"];
  assert.deepEqual(upstream.asked, once);
  pass(INTERVAL_MS);
  await get(TAG, { method: "HEAD" });
  assert.deepEqual(upstream.asked, [...once, "HEAD team/os:v1"], "the same digest: nothing is fetched");
  const second = upstream.push("v1", "newer layer");
  assert.equal((await get(TAG)).headers.get("docker-content-digest"), first.manifest, "within the interval");
  pass(INTERVAL_MS);
  assert.equal((await get(TAG)).headers.get("docker-content-digest"), second.manifest);
  upstream.tagged.delete("v1");
  pass(INTERVAL_MS);
  assert.equal((await get(TAG)).status, 404);
  assert.equal((await get(`/v2/hub/team/os/manifests/${first.manifest}`)).status, 200, "by digest it is still here");
});

test("many clients of a tag and of a manifest that are not here yet cost one fetch", async () => {
  using registry = openTestRegistry();
  const { upstream, get } = openCache(registry);
  const { manifest } = upstream.push("v1", "layer");
  const byDigest = TAG.replace("v1", manifest);
  for (const [path, asked] of [
    [byDigest, ["GET team/os@sha256"]],
    [TAG, ["GET team/os@sha256", "HEAD team/os:v1"]],
  ] as const) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(path)));
    for (const answer of answers) assert.equal(answer.status, 200);
    assert.deepEqual(upstream.asked, asked);
  }
});

const failures: readonly (readonly [FailureCode, status: number, code: string])[] = [
  ["network", 503, "UNKNOWN"],
  ["unauthorized", 403, "DENIED"],
  ["denied", 403, "DENIED"],
  ["bad-input", 502, "UNKNOWN"],
  ["digest-mismatch", 502, "UNKNOWN"],
];

for (const [failing, status, code] of failures) {
  test(`an upstream that fails with "${failing}": what is kept is served with a Warning, the rest is ${status}`, async () => {
    using registry = openTestRegistry();
    const { upstream, get, pass } = openCache(registry);
    const { manifest, layer } = upstream.push("v1", "layer");
    await get(TAG);
    await (await get(`/v2/hub/team/os/blobs/${layer}`)).text();
    await get("/v2/hub/team/os/tags/list");
    upstream.failing = failing;
    pass(INTERVAL_MS);
    for (const path of [TAG, "/v2/hub/team/os/tags/list", `/v2/hub/team/os/referrers/${manifest}`]) {
      const answer = await get(path);
      assert.equal(answer.status, 200, path);
      assert.match(answer.headers.get("warning") ?? "", /^299 - "up\.test cannot be asked; [^"\\]+"$/);
    }
    assert.equal((await get(`/v2/hub/team/os/blobs/${layer}`)).headers.get("warning"), null, "a digest is never stale");
    const asked = upstream.asked.length;
    await get(TAG);
    assert.equal(upstream.asked.length, asked, "a failed upstream rests");
    for (const path of [
      "/v2/hub/team/os/manifests/v2",
      `/v2/hub/team/os/blobs/${digestOf("x")}`,
      `/v2/hub/team/os/manifests/${digestOf("x")}`,
    ]) {
      const refused = await get(path);
      const text = await refused.text();
      assert.deepEqual([refused.status, JSON.parse(text).errors[0].code], [status, code], path);
      assert.doesNotMatch(text, /secret/);
    }
    assert.match(upstream.warnings.join(), /secret/, "the log says it all");
    upstream.failing = undefined;
    pass(INTERVAL_MS);
    assert.equal((await get(TAG)).headers.get("warning"), null);
  });
}

test("an upstream that does not answer in time counts as down", async () => {
  using registry = openTestRegistry();
  const { upstream, get, pass } = openCache(registry);
  upstream.push("v1", "layer");
  await get(TAG);
  upstream.hangs = true;
  pass(INTERVAL_MS);
  assert.match((await get(TAG)).headers.get("warning") ?? "", /cannot be asked/);
  assert.equal((await get("/v2/hub/team/os/manifests/v2")).status, 503);
});

test("many clients of one blob: one fetch, each gets it while it comes; who is late or slow gets it from the storage", async () => {
  using registry = openTestRegistry();
  const { upstream, get } = openCache(registry);
  const big = Buffer.alloc(20_000_000, 7);
  const { layer } = upstream.push("v1", big);
  const halfway = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  upstream.gate = async (at) => {
    if (at !== 10_000_000) return;
    halfway.resolve();
    await goOn.promise;
  };
  const path = `/v2/hub/team/os/blobs/${layer}`;
  const early = await get(path);
  assert.equal(early.headers.get("content-length"), "20000000");
  const reader = early.body?.getReader();
  assert.ok(((await reader?.read())?.value?.length ?? 0) > 0, "bytes flow before the blob is here");
  reader?.releaseLock();
  await halfway.promise;
  assert.equal(await registry.driver.blobSize(layer), undefined, "not visible before it is whole");
  const rest = [get(path, { headers: { range: "bytes=19999990-" } }), get(path), get(path)];
  goOn.resolve();
  const [ranged, ...whole] = await Promise.all(rest);
  for (const answer of whole) assert.equal(digestOf(Buffer.from(await answer.arrayBuffer())), layer);
  assert.deepEqual([ranged?.status, (await ranged?.arrayBuffer())?.byteLength], [206, 10]);
  assert.equal(upstream.asked.filter((each) => each === "GET team/os blob").length, 1);
});

for (const [what, lie] of [
  ["other bytes", Buffer.from("liar!")],
  ["more bytes", Buffer.from("layer and more")],
  ["fewer bytes", Buffer.from("lay")],
] as const) {
  test(`a blob of ${what} than its digest's never becomes whole, at no client and not here`, async () => {
    using registry = openTestRegistry();
    const { upstream, get } = openCache(registry);
    const { layer } = upstream.push("v1", "layer");
    const stated = upstream.blobSize.bind(upstream);
    upstream.blobSize = async (path, digest) => (await stated(path, digest)) && "layer".length;
    upstream.blobs.set(layer, lie);
    const answer = await get(`/v2/hub/team/os/blobs/${layer}`);
    await assert.rejects(answer.text());
    assert.equal(await registry.driver.blobSize(layer), undefined);
    assert.equal((await get(`/v2/hub/team/os/blobs/${layer}`, { headers: { range: "bytes=0-1" } })).status, 502);
    upstream.blobs.set(layer, Buffer.from("layer"));
    assert.equal(await (await get(`/v2/hub/team/os/blobs/${layer}`)).text(), "layer", "and it is tried again");
  });
}

test("so many blobs are fetched at once; one more waits for room, which a failed one makes too", async () => {
  using registry = openTestRegistry();
  const { upstream, get } = openCache(registry);
  const goOn = Promise.withResolvers<void>();
  upstream.gate = () => goOn.promise;
  const layers = ["one", "two", "three", "four"].map((text) => upstream.push("v1", text).layer);
  const [lied = digestOf("x")] = layers;
  upstream.blobs.set(lied, Buffer.from("ONE"));
  const heads = (): number => upstream.asked.filter((each) => each.startsWith("HEAD")).length;
  const asking = layers.map((layer) => get(`/v2/hub/team/os/blobs/${layer}`).then((answer) => answer.text()));
  const settled = Promise.allSettled(asking);
  while (heads() < 4) await new Promise((resume) => setImmediate(resume));
  for (let i = 0; i < 50; i += 1) await new Promise((resume) => setImmediate(resume));
  assert.equal(upstream.asked.filter((each) => each === "GET team/os blob").length, 2);
  goOn.resolve();
  assert.deepEqual(
    (await settled).map((each) => (each.status === "fulfilled" ? each.value : each.status)),
    ["rejected", "two", "three", "four"],
  );
});

test("a manifest that is not what its digest says, or malformed, is not kept", async () => {
  using registry = openTestRegistry();
  const { upstream, get } = openCache(registry);
  const { manifest } = upstream.push("v1", "layer");
  upstream.manifests.set(manifest, Buffer.from("{}"));
  assert.equal((await get(TAG)).status, 502);
  const malformed = Buffer.from("{}");
  upstream.tagged.set("v1", digestOf(malformed));
  upstream.manifests.set(digestOf(malformed), malformed);
  assert.equal((await get(TAG)).status, 502);
  assert.equal(await registry.driver.blobSize(manifest), undefined);
});

test("what the upstream does not have is 404, even when it is here in a repository of this registry's own", async () => {
  using registry = openTestRegistry();
  const { get } = openCache(registry);
  const secret = await registry.pushBlob("own/secret", "secret");
  for (const path of [
    TAG,
    `/v2/hub/team/os/manifests/${secret}`,
    `/v2/hub/team/os/blobs/${secret}`,
    "/v2/hub/team/os/tags/list",
  ]) {
    assert.equal((await get(path)).status, 404, path);
    assert.equal((await get(path, { method: "HEAD" })).status, 404, path);
  }
});

test("an upstream that says it has a blob of this registry's own must send it: its digest opens nothing", async () => {
  using registry = openTestRegistry();
  const { upstream, get } = openCache(registry);
  const secret = await registry.pushBlob("own/vault", "secret");
  await registry.pushBlob("hubcap/os", "secret");
  upstream.blobSize = async () => "secret".length;
  const path = `/v2/hub/team/os/blobs/${secret}`;
  await assert.rejects((await get(path)).text());
  assert.equal((await get(path, { headers: { range: "bytes=0-9" } })).status, 502);
  assert.equal(await openRepository(registry.driver, "hub/team/os").hasBlob(secret), false);
  upstream.blobs.set(secret, Buffer.from("secret"));
  assert.equal(await (await get(path)).text(), "secret");
  assert.equal(await (await get(`/v2/own/vault/blobs/${secret}`)).text(), "secret", "it is still there");
});

test("a blob that another copy of the same upstream's holds is not fetched again", async () => {
  using registry = openTestRegistry();
  const { upstream, get } = openCache(registry);
  const { layer } = upstream.push("v1", "layer");
  assert.equal(await (await get(`/v2/hub/team/os/blobs/${layer}`)).text(), "layer");
  assert.equal(await (await get(`/v2/hub/team/x/blobs/${layer}`)).text(), "layer");
  assert.deepEqual(upstream.asked, ["HEAD team/os blob", "GET team/os blob", "HEAD team/x blob"]);
});

test("below the prefix clients only read, beside it they write", async () => {
  using registry = openTestRegistry();
  const { get } = openCache(registry);
  const requests: readonly (readonly [string, string])[] = [
    ["POST", "/v2/hub/team/os/blobs/uploads/"],
    ["PUT", TAG],
    ["DELETE", TAG],
    ["DELETE", `/v2/hub/team/os/blobs/${digestOf("x")}`],
  ];
  for (const [method, path] of requests) assert.equal((await get(path, { method })).status, 405, `${method} ${path}`);
  assert.equal((await get("/v2/hubcap/os/blobs/uploads/", { method: "POST" })).status, 202);
  assert.equal((await get("/v2/hub/blobs/uploads/", { method: "POST" })).status, 202, "the prefix itself is no copy");
});

test("?ns= names the upstream; rights are those of the repository that is meant", async () => {
  using registry = openTestRegistry();
  const authenticate: Authenticate = async () => ({
    kind: "principal",
    principal: { ...everything, may: (_, name) => name === "hub/team/os" || name === "team/secret" },
  });
  const { upstream, get } = openCache(registry, { authenticate });
  upstream.push("v1", "layer");
  const answer = await get("/v2/team/os/manifests/v1?ns=up.test");
  assert.deepEqual([answer.status, answer.headers.get("oci-namespace")], [200, "up.test"]);
  assert.equal((await get("/v2/team/secret/manifests/v1?ns=up.test")).status, 403);
  const other = await get("/v2/team/secret/manifests/v1?ns=elsewhere.test");
  assert.deepEqual([other.status, other.headers.get("oci-namespace")], [404, null]);
});

test("?ns= knows Docker Hub by each of its names, and answers with the one that was asked for", async () => {
  using registry = openTestRegistry();
  const upstream = new FakeUpstream();
  upstream.push("v1", "layer");
  const location = { host: "registry-1.docker.io", path: "" };
  const upstreams = [
    { prefix: "hub", location, insecure: false, authFile: undefined, interval: 1000, fetchesMax: 1, size: undefined },
  ];
  const { driver } = registry;
  const open = { progress: silent, connectUpstream: () => upstream, at: (path: string) => path, driver };
  const pullThrough = openPullThrough(registry.host, upstreams, open);
  const authenticate: Authenticate = async () => ({ kind: "principal", principal: everything });
  const handler = createRegistry({ host: registry.host, driver: registry.driver, authenticate, pullThrough });
  for (const name of ["docker.io", "index.docker.io", "registry-1.docker.io"]) {
    const request = new Request(`http://cache.test/v2/team/os/manifests/v1?ns=${name}`);
    const answer = toWeb(await handler(request, { address: "127.0.0.1" }));
    assert.deepEqual([answer.status, answer.headers.get("oci-namespace")], [200, name]);
  }
});

test("tags and referrers are the upstream's, in pages, once per interval", async () => {
  using registry = openTestRegistry();
  const { upstream, get, pass } = openCache(registry);
  const { manifest } = upstream.push("v2", "layer");
  upstream.push("v1", "layer");
  upstream.listed.push({
    mediaType: MANIFEST,
    digest: digestOf("sbom"),
    size: 4,
    artifactType: "application/spdx+json",
  });
  for (let i = 0; i < 2; i += 1) {
    assert.deepEqual(await (await get("/v2/hub/team/os/tags/list?n=1")).json(), { name: "hub/team/os", tags: ["v1"] });
    const list = await (await get(`/v2/hub/team/os/referrers/${manifest}?artifactType=application/spdx%2Bjson`)).json();
    assert.deepEqual(Object(list).manifests, upstream.listed);
  }
  assert.deepEqual(upstream.asked, ["TAGS team/os", "REFERRERS team/os"]);
  pass(INTERVAL_MS);
  await get("/v2/hub/team/os/tags/list");
  assert.equal(upstream.asked.at(-1), "TAGS team/os");
});

test("when the copies take what they may, blobs are passed on: checked, whole, and kept by nobody", async () => {
  using registry = openTestRegistry();
  const { upstream, get } = openCache(registry, { size: 6000 });
  const first = upstream.push("v1", Buffer.alloc(4500, "a"));
  const second = upstream.push("v2", Buffer.alloc(4500, "b"));
  const small = upstream.push("v3", Buffer.alloc(200, "c"));
  const blob = (digest: Digest, headers: Record<string, string> = {}): Promise<Response> =>
    get(`/v2/hub/team/os/blobs/${digest}`, { headers });
  const isKept = (digest: Digest): Promise<boolean> => openRepository(registry.driver, "hub/team/os").hasBlob(digest);
  assert.equal((await get(TAG)).status, 200);
  assert.equal(await (await blob(first.layer)).text(), "a".repeat(4500));
  assert.equal(await (await blob(second.layer)).text(), "b".repeat(4500));
  const part = await blob(second.layer, { range: "bytes=0-9" });
  assert.deepEqual([part.status, (await part.text()).length], [200, 4500], "no byte of a part could be checked");
  assert.equal(await (await blob(small.layer)).text(), "c".repeat(200), "what still fits is kept");
  assert.deepEqual(
    [await isKept(first.layer), await isKept(second.layer), await isKept(small.layer)],
    [true, false, true],
  );
  assert.deepEqual(upstream.fetched, ["kept", "passed on", "passed on", "kept"]);
  upstream.blobs.set(second.layer, Buffer.alloc(4500, "x"));
  const got: Buffer[] = [];
  await assert.rejects(async () => {
    for await (const chunk of (await blob(second.layer)).body ?? []) got.push(Buffer.from(chunk));
  });
  assert.ok(Buffer.concat(got).length < 4500, "nobody gets all of what is wrong");
  assert.match(upstream.warnings.at(-1) ?? "", /Cannot accept content/);
});
