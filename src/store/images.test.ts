import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import {
  addFixtureImage,
  base,
  type FixtureLayer,
  fixtureDocuments,
  fixtureLayer,
  fixtureTar,
  open,
  upper,
} from "./testing.ts";
import type { Store } from "./store.ts";

const other = digestOf("something else");

test("image() finds by name, name without tag, digest, and a unique prefix of the id", async () => {
  using store = open({ host: createFakeHost(), directory: "/d" });
  const image = await addFixtureImage(store, [base], "localhost/os:latest");
  const id = image.manifest.config.digest.slice(7);
  for (const name of ["localhost/os:latest", "localhost/os", image.digest, id, id.slice(0, 6)]) {
    assert.equal(store.image(name)?.digest, image.digest, name);
  }
  for (const name of ["localhost/os:1", "os", id.slice(0, 5), `${id.slice(0, 6)}x`, other])
    assert.equal(store.image(name), undefined, name);
});

test("tag() moves a name, untag() takes it away", async () => {
  using store = open({ host: createFakeHost(), directory: "/d" });
  const first = await addFixtureImage(store, [base], "registry.example.com:5000/team/os:1");
  const second = await addFixtureImage(store, [base, upper], "registry.example.com:5000/team/os:1");
  assert.notEqual(first.digest, second.digest);
  assert.equal(store.image("registry.example.com:5000/team/os:1")?.digest, second.digest);
  assert.deepEqual(store.image(first.digest)?.names, []);
  assert.equal(store.untag("registry.example.com:5000/team/os:1"), true);
  assert.equal(store.untag("registry.example.com:5000/team/os:1"), false);
  assert.throws(
    () => store.tag("localhost/x", other),
    (error) => isFailure(error, "not-found"),
  );
  assert.throws(
    () => store.tag(".", second.digest),
    (error) => isFailure(error, "bad-input"),
  );
});

test("saveImage() refuses documents that do not fit together", async () => {
  using store = open({ host: createFakeHost(), directory: "/d" });
  const documents = fixtureDocuments([base]);
  assert.throws(
    () => store.saveImage(documents),
    (error) => isFailure(error, "not-found"),
  );
  await store.importLayer(streamOf(base.blob), base);
  assert.throws(
    () => store.saveImage({ ...documents, configBytes: Buffer.from("{}") }),
    (error) => isFailure(error, "digest-mismatch"),
  );
  assert.throws(
    () => store.saveImage({ ...documents, manifestBytes: Buffer.from("{}") }),
    (error) => isFailure(error, "bad-input"),
  );
  assert.deepEqual(store.images(), []);
});

test("an image whose manifest was changed on disk is refused", async () => {
  const host = createFakeHost();
  using store = open({ host, directory: "/d" });
  const image = await addFixtureImage(store, [base], "localhost/os:1");
  const bytes = fixtureDocuments([base], "2027-01-01T00:00:00Z").manifestBytes;
  const tampered = host.files
    .list("/d/composefs/objects")
    .flatMap((fan) =>
      host.files.list(`/d/composefs/objects/${fan}`).map((rest) => `/d/composefs/objects/${fan}/${rest}`),
    )
    .find((path) => host.files.read(path).equals(image.manifestBytes));
  assert.ok(tampered);
  host.files.write(tampered, bytes);
  assert.throws(
    () => store.image("localhost/os:1"),
    (error) => isFailure(error, "corrupt"),
  );
});

test("saveImage() takes a layer twice, and no layer under the diff id of another, whether it is here or not", async (t) => {
  const doubled = { ...base, diffId: upper.diffId };
  for (const here of [[], [base], [base, upper]]) {
    using store = open({ host: createFakeHost({ test: t }), directory: "/d" });
    if (here.length > 0) await addFixtureImage(store, here, "localhost/here:1");
    for (const layers of [[base, doubled], [doubled]]) {
      await assert.rejects(
        // As a pull does it: what is here is not looked at again.
        importMissing(store, layers).then(() => store.saveImage(fixtureDocuments(layers))),
        (error) => isFailure(error, "digest-mismatch"),
      );
    }
    assert.equal(store.images().length, here.length > 0 ? 1 : 0);
    assert.equal((await addFixtureImage(store, [base, base])).manifest.layers.length, 2);
  }
});

async function importMissing(store: Store, layers: readonly FixtureLayer[]): Promise<void> {
  for (const { blob, descriptor, diffId } of layers) {
    if (store.hasLayer(diffId) && store.hasBlob(descriptor.digest)) continue;
    await store.importLayer(streamOf(blob), { descriptor, diffId });
  }
}

test("saveImage() refuses layers that make no tree, and keeps no image", async (t) => {
  using store = open({ host: createFakeHost({ test: t }), directory: "/d" });
  const file = fixtureLayer(await fixtureTar({ a: "a file" }));
  const below = fixtureLayer(await fixtureTar({ "a/b": "below it" }));
  const link = fixtureLayer(await fixtureTar({ s: { link: "x".repeat(5000) } }));
  const cases = [
    [[file, below], /"a" on its path is a file, wanted a directory/],
    [[link], /its target has 5000 bytes/],
  ] as const;
  for (const [layers, why] of cases) {
    await assert.rejects(addFixtureImage(store, layers, "localhost/bad:1"), (error) => {
      assert.ok(isFailure(error, "bad-input"));
      assert.match(error.message, /^Cannot save image "sha256:[0-9a-f]{64}": its layers make no file system$/);
      return why.test(String(error.cause));
    });
    assert.deepEqual(store.images(), []);
  }
  await addFixtureImage(store, [below], "localhost/good:1");
  assert.deepEqual(
    store.images().map(({ names }) => names),
    [["localhost/good:1"]],
  );
});
