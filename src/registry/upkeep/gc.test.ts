/** What a collection takes and what it leaves, beside pushes of the same content by the same and by other processes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import { createFakeBucket } from "../../host/fake-bucket.ts";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { MANIFEST } from "../../oci/media-types.ts";
import type { Driver } from "../driver.ts";
import { filesDriver } from "../files-driver.ts";
import { manifestClaim } from "../manifests.ts";
import { openRepository } from "../repository.ts";
import { s3Driver } from "../s3-driver.ts";
import { openTestRegistry, type TestRegistry } from "../testing.ts";
import { checkStorage } from "./check.ts";
import { createClaims } from "./claims.ts";
import { collectGarbage, type GcReport } from "./gc.ts";
import { createLeases, withCondemned } from "./leases.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

interface World {
  readonly host: FakeHost;
  readonly driver: Driver;
  readonly registry: TestRegistry;
  readonly collect: (dryRun?: boolean) => Promise<GcReport>;
}

const STORAGES = {
  files: (host: FakeHost) => filesDriver(host, "/r"),
  s3: (host: FakeHost) =>
    s3Driver(host, createFakeBucket({ now: () => host.clock.now() }), { prefix: "", redirect: false }),
};

function open(newDriver: (host: FakeHost) => Driver): World {
  const host = createFakeHost();
  const driver = newDriver(host);
  const registry = openTestRegistry({ driver, clock: host.clock });
  const collect = (dryRun = false): Promise<GcReport> => collectGarbage(host, driver, { graceMs: DAY_MS, dryRun });
  return { host, driver, registry, collect };
}

for (const [name, newDriver] of Object.entries(STORAGES)) {
  test(`${name}: what no manifest needs goes after the grace, and only that`, async () => {
    const { host, driver, registry, collect } = open(newDriver);
    using _ = registry;
    const orphan = await registry.pushBlob("a", "no manifest names this");
    const { digest } = await registry.pushImage("a", "v1");
    await registry.pushImage("b", "v1");
    assert.equal((await collect()).blobs, 0, "all is young");
    await registry.call("DELETE", `/v2/a/manifests/${digest}`);
    host.clock.advance(DAY_MS + 1);

    const planned = await collect(true);
    assert.equal(await driver.blobSize(orphan), 22, "a dry run deletes nothing");
    const report = await collect();
    assert.deepEqual({ ...report, dryRun: true }, planned);
    // The orphan, the layer of a:v1 and its manifest; "{}" is the config of b:v1 too, so that only its link goes.
    assert.equal(report.blobs, 3);
    assert.equal(report.links, 3);
    assert.equal(report.kept, 0);
    assert.equal((await registry.call("GET", `/v2/a/blobs/${orphan}`)).status, 404);
    assert.equal((await registry.call("GET", "/v2/b/manifests/v1")).status, 200);
    assert.equal((await registry.call("GET", `/v2/b/blobs/${digestOf("{}")}`)).status, 200);
    assert.deepEqual(await collect(), { dryRun: false, blobs: 0, bytes: 0, links: 0, kept: 0 });
  });

  test(`${name}: a HEAD by a pusher, a mount and an upload keep old content for another grace`, async () => {
    for (const lease of ["HEAD", "mount", "upload"] as const) {
      const { host, driver, registry, collect } = open(newDriver);
      using _ = registry;
      const digest = await registry.pushBlob("a", "old");
      host.clock.advance(2 * DAY_MS);
      if (lease === "HEAD") await registry.call("HEAD", `/v2/a/blobs/${digest}`);
      else if (lease === "mount") await registry.call("POST", `/v2/b/blobs/uploads/?mount=${digest}&from=a`);
      else await registry.pushBlob("c", "old");
      host.clock.advance(DAY_MS - 1000);
      assert.equal((await collect()).blobs, 0, lease);
      assert.equal(await driver.blobSize(digest), 3, lease);
      host.clock.advance(2000);
      assert.equal((await collect()).blobs, 1, lease);
    }
  });

  test(`${name}: a GET is no lease`, async () => {
    const { host, registry, collect } = open(newDriver);
    using _ = registry;
    const digest = await registry.pushBlob("a", "old");
    host.clock.advance(2 * DAY_MS);
    assert.equal((await registry.call("GET", `/v2/a/blobs/${digest}`)).status, 200);
    assert.equal((await collect()).blobs, 1);
  });
}

test("a collection leaves layers that may be fetched elsewhere and were pushed here; absent ones are no loss", async () => {
  const { host, driver, registry, collect } = open(STORAGES.files);
  using _ = registry;
  const pushed = ["urls", "nondistributable", "foreign"];
  for (const bytes of pushed) await registry.pushBlob("a", bytes);
  const mediaTypes = [
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  ];
  const layers = [...pushed, "absent"].map((bytes, index) => ({
    mediaType: mediaTypes[index] ?? mediaTypes[0],
    digest: digestOf(bytes),
    size: bytes.length,
    ...((index === 0 || index === 3) && { urls: ["https://elsewhere.test/layer"] }),
  }));
  await registry.pushImage("a", "v1", { layers });
  host.clock.advance(2 * DAY_MS);
  await collect();
  for (const bytes of pushed) {
    assert.equal((await registry.call("GET", `/v2/a/blobs/${digestOf(bytes)}`)).status, 200, bytes);
  }
  assert.deepEqual((await checkStorage(driver, { repair: false })).problems, []);
});

test("a damaged manifest ends a collection before it deletes anything", async () => {
  const { host, driver, registry, collect } = open(STORAGES.files);
  using _ = registry;
  const { digest } = await registry.pushImage("a", "v1");
  const orphan = await registry.pushBlob("a", "orphan");
  host.clock.advance(2 * DAY_MS);
  await driver.deleteBlob(digest);
  await assert.rejects(collect(), (error) => isFailure(error, "corrupt") && error.message.includes(digest));
  assert.equal(await driver.blobSize(orphan), 6);
});

test("one collection runs at a time; one that died does not stand in the way for ever", async () => {
  const { host, driver, collect, registry } = open(STORAGES.s3);
  using _ = registry;
  await createClaims(host, driver).hold("garbage collection", { kind: "exclusive", waitMs: 0 }, () =>
    assert.rejects(collect(), (error) => isFailure(error, "busy")),
  );
  await collect();
  const [claim] = ["garbage collection"].map((thing) => digestOf(thing).slice(7, 39));
  await driver.putRecord(`claims/${claim}-exclusive-dead`, "");
  await assert.rejects(collect(), (error) => isFailure(error, "busy"));
  host.clock.advance(HOUR_MS);
  await collect();
});

test("of a lease and a collection at once, in any order of their steps, content that was promised stays", async () => {
  let collected = 0;
  let promised = 0;
  for (let turn = 0; turn < 60; turn += 1) {
    const host = createFakeHost({ seed: turn });
    let calls = 0;
    const bucket = createFakeBucket({
      now: () => host.clock.now(),
      onCall: async () => {
        calls += 1;
        for (let wait = (calls * (turn + 1)) % 7; wait > 0; wait -= 1) await new Promise((go) => setImmediate(go));
      },
    });
    const [pusher, collector] = [1, 2].map(() => s3Driver(host, bucket, { prefix: "", redirect: false }));
    assert.ok(pusher && collector);
    const digest = digestOf("old");
    await pusher.putBlob(digest, Buffer.from("old"));
    await openRepository(pusher, "a").linkBlob(digest);
    host.clock.advance(2 * DAY_MS);
    const now = host.clock.now();
    const push = async (): Promise<boolean> => {
      for (let wait = turn % 9; wait > 0; wait -= 1) await new Promise((go) => setImmediate(go));
      await createLeases(host, pusher, { lifeMs: DAY_MS }).take(digest);
      return openRepository(pusher, "a").hasBlob(digest);
    };
    const collect = (): Promise<boolean> =>
      withCondemned(collector, { digest, now, lifeMs: DAY_MS }, async () => {
        await openRepository(collector, "a").unlinkBlob(digest);
        await collector.deleteBlob(digest);
      });
    const [isPromised, isCollected] = await Promise.all([push(), collect()]);
    assert.ok(!(isPromised && isCollected), `turn ${turn}: promised and collected`);
    assert.equal((await pusher.blobSize(digest)) !== undefined, !isCollected, `turn ${turn}`);
    collected += isCollected ? 1 : 0;
    promised += isPromised ? 1 : 0;
  }
  assert.ok(collected > 0 && promised > 0, `${collected} collected, ${promised} promised`);
});

test("a manifest that another process keeps claimed is not pushed: the client is told to come again", async () => {
  const { host, driver, registry } = open(STORAGES.files);
  using _ = registry;
  const { digest, bytes } = await registry.pushImage("a", "v1");
  const claim = manifestClaim(openRepository(driver, "a"), digest);
  const answer = await createClaims(host, driver).hold(claim, { kind: "exclusive", waitMs: 0 }, () =>
    registry.call("PUT", "/v2/a/manifests/v1", { body: bytes, headers: { "content-type": MANIFEST } }),
  );
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get("retry-after"), "10");
  assert.match(await answer.text(), /another request works on the same; try again later/);
});

test("a push and a deletion of one manifest by two replicas at once leave no tag without its manifest", async () => {
  for (let turn = 0; turn < 12; turn += 1) {
    const host = createFakeHost({ seed: turn });
    const bucket = createFakeBucket({ now: () => host.clock.now() });
    const [left, right] = [1, 2].map(() => {
      const driver = s3Driver(host, bucket, { prefix: "", redirect: false });
      return openTestRegistry({ driver, clock: host.clock });
    });
    assert.ok(left && right);
    using _left = left;
    using _right = right;
    const { digest, bytes } = await left.pushImage("a", "v1");
    const headers = { "content-type": "application/vnd.oci.image.manifest.v1+json" };
    const push = async (): Promise<Response> => {
      for (let wait = turn; wait > 0; wait -= 1) await new Promise((go) => setImmediate(go));
      return right.call("PUT", "/v2/a/manifests/v2", { body: bytes, headers });
    };
    const [deleted, pushed] = await Promise.all([left.call("DELETE", `/v2/a/manifests/${digest}`), push()]);
    assert.equal(deleted.status, 202);
    assert.equal(pushed.status, 201);
    const tags = await openRepository(left.driver, "a").tags();
    for (const tag of tags ?? [])
      assert.equal((await left.call("HEAD", `/v2/a/manifests/${tag}`)).status, 200, `${turn}`);
  }
});
