import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes, streamOf } from "../core/bytes.ts";
import type { Compression } from "../core/compress.ts";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import { addFixtureImage, base, type FixtureLayer, fixtureLayer, noise, open } from "./testing.ts";

for (const compression of ["none", "gzip", "zstd"] as const satisfies readonly Compression[]) {
  test(`importLayer() takes ${compression} layers, cut anywhere`, async (t) => {
    const layer = fixtureLayer(base.tar, compression);
    for (const step of [1000, 65_536]) {
      using store = open({ host: createFakeHost({ test: t }), directory: "/d" });
      const chunks = Array.from({ length: Math.ceil(layer.blob.length / step) }, (_, i) =>
        layer.blob.subarray(i * step, (i + 1) * step),
      );
      let seen = 0;
      await store.importLayer(streamOf(...chunks), {
        descriptor: layer.descriptor,
        diffId: layer.diffId,
        onBytes: (count) => (seen += count),
      });
      assert.equal(seen, layer.blob.length);
      assert.ok((await collectBytes(store.readLayer(layer.diffId))).equals(layer.tar));
    }
  });
}

test("importLayer() keeps what follows the end-of-archive mark", async () => {
  using store = open({ host: createFakeHost(), directory: "/d" });
  const layer = fixtureLayer(Buffer.concat([base.tar, Buffer.alloc(9 * 1024), Buffer.from("trailer")]));
  await store.importLayer(streamOf(layer.blob), layer);
  assert.ok((await collectBytes(store.readLayer(layer.diffId))).equals(layer.tar));
});

const damaged = (change: (blob: Buffer) => Buffer): Buffer => change(Buffer.from(base.blob));
const other = digestOf("something else");
const BAD_LAYERS: readonly (readonly [what: string, code: string, layer: Partial<FixtureLayer>])[] = [
  ["a changed byte", "digest-mismatch", { blob: damaged((blob) => blob.fill(0, 1000, 1010)) }],
  ["a missing end", "digest-mismatch", { blob: damaged((blob) => blob.subarray(0, -100)) }],
  ["bytes after the end", "digest-mismatch", { blob: damaged((blob) => Buffer.concat([blob, blob])) }],
  ["another diff id", "digest-mismatch", { diffId: other }],
  [
    "content that is not gzip",
    "bad-input",
    fixtureLayer(base.tar, "none") && {
      ...fixtureLayer(Buffer.from("text")),
      blob: Buffer.from("text"),
      descriptor: { ...base.descriptor, digest: digestOf("text"), size: 4 },
    },
  ],
  ["a gzip of no tar", "bad-input", fixtureLayer(noise(3000, "no tar"))],
  ["a tar that ends inside a file", "bad-input", fixtureLayer(base.tar.subarray(0, 20_000))],
  [
    "an unknown media type",
    "unsupported",
    { descriptor: { ...base.descriptor, mediaType: "application/octet-stream" } },
  ],
];

for (const [what, code, change] of BAD_LAYERS) {
  test(`importLayer() refuses ${what} and leaves nothing but unnamed objects`, async (t) => {
    const host = createFakeHost({ test: t });
    using store = open({ host, directory: "/d" });
    const layer = { ...base, ...change };
    await assert.rejects(
      store.importLayer(streamOf(layer.blob.subarray(0, 700), layer.blob.subarray(700)), layer),
      (error) => isFailure(error) && error.code === code,
    );
    assert.equal(store.hasLayer(layer.diffId), false);
    assert.equal(store.hasBlob(layer.descriptor.digest), false);
    assert.deepEqual(host.files.list("/d/blobs"), []);
    assert.deepEqual(host.files.list("/d/composefs/streams"), ["refs"]);
    assert.deepEqual(
      host.files.list("/d/composefs/objects").filter((entry) => entry.startsWith(".")),
      [],
    );
  });
}

test("importLayer() ends when its signal is aborted, and closes its source", async () => {
  using store = open({ host: createFakeHost(), directory: "/d" });
  const controller = new AbortController();
  let closed = false;
  const source = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield base.blob.subarray(0, 100);
      controller.abort();
      yield base.blob.subarray(100);
    } finally {
      closed = true;
    }
  };
  await assert.rejects(store.importLayer(source(), { ...base, signal: controller.signal }));
  assert.ok(closed);
  assert.equal(store.hasLayer(base.diffId), false);
});

test("addLayer() compresses the same tar to the same blob and imports it", async () => {
  const digests: string[] = [];
  for (const keepBlobs of [true, false]) {
    using store = open({ host: createFakeHost(), directory: "/d" }, { keepBlobs });
    const pieces = keepBlobs ? [base.tar] : [base.tar.subarray(0, 7), base.tar.subarray(7)];
    const { descriptor, diffId } = await store.addLayer(streamOf(...pieces));
    digests.push(descriptor.digest);
    assert.equal(diffId, base.diffId);
    assert.ok((await collectBytes(store.readLayer(diffId))).equals(base.tar));
    assert.equal(store.hasBlob(descriptor.digest), keepBlobs);
    if (keepBlobs) assert.equal((await collectBytes(store.readBlob(descriptor.digest))).length, descriptor.size);
  }
  assert.equal(new Set(digests).size, 1);
});

test("a power cut at any call of an import leaves a store that is whole and imports again", async () => {
  const total = await (async () => {
    const host = createFakeHost();
    using store = open({ host, directory: "/d" });
    await addFixtureImage(store, [base], "localhost/os:1");
    return host.calls.length;
  })();
  for (let at = 1; at <= total; at += 1) {
    const host = createFakeHost({ crashAt: at });
    await assert.rejects(async () => {
      using store = open({ host, directory: "/d" });
      await addFixtureImage(store, [base], "localhost/os:1");
    }, `crash at ${at}`);
    host.reboot();
    using store = open({ host, directory: "/d" });
    if (store.hasLayer(base.diffId))
      assert.ok((await collectBytes(store.readLayer(base.diffId))).equals(base.tar), `crash at ${at}`);
    store.images();
    const image = await addFixtureImage(store, [base], "localhost/os:1");
    store.gc({ dryRun: false });
    assert.deepEqual(store.fsck({ repair: false }), [], `crash at ${at}`);
    assert.equal(store.image("localhost/os:1")?.digest, image.digest);
  }
});

test("a layer that is here already must have the size that its descriptor says", async (t) => {
  using store = open({ host: createFakeHost({ test: t }), directory: "/d" });
  await addFixtureImage(store, [base], "localhost/os:1");
  const descriptor = { ...base.descriptor, size: 5 };
  await assert.rejects(
    store.importLayer(streamOf(base.blob), { descriptor, diffId: base.diffId }),
    (error) => isFailure(error, "digest-mismatch") && /wanted 5/.test(error.message),
  );
});
