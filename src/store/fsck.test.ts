import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { lookup } from "../tree/walk.ts";
import { addFixtureImage, base, noise, open, upper } from "./testing.ts";

test("fsck() finds damage; with repair the next import brings everything again", async () => {
  const host = createFakeHost();
  using store = open({ host, directory: "/d" });
  const image = await addFixtureImage(store, [base, upper], "localhost/os:1");
  const id = store.imageId(image, "boot");
  const large = lookup(store.readTree([base.diffId]), "usr/large");
  assert.ok(large?.kind === "file" && large.content.kind === "external" && large.content.objectId !== undefined);
  host.files.write(store.objectPath(large.content.objectId), noise(100_000, "tampered"));
  host.files.write(`/d/blobs/sha256/${upper.descriptor.digest.slice(7)}`, "tampered");
  host.files.remove(store.objectPath(id));

  const problems = store.fsck({ repair: false });
  assert.deepEqual(problems.map(({ path }) => path.replace(/[0-9a-f]{20,}/g, "…")).sort(), [
    "/d/blobs/sha256/…",
    "/d/composefs/images/…",
    `/d/composefs/objects/${large.content.objectId.slice(0, 2)}/…`,
    "/d/composefs/streams/oci-layer-sha256:…",
  ]);
  assert.deepEqual(store.fsck({ repair: true }), problems);
  assert.deepEqual(store.fsck({ repair: false }), []);
  assert.equal(store.hasLayer(base.diffId), false);

  const again = await addFixtureImage(store, [base, upper], "localhost/os:1");
  assert.equal(store.imageId(again, "boot"), id);
  assert.deepEqual(store.fsck({ repair: false }), []);
  assert.ok(store.hasBlob(upper.descriptor.digest));
});
