/** Pull and push against the real registry handler, with faults on the way. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { INDEX, MANIFEST } from "../oci/media-types.ts";
import { parseImageRef } from "../oci/reference.ts";
import { htpasswdAuth, openTestRegistry, quickHtpasswdLine, type TestRegistry } from "../registry/testing.ts";
import { pullImage } from "./pull.ts";
import { pushImage } from "./push.ts";
import {
  createMemoryStore,
  createTestClient,
  cutAfter,
  makeImage,
  type MemoryStore,
  REGISTRY,
  type TestClient,
} from "./testing.ts";

const ref = parseImageRef(`${REGISTRY}/team/os:v1`);
const big = randomBytes(3_000_000);

interface World extends Disposable {
  readonly registry: TestRegistry;
  readonly client: TestClient;
  readonly store: MemoryStore;
}

function openWorld(options: Parameters<typeof createTestClient>[1] = {}): World {
  const registry = openTestRegistry();
  const client = createTestClient({ [REGISTRY]: registry.handler }, options);
  return {
    registry,
    client,
    store: createMemoryStore(`${registry.root}/store`),
    [Symbol.dispose]: () => registry[Symbol.dispose](),
  };
}

/** Pushed from another store, so that `world.store` has nothing. */
async function publish(
  world: World,
  contents: readonly (string | Uint8Array)[],
  name = ref,
): Promise<ReturnType<typeof makeImage>> {
  const image = makeImage(contents);
  const other = createMemoryStore(`${world.registry.root}/other`);
  await pushImage(world.client.context, other, other.add(image, "localhost/other:1"), name);
  world.client.requests.length = 0;
  world.client.lines.length = 0;
  return image;
}

function prepare(world: World): void {
  world.registry.host.files.makeDirectory(world.store.path);
}

function partials(world: World): string[] {
  return world.registry.host.files.listIfAny(`${world.store.path}/partial`);
}

test("push then pull gives the same manifest, config and layers", async () => {
  using world = openWorld();
  prepare(world);
  const image = await publish(world, ["one", "two", big]);
  const pulled = await pullImage(world.client.context, world.store, ref);
  assert.equal(pulled.digest, image.digest);
  assert.deepEqual(pulled.manifestBytes, image.manifestBytes);
  assert.deepEqual(pulled.configBytes, image.configBytes);
  assert.deepEqual(pulled.names, [`${REGISTRY}/team/os:v1`]);
  const pushed = await pushImage(world.client.context, world.store, pulled, parseImageRef(`${REGISTRY}/team/copy:v1`));
  assert.equal(pushed.digest, image.digest);
  assert.deepEqual(partials(world), []);
});

test("a second push skips every blob, one to another repository mounts them", async () => {
  using world = openWorld();
  const image = makeImage(["one", "two"]);
  const stored = world.store.add(image, `${REGISTRY}/team/os:v1`);
  const first = await pushImage(world.client.context, world.store, stored, ref);
  const total = image.configBytes.length + image.layers.reduce((sum, layer) => sum + layer.length, 0);
  assert.deepEqual([first.sentBytes, first.skippedBytes], [total, 0]);
  world.client.lines.length = 0;
  const second = await pushImage(world.client.context, world.store, stored, ref);
  assert.deepEqual([second.sentBytes, second.skippedBytes], [0, total]);
  assert.equal(
    world.client.lines.filter((line) => /^Copying (blob|config) [0-9a-f]{12} skipped: already exists$/.test(line))
      .length,
    3,
  );
  world.client.lines.length = 0;
  const third = await pushImage(world.client.context, world.store, stored, parseImageRef(`${REGISTRY}/other/os:v1`));
  assert.equal(third.sentBytes, 0);
  assert.equal(world.client.lines.filter((line) => line.endsWith("skipped: mounted from team/os")).length, 3);
});

test("a pull fetches only the layers that the store lacks", async () => {
  using world = openWorld();
  prepare(world);
  await publish(world, ["base", "one"]);
  await pullImage(world.client.context, world.store, ref);
  const next = await publish(world, ["base", "two"], parseImageRef(`${REGISTRY}/team/os:v2`));
  let received = 0;
  const options = { onReceived: (count: number) => void (received += count) };
  await pullImage(world.client.context, world.store, parseImageRef(`${REGISTRY}/team/os:v2`), options);
  assert.equal(received, next.layers[1]?.length);
  assert.equal(world.client.lines.filter((line) => line.endsWith("skipped: already exists")).length, 1);
});

test("every request of a push and a pull is given up when no byte comes for a minute", async () => {
  using world = openWorld();
  prepare(world);
  const limits = new Set<number | undefined>();
  world.client.fault = (request, next) => {
    limits.add(request.idleTimeoutMs);
    return next(request);
  };
  await publish(world, [big]);
  await pullImage(world.client.context, world.store, ref);
  assert.deepEqual([...limits], [60_000]);
});

test("a pull goes on where the server died, within one run", async () => {
  using world = openWorld();
  prepare(world);
  const image = await publish(world, [big]);
  const layer = `/v2/team/os/blobs/${digestOf(image.layers[0] ?? "")}`;
  const ranges: (string | undefined)[] = [];
  world.client.fault = async (request, next) => {
    if (!request.url.endsWith(layer)) return next(request);
    ranges.push(request.headers?.["range"]);
    const response = await next(request);
    return ranges.length <= 2 ? cutAfter(response, 1_000_000) : response;
  };
  let received = 0;
  await pullImage(world.client.context, world.store, ref, { onReceived: (count) => void (received += count) });
  assert.deepEqual(ranges, [undefined, "bytes=1000000-", "bytes=2000000-"]);
  assert.equal(received, image.layers[0]?.length);
  assert.deepEqual(world.client.slept, [500, 500]);
});

test("a pull goes on after the process was killed, and fetches only the rest", async () => {
  using world = openWorld();
  prepare(world);
  const image = await publish(world, [big, "small"]);
  const layer = digestOf(image.layers[0] ?? "");
  world.client.fault = async (request, next) => {
    if (!request.url.endsWith(layer)) return next(request);
    const response = cutAfter(await next(request), 2_000_000);
    return { ...response, status: request.headers?.["range"] === undefined ? response.status : 403 };
  };
  await assert.rejects(pullImage(world.client.context, world.store, ref));
  assert.equal(world.store.image(`${REGISTRY}/team/os:v1`), undefined);
  assert.deepEqual(partials(world), [layer.replace(":", "-")]);
  world.client.fault = undefined;
  let received = 0;
  const image2 = await pullImage(world.client.context, world.store, ref, {
    onReceived: (count) => void (received += count),
  });
  assert.equal(image2.digest, image.digest);
  assert.ok(received <= (image.layers[0]?.length ?? 0) - 2_000_000 + 100, String(received));
  assert.deepEqual(partials(world), []);
});

test("bytes kept from before that are wrong cost a download, not the image", async () => {
  using world = openWorld();
  prepare(world);
  const image = await publish(world, [big]);
  const { files } = world.registry.host;
  files.makeDirectory(`${world.store.path}/partial`);
  files.write(
    `${world.store.path}/partial/${digestOf(image.layers[0] ?? "").replace(":", "-")}`,
    Buffer.alloc(1_000_000),
  );
  assert.equal((await pullImage(world.client.context, world.store, ref)).digest, image.digest);
});

test("a registry that ignores ranges sends the blob again, and the pull still goes on", async () => {
  using world = openWorld();
  prepare(world);
  const image = await publish(world, [big]);
  let calls = 0;
  world.client.fault = async (request, next) => {
    if (!request.url.endsWith(digestOf(image.layers[0] ?? ""))) return next(request);
    calls += 1;
    const { range: _, ...headers } = request.headers ?? {};
    const response = await next({ ...request, headers });
    return calls === 1 ? cutAfter(response, 1_234_567) : response;
  };
  assert.equal((await pullImage(world.client.context, world.store, ref)).digest, image.digest);
  assert.equal(calls, 2);
});

test("a registry that stays away ends the pull after a bounded number of attempts", async () => {
  using world = openWorld();
  prepare(world);
  const image = await publish(world, [big]);
  world.client.fault = async (request, next) => {
    const response = await next(request);
    return request.url.endsWith(digestOf(image.layers[0] ?? "")) ? cutAfter(response, 0) : response;
  };
  await assert.rejects(pullImage(world.client.context, world.store, ref), (error) => isFailure(error, "network"));
  assert.ok(world.client.slept.length < 10);
});

for (const [name, change] of [
  ["other bytes", (bytes: Buffer) => Buffer.concat([Buffer.from("x"), bytes.subarray(1)])],
  ["more bytes", (bytes: Buffer) => Buffer.concat([bytes, Buffer.from("x")])],
] as const) {
  test(`a layer that comes with ${name} is refused and nothing stays`, async () => {
    using world = openWorld();
    prepare(world);
    const image = await publish(world, ["content"]);
    const layer = image.layers[0] ?? Buffer.alloc(0);
    world.client.fault = async (request, next) => {
      const response = await next(request);
      if (!request.url.endsWith(digestOf(layer))) return response;
      return {
        ...response,
        body: (async function* () {
          yield change(layer);
        })(),
      };
    };
    await assert.rejects(pullImage(world.client.context, world.store, ref), (error) =>
      isFailure(error, "digest-mismatch"),
    );
    assert.deepEqual(world.store.images(), []);
    assert.deepEqual(partials(world), []);
  });
}

test("a Content-Length that lies about the body does not matter: the descriptor's size counts", async () => {
  using world = openWorld();
  prepare(world);
  const image = await publish(world, [big]);
  world.client.fault = async (request, next) => {
    const response = await next(request);
    return request.url.endsWith(digestOf(image.layers[0] ?? "")) && request.headers?.["range"] === undefined
      ? { ...response, headers: { ...response.headers, "content-length": "999999999" } }
      : response;
  };
  assert.equal((await pullImage(world.client.context, world.store, ref)).digest, image.digest);
});

for (const [name, body, code] of [
  ["that is not JSON", "<html>", "bad-input"],
  ["without layers", JSON.stringify({ schemaVersion: 2, config: {} }), "bad-input"],
  ["that is null", "null", "bad-input"],
] as const) {
  test(`a manifest ${name} is refused with one clear error`, async () => {
    using world = openWorld();
    world.client.fault = async (request, next) => {
      const response = await next(request);
      if (!request.url.includes("/manifests/")) return response;
      return {
        ...response,
        status: 200,
        headers: { "content-type": MANIFEST },
        body: (async function* () {
          yield Buffer.from(body);
        })(),
      };
    };
    await assert.rejects(pullImage(world.client.context, world.store, ref), (error) => {
      assert.ok(isFailure(error, code));
      assert.match(
        error.message,
        /^Cannot use image "registry\.test:5000\/team\/os:v1": its manifest sha256:[0-9a-f]{64} is malformed$/,
      );
      return true;
    });
  });
}

test("a manifest whose bytes are not the digest asked for is refused", async () => {
  using world = openWorld();
  const image = await publish(world, ["x"]);
  world.client.fault = async (request, next) => {
    const response = await next(request);
    if (!request.url.includes("/manifests/")) return response;
    return {
      ...response,
      body: (async function* () {
        yield Buffer.concat([image.manifestBytes, Buffer.from(" ")]);
      })(),
    };
  };
  for (const name of [ref, parseImageRef(`${REGISTRY}/team/os@${image.digest}`)]) {
    await assert.rejects(pullImage(world.client.context, world.store, name), (error) =>
      isFailure(error, "digest-mismatch"),
    );
  }
});

test("an unknown image, an unknown host and plain HTTP without leave are told apart", async () => {
  using world = openWorld();
  const refusal = async (client: TestClient, name: string): Promise<{ code: string; text: string }> => {
    try {
      await pullImage(client.context, world.store, parseImageRef(name));
    } catch (error) {
      if (isFailure(error)) return { code: error.code, text: `${error.message} | ${error.hint ?? ""}` };
    }
    return { code: "", text: "" };
  };
  const unknown = await refusal(world.client, `${REGISTRY}/team/nope:v1`);
  assert.equal(unknown.code, "not-found");
  assert.match(
    unknown.text,
    /^Cannot find image "registry\.test:5000\/team\/nope:v1": "registry\.test:5000" does not know it/,
  );
  assert.equal((await refusal(world.client, "nowhere.test/team/os:v1")).code, "network");
  const strict = createTestClient({ [REGISTRY]: world.registry.handler }, { tlsVerify: true });
  const plain = await refusal(strict, `${REGISTRY}/team/os:v1`);
  assert.equal(plain.code, "network");
  assert.match(plain.text, /--tls-verify=false/);
  assert.deepEqual(strict.requests, []);
});

test("no space is found out before a layer is fetched", async () => {
  using world = openWorld({ freeBytes: 100_000 });
  prepare(world);
  const image = await publish(world, [big]);
  await assert.rejects(pullImage(world.client.context, world.store, ref), (error) => isFailure(error, "no-space"));
  assert.ok(!world.client.requests.some((line) => line.includes(digestOf(image.layers[0] ?? ""))));
});

test("an index gives the manifest for this architecture; none fits is an error", async () => {
  using world = openWorld();
  prepare(world);
  const amd = await publish(world, ["amd"]);
  const arm = makeImage(["arm"], "arm64");
  const other = createMemoryStore(`${world.registry.root}/other`);
  await pushImage(
    world.client.context,
    other,
    other.add(arm, "localhost/arm:1"),
    parseImageRef(`${REGISTRY}/team/os:arm`),
  );
  const entry = (image: typeof arm, architecture: string): object => ({
    mediaType: MANIFEST,
    digest: image.digest,
    size: image.manifestBytes.length,
    platform: { architecture, os: "linux" },
  });
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [entry(arm, "arm64"), entry(amd, "amd64")],
  });
  await world.registry.call("PUT", "/v2/team/os/manifests/all", { body, headers: { "content-type": INDEX } });
  const all = parseImageRef(`${REGISTRY}/team/os:all`);
  assert.equal((await pullImage(world.client.context, world.store, all)).digest, amd.digest);
  const risc = createTestClient({ [REGISTRY]: world.registry.handler }, { architecture: "riscv64" });
  await assert.rejects(pullImage(risc.context, world.store, all), /it has no variant for linux\/riscv64/);
});

test("a push goes on where the registry has got to after the connection broke", async () => {
  using world = openWorld();
  const image = makeImage([big]);
  const stored = world.store.add(image, "localhost/x:1");
  const ranges: (string | undefined)[] = [];
  world.client.fault = async (request, next) => {
    if (request.method !== "PUT" || !request.url.includes(digestOf(image.layers[0] ?? "").slice(7)))
      return next(request);
    ranges.push(request.headers?.["content-range"]);
    if (ranges.length > 1) return next(request);
    const { body } = request;
    const half = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        yield chunk.subarray(0, 1_500_000);
        throw new Error("connection reset");
      }
    };
    await next({ ...request, body: half() });
    throw new Failure("network", "Cannot reach: the connection was closed while sending");
  };
  const { sentBytes } = await pushImage(world.client.context, world.store, stored, ref);
  assert.ok(sentBytes > 3_000_000);
  assert.deepEqual(ranges, [undefined, `1500000-${(image.layers[0]?.length ?? 0) - 1}`]);
});

test("a push to a registry that refuses the bytes ends at once with its words", async () => {
  using world = openWorld();
  const stored = world.store.add(makeImage(["x"]), "localhost/x:1");
  world.client.fault = async (request, next) =>
    request.method === "PUT" ? next({ ...request, body: Buffer.from("wrong") }) : next(request);
  await assert.rejects(pushImage(world.client.context, world.store, stored, ref), /DIGEST_INVALID/);
  assert.deepEqual(world.client.slept, []);
});

test("without a login the error says where was looked; with one both ways work", async () => {
  using base = openTestRegistry();
  const { host, root } = base;
  host.files.write(`${root}/htpasswd`, await quickHtpasswdLine("anna", "secret"));
  using registry = openTestRegistry({ authenticate: htpasswdAuth({ host, path: `${root}/htpasswd`, realm: "berth" }) });
  const auth = (text: string): string =>
    JSON.stringify({ auths: { [REGISTRY]: { auth: Buffer.from(text).toString("base64") } } });
  const store = createMemoryStore(`${root}/store`);
  const stored = store.add(makeImage(["x"]), "localhost/x:1");
  const attempt = async (content: string): Promise<unknown> => {
    host.files.write(`${root}/auth.json`, content);
    const client = createTestClient({ [REGISTRY]: registry.handler }, { authFile: `${root}/auth.json` });
    return pushImage(client.context, store, stored, ref).catch((error: unknown) => error);
  };
  const none = await attempt("{}");
  assert.ok(isFailure(none, "unauthorized"));
  assert.equal(
    none.message,
    `Cannot use "${REGISTRY}/team/os": the registry wants a login; looked in ${root}/auth.json (no entry)`,
  );
  assert.equal(none.hint, `log in with: berth login ${REGISTRY}`);
  const wrong = await attempt(auth("anna:wrong"));
  assert.ok(isFailure(wrong, "unauthorized"));
  assert.match(
    wrong.message,
    /refused the user name or password; used the entry "registry\.test:5000" of .*auth\.json$/,
  );
  assert.ok(isFailure(await attempt("{"), "bad-input"));
  const right = await attempt(auth("anna:secret"));
  assert.equal((right as { digest: string }).digest, stored.digest);
});
