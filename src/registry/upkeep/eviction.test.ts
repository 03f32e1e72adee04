/** Copies of other registries make room, the longest unused first, through retention and collection as the registry runs them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../../core/digest.ts";
import { createFakeBucket } from "../../host/fake-bucket.ts";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { CONFIG, INDEX, LAYER_GZIP, MANIFEST } from "../../oci/media-types.ts";
import { createRoom } from "../pull-through/room.ts";
import { openRepository } from "../repository.ts";
import { s3Driver } from "../s3-driver.ts";
import { openTestRegistry, type TestRegistry } from "../testing.ts";
import { planEviction } from "./eviction.ts";
import { collectGarbage, storageTime } from "./gc.ts";
import { createLeases } from "./leases.ts";
import { applyRetention } from "./retention.ts";

const DAY_MS = 86_400_000;

function open(): { host: FakeHost; registry: TestRegistry } {
  const host = createFakeHost();
  const driver = s3Driver(host, createFakeBucket({ now: () => host.clock.now() }), { prefix: "", redirect: false });
  return { host, registry: openTestRegistry({ driver, clock: host.clock }) };
}

/** An image whose layer has `size` bytes; a day passes. */
async function push({ host, registry }: World, repository: string, tag: string, size: number): Promise<Digest> {
  const layer = `${tag} `.padEnd(size, ".");
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, digest: await registry.pushBlob(repository, "{}"), size: 2 },
    layers: [{ mediaType: LAYER_GZIP, digest: await registry.pushBlob(repository, layer), size }],
  });
  await put(registry, repository, tag, manifest, MANIFEST);
  host.clock.advance(DAY_MS);
  return digestOf(manifest);
}

type World = ReturnType<typeof open>;

async function put(registry: TestRegistry, repository: string, tag: string, body: string, type: string): Promise<void> {
  const headers = { "content-type": type };
  const { status } = await registry.call("PUT", `/v2/${repository}/manifests/${tag}`, { body, headers });
  assert.equal(status, 201);
}

/** What a collection of the registry does; answers the tags that are left below hub/. */
async function collect({ host, registry }: World, size: number | undefined): Promise<string[]> {
  const { driver } = registry;
  const graceMs = DAY_MS;
  const now = await storageTime(driver);
  await applyRetention(host, driver, {
    steps: await planEviction(driver, [{ prefix: "hub", size }], { now, graceMs }),
    graceMs,
  });
  await collectGarbage(host, driver, { graceMs, dryRun: false });
  const left: string[] = [];
  for (const name of ["hub/a", "hub/b", "own/a"]) left.push(...((await openRepository(driver, name).tags()) ?? []));
  return left;
}

async function bytes({ registry }: World): Promise<number> {
  let total = 0;
  for await (const blob of registry.driver.listBlobs()) total += blob.size;
  return total;
}

test("the longest unused copies go until the rest fits, in all repositories of the upstream and in no other", async () => {
  const world = open();
  using _ = world.registry;
  await push(world, "own/a", "own", 10_000);
  await push(world, "hub/a", "first", 10_000);
  await push(world, "hub/b", "second", 10_000);
  await push(world, "hub/a", "third", 10_000);
  world.host.clock.advance(DAY_MS);
  assert.deepEqual(await collect(world, undefined), ["first", "third", "second", "own"], "no limit");
  assert.deepEqual(await collect(world, 40_000), ["first", "third", "second", "own"]);
  assert.deepEqual(await collect(world, 25_000), ["third", "second", "own"]);
  assert.ok((await bytes(world)) < 35_000, "the content is gone too");
  assert.deepEqual(await collect(world, 15_000), ["third", "own"]);
  assert.deepEqual(await collect(world, 1), ["own"]);
});

test("what was used lately stays before what was not, and what was used within the grace stays in any case", async () => {
  const world = open();
  using _ = world.registry;
  const { host, registry } = world;
  const old = await push(world, "hub/a", "old", 10_000);
  await push(world, "hub/a", "newer", 10_000);
  const room = createRoom(host, registry.driver, { prefix: "hub", size: 15_000 });
  const leases = createLeases(host, registry.driver, { lifeMs: DAY_MS });
  await room.used(openRepository(registry.driver, "hub/a"), { kind: "tag", tag: "old" }, leases);
  host.clock.advance(DAY_MS / 2);
  assert.deepEqual(await collect(world, 1), ["old"]);
  assert.equal((await registry.call("GET", `/v2/hub/a/manifests/${old}`)).status, 200);
  host.clock.advance(DAY_MS);
  assert.deepEqual(await collect(world, 1), []);
});

test("an index goes with its images and what refers to it; what another image shares stays", async () => {
  const world = open();
  using _ = world.registry;
  const { registry, host } = world;
  const image = await push(world, "hub/a", "image", 10_000);
  const size = (await registry.driver.blobSize(image)) ?? 0;
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [{ mediaType: MANIFEST, digest: image, size }],
  });
  await put(registry, "hub/a", "index", index, INDEX);
  await registry.call("DELETE", "/v2/hub/a/manifests/image");
  await push(world, "hub/b", "image", 10_000);
  host.clock.advance(DAY_MS);
  assert.deepEqual(await collect(world, 12_000), ["index", "image"], "the layer is shared, so both fit");
  assert.deepEqual(await collect(world, 5_000), []);
  assert.deepEqual(await openRepository(registry.driver, "hub/a").manifests(), []);
});
