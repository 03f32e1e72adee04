import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import { lookup } from "../tree/walk.ts";
import { addFixtureImage, base, fixtureDocuments, open, upper } from "./testing.ts";

test("gc() keeps what names and live ids reach and deletes the rest", async (t) => {
  const host = createFakeHost({ test: t });
  using store = open({ host, directory: "/d" });
  const kept = await addFixtureImage(store, [base], "localhost/kept:1");
  const dropped = await addFixtureImage(store, [base, upper], "localhost/dropped:1");
  const keptId = store.imageId(kept, "oci");
  const droppedId = store.imageId(dropped, "oci");
  store.untag("localhost/dropped:1");
  host.files.write("/d/composefs/objects/.tmp-crashed", "half");
  host.files.write("/d/blobs/.tmp-crashed", "half");

  const before = host.calls.length;
  const dry = store.gc({ dryRun: true });
  assert.deepEqual(
    host.calls.slice(before).filter((call) => /^(remove|unlink|rename)/.test(call)),
    [],
  );
  const live = store.gc({ dryRun: false, liveIds: [droppedId] });
  assert.ok(live.objects > 0 && live.objects < dry.objects);
  assert.ok(store.hasImage(droppedId));
  const added = lookup(store.readTree([base.diffId]), "usr/large");
  assert.ok(
    added?.kind === "file" && added.content.kind === "external" && store.hasObject(added.content.objectId ?? ""),
  );

  const report = store.gc({ dryRun: false });
  assert.equal(report.images, 1);
  assert.equal(store.hasImage(droppedId), false);
  assert.ok(store.hasImage(keptId));
  assert.equal(store.hasLayer(upper.diffId), false);
  assert.equal(store.hasBlob(upper.descriptor.digest), false);
  assert.ok(store.hasBlob(base.descriptor.digest));
  assert.deepEqual(store.fsck({ repair: false }), []);
  assert.equal(store.imageId(kept, "oci"), keptId);
  assert.deepEqual(host.files.list("/d/blobs"), ["sha256"]);
  assert.deepEqual(store.gc({ dryRun: false }), {
    objects: 0,
    bytes: 0,
    images: 0,
    streams: 0,
    blobs: 0,
    leftovers: 0,
    dryRun: false,
  });
});

test("gc() is refused while somebody else has the store open", () => {
  const world = { host: createFakeHost(), directory: "/d" };
  using first = open(world);
  using second = open(world);
  assert.throws(
    () => first.gc({ dryRun: false }),
    (error) => isFailure(error, "busy"),
  );
  assert.ok(second.images().length === 0);
});

test("gc() keeps an image whose config another manifest has too", async (t) => {
  const host = createFakeHost({ test: t });
  using store = open({ host, directory: "/d" });
  const layers = [upper, base].sort((left, right) => (left.diffId < right.diffId ? 1 : -1));
  const image = await addFixtureImage(store, layers, "localhost/os:1");
  store.imageId(image, "raw");
  const { configBytes, manifestBytes } = fixtureDocuments(layers);
  const annotated = Buffer.from(manifestBytes.toString().replace(/}$/, ',"annotations":{"a":"b"}}'));
  const second = store.saveImage({ configBytes, manifestBytes: annotated });
  assert.notEqual(second.digest, image.digest);
  store.gc({ dryRun: false });
  assert.deepEqual(
    store.images().map(({ names }) => names),
    [["localhost/os:1"]],
  );
  assert.equal(store.readTree(image.config.rootfs.diff_ids).kind, "directory");
});

test("gc() deletes nothing when a named image cannot be read, or no names directory is there", async () => {
  const host = createFakeHost();
  using store = open({ host, directory: "/d" });
  const image = await addFixtureImage(store, [base], "localhost/os:1");
  const link = host.files.readlink(`/d/composefs/streams/oci-manifest-${image.digest}`);
  host.files.write(`/d/composefs/streams/${link}`, "damaged");
  assert.throws(
    () => store.gc({ dryRun: false }),
    (error) => isFailure(error, "corrupt"),
  );
  assert.ok(store.hasLayer(base.diffId));
  host.files.remove("/d/composefs/streams/refs");
  assert.throws(
    () => store.gc({ dryRun: false }),
    (error) => isFailure(error, "corrupt"),
  );
  assert.ok(store.hasLayer(base.diffId));
});
