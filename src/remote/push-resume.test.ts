/** A push that goes on after the process is gone, and what becomes of uploads that fail. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { parseImageRef } from "../oci/reference.ts";
import { openTestRegistry } from "../registry/testing.ts";
import { pushImage } from "./push.ts";
import { createMemoryStore, createTestClient, type Fault, makeImage, REGISTRY } from "./testing.ts";

const ref = parseImageRef(`${REGISTRY}/team/os:v1`);
const image = makeImage([randomBytes(3_000_000)]);
const layer = image.layers[0] ?? Buffer.alloc(0);
const isLayerPut = ({ method, url }: { method: string; url: string }): boolean =>
  method === "PUT" && url.includes(encodeURIComponent(digestOf(layer)));

/** The registry gets `bytes` of the layer; then it is out of reach for every upload. */
function dieAfter(bytes: number): Fault {
  let puts = 0;
  return async (request, next) => {
    if (!isLayerPut(request)) return next(request);
    puts += 1;
    if (puts === 1) {
      const { body } = request;
      const half = async function* (): AsyncGenerator<Uint8Array> {
        for await (const chunk of body as AsyncIterable<Uint8Array>) {
          yield chunk.subarray(0, bytes);
          throw new Error("killed");
        }
      };
      await next({ ...request, body: half() });
    }
    throw new Failure("network", "Cannot reach: the connection was closed while sending");
  };
}

test("a push goes on after the process was killed, and sends only the rest", async () => {
  using registry = openTestRegistry();
  const env = { XDG_STATE_HOME: `${registry.root}/state` };
  const store = createMemoryStore(`${registry.root}/store`);
  const stored = store.add(image, "localhost/x:1");
  const first = createTestClient({ [REGISTRY]: registry.handler }, { env });
  first.fault = dieAfter(1_500_000);
  await assert.rejects(pushImage(first.context, store, stored, ref), (error) => isFailure(error, "network"));
  const records = (): string[] => registry.host.files.listIfAny(`${registry.root}/state/berth/uploads`);
  assert.equal(records().length, 1);

  const second = createTestClient({ [REGISTRY]: registry.handler }, { env });
  const ranges: (string | undefined)[] = [];
  second.fault = (request, next) => {
    if (isLayerPut(request)) ranges.push(request.headers?.["content-range"]);
    return next(request);
  };
  const { sentBytes } = await pushImage(second.context, store, stored, ref);
  assert.deepEqual(ranges, [`1500000-${layer.length - 1}`]);
  assert.equal(sentBytes, layer.length - 1_500_000);
  assert.deepEqual(records(), []);
});

test("a push waits as long as the registry asks, and goes on", async () => {
  using registry = openTestRegistry();
  const store = createMemoryStore(`${registry.root}/store`);
  const stored = store.add(image, "localhost/x:1");
  const client = createTestClient({ [REGISTRY]: registry.handler });
  let refused = 0;
  client.fault = async (request, next) => {
    if (!isLayerPut(request) || refused >= 2) return next(request);
    refused += 1;
    const headers = refused === 1 ? { "retry-after": "20" } : {};
    return { status: 429, headers, body: streamOf(), discard() {} };
  };
  assert.equal((await pushImage(client.context, store, stored, ref)).digest, image.digest);
  assert.deepEqual(client.slept, [20_000, 1000]);
});

test("a record of another repository is not used", async () => {
  using registry = openTestRegistry();
  const env = { XDG_STATE_HOME: `${registry.root}/state` };
  const store = createMemoryStore(`${registry.root}/store`);
  const stored = store.add(image, "localhost/x:1");
  const first = createTestClient({ [REGISTRY]: registry.handler }, { env });
  first.fault = dieAfter(1_500_000);
  await assert.rejects(pushImage(first.context, store, stored, ref));
  const second = createTestClient({ [REGISTRY]: registry.handler }, { env });
  const result = await pushImage(second.context, store, stored, parseImageRef(`${REGISTRY}/team/other:v1`));
  assert.equal(result.sentBytes, layer.length + image.configBytes.length);
});

for (const [name, text] of [
  ["torn", '{"repository":'],
  [
    "of a session that is gone",
    (repository: string, digest: string): string =>
      JSON.stringify({ repository, digest, location: `http://${REGISTRY}/v2/team/os/blobs/uploads/gone` }),
  ],
  [
    "of another digest",
    (repository: string): string =>
      JSON.stringify({ repository, digest: digestOf("x"), location: `http://${REGISTRY}/v2/x` }),
  ],
] as const) {
  test(`a record ${name} is no hindrance`, async () => {
    using registry = openTestRegistry();
    const env = { XDG_STATE_HOME: `${registry.root}/state` };
    const directory = `${registry.root}/state/berth/uploads`;
    registry.host.files.makeDirectory(directory);
    const repository = `${REGISTRY}/team/os`;
    const key = digestOf(`${repository}@${digestOf(layer)}`).slice("sha256:".length);
    const content = typeof text === "string" ? text : text(repository, digestOf(layer));
    registry.host.files.write(`${directory}/${key}.json`, content);
    const store = createMemoryStore(`${registry.root}/store`);
    const stored = store.add(image, "localhost/x:1");
    const client = createTestClient({ [REGISTRY]: registry.handler }, { env });
    assert.equal((await pushImage(client.context, store, stored, ref)).digest, image.digest);
    assert.deepEqual(registry.host.files.list(directory), []);
  });
}

test("an upload that the registry refuses is cancelled", async () => {
  using registry = openTestRegistry();
  const env = { XDG_STATE_HOME: `${registry.root}/state` };
  const store = createMemoryStore(`${registry.root}/store`);
  const stored = store.add(image, "localhost/x:1");
  const client = createTestClient({ [REGISTRY]: registry.handler }, { env });
  client.fault = async (request, next) =>
    isLayerPut(request) ? next({ ...request, headers: {}, body: Buffer.from("wrong") }) : next(request);
  await assert.rejects(pushImage(client.context, store, stored, ref), /DIGEST_INVALID/);
  assert.equal(client.requests.filter((line) => line.startsWith("DELETE /v2/team/os/blobs/uploads/")).length, 1);
  assert.deepEqual(registry.host.files.list(`${registry.root}/state/berth/uploads`), []);
});
