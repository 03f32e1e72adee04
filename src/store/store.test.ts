import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes } from "../core/bytes.ts";
import { readErofs } from "../format/erofs/read.ts";
import { createFakeHost } from "../host/fake.ts";
import { lookup } from "../tree/walk.ts";
import { addFixtureImage, base, fixtureDocuments, fixtureLayer, fixtureTar, open, upper, WORLDS } from "./testing.ts";
import { copyImage } from "./copy-image.ts";

for (const [name, make] of Object.entries(WORLDS)) {
  test(`a ${name} store gives back exactly what was imported, after it was opened again`, async (t) => {
    const world = make(t);
    {
      using store = open(world);
      await addFixtureImage(store, [base, upper], "localhost/os:1");
    }
    using store = open(world);
    const image = store.image("localhost/os:1");
    assert.ok(image);
    assert.deepEqual(image.names, ["localhost/os:1"]);
    assert.equal(image.manifestBytes.toString(), fixtureDocuments([base, upper]).manifestBytes.toString());
    for (const layer of [base, upper]) {
      assert.ok((await collectBytes(store.readLayer(layer.diffId))).equals(layer.tar));
      assert.ok((await collectBytes(store.readBlob(layer.descriptor.digest))).equals(layer.blob));
    }
    assert.deepEqual(
      store.images().map(({ digest }) => digest),
      [image.digest],
    );
    assert.equal(store.fsck({ repair: false }).length, 0);
  });

  test(`a ${name} store merges layers into a tree without reading objects`, async (t) => {
    using store = open(make(t));
    const image = await addFixtureImage(store, [base, upper]);
    for (const entry of ["usr/exactly65", "usr/large"]) {
      const node = lookup(store.readTree([base.diffId]), entry);
      assert.ok(node?.kind === "file" && node.content.kind === "external" && node.content.objectId !== undefined);
      assert.equal(store.readObject(node.content.objectId).length, node.size);
    }
    const tree = store.readTree(image.config.rootfs.diff_ids);
    assert.equal(lookup(tree, "etc/motd"), undefined);
    const small = lookup(tree, "usr/exactly64");
    assert.ok(small?.kind === "file" && small.content.kind === "inline");
    assert.equal(Buffer.from(small.content.bytes).toString(), "x".repeat(64));
    assert.equal(lookup(tree, "etc/issue")?.kind, "file");
  });

  test(`a ${name} store makes each form of an image once and remembers it`, async (t) => {
    const world = make(t);
    const ids: Record<string, string> = {};
    {
      using store = open(world);
      const image = await addFixtureImage(store, [base], "localhost/os:1");
      for (const form of ["raw", "oci", "boot"] as const) ids[form] = store.imageId(image, form);
      assert.equal(new Set(Object.values(ids)).size, 3);
      assert.ok(Object.values(ids).every((id) => /^[0-9a-f]{128}$/.test(id) && store.hasImage(id)));
    }
    using store = open(world);
    const image = store.image("localhost/os:1");
    assert.ok(image);
    // Not made again: the layer that it would be made of is gone.
    world.host.files.remove(`${store.path}/streams/oci-layer-${base.diffId}`);
    for (const form of ["raw", "oci", "boot"] as const) assert.equal(store.imageId(image, form), ids[form]);
    assert.equal(store.readImage(ids["boot"] ?? "").length % 4096, 0);
  });
}

for (const [how, link, algorithm] of [
  ["linked", true, "sha512"],
  ["copied", false, "sha512"],
  ["hashed anew", true, "sha256"],
] as const) {
  test(`copyImage() fills another store, ${how}`, async (t) => {
    const host = createFakeHost({ test: t });
    using from = open({ host, directory: "/d" });
    using to = open({ host, directory: "/t" }, { keepBlobs: false, algorithm });
    const image = await addFixtureImage(from, [base, upper], "localhost/os:1");
    const copied = await copyImage(host, from, to, image, { link });
    assert.equal(copied.digest, image.digest);
    to.tag("localhost/os:1", copied.digest);
    assert.ok((await collectBytes(to.readLayer(base.diffId))).equals(base.tar));
    assert.deepEqual(to.fsck({ repair: false }), []);
    if (algorithm === "sha512") assert.equal(to.imageId(copied, "boot"), from.imageId(image, "boot"));
    to.gc({ dryRun: false });
    assert.deepEqual(to.fsck({ repair: false }), []);
  });
}

test("objects get fs-verity where the file system can", async () => {
  const host = createFakeHost({ verity: true });
  using store = open({ host, directory: "/d" });
  assert.equal(store.verity, true);
  const id = store.putObject(Buffer.from("content of an object"));
  assert.equal(host.files.measureVerity(store.objectPath(id)), id);
  using without = open({ host: createFakeHost(), directory: "/d" });
  assert.equal(without.verity, false);
});

test("a root that no layer describes can be entered by everyone", async (t) => {
  using store = open({ host: createFakeHost({ test: t }), directory: "/d" });
  const plain = fixtureLayer(await fixtureTar({ etc: null }));
  const image = await addFixtureImage(store, [plain], "localhost/plain:1");
  assert.equal(readErofs(store.readImage(store.imageId(image, "raw"))).stat.mode, 0o755);
});
