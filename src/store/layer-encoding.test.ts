import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { decompress } from "../core/compress.ts";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import { layerCompression } from "../oci/media-types.ts";
import { encodingOf, LAYER_ENCODINGS, recompressImage, toEncoding } from "./layer-encoding.ts";
import { openStore } from "./open.ts";
import type { Store } from "./store.ts";
import { addFixtureImage, fixtureLayer, fixtureTar } from "./testing.ts";

const tar = await fixtureTar({ etc: null, "etc/hostname": "box\n", "etc/text": "text ".repeat(100) });

function openFixture(): Store {
  return openStore(createFakeHost(), "/d/composefs", { keepBlobs: true, create: true, access: "shared" });
}

for (const encoding of LAYER_ENCODINGS) {
  test(`addLayer() compresses as ${encoding}, the same each time`, async () => {
    using store = openFixture();
    const { descriptor, diffId } = await store.addLayer(streamOf(tar), { encoding });
    assert.equal(diffId, digestOf(tar));
    assert.equal(encodingOf(descriptor), encoding);
    const blob = await collectBytes(store.readBlob(descriptor.digest));
    assert.deepEqual([digestOf(blob), blob.length], [descriptor.digest, descriptor.size]);
    const compression = layerCompression(descriptor.mediaType);
    assert.ok(compression !== undefined);
    assert.ok((await collectBytes(decompress(streamOf(blob), compression))).equals(tar));
    using other = openFixture();
    assert.deepEqual(await other.addLayer(streamOf(tar), { encoding }), { descriptor, diffId });
  });
}

test("recompressImage() changes the layers' blobs and nothing else, and gives back what needs no change", async () => {
  using store = openFixture();
  const image = await addFixtureImage(store, [fixtureLayer(tar, "gzip")]);
  assert.equal((await recompressImage(store, image, "gzip")).digest, image.digest);
  const chunked = await recompressImage(store, image, "zstd:chunked");
  assert.deepEqual(chunked.config, image.config);
  assert.deepEqual(chunked.manifest.layers.map(encodingOf), ["zstd:chunked"]);
  assert.equal((await recompressImage(store, chunked, "zstd:chunked")).digest, chunked.digest);
  const plain = await recompressImage(store, chunked, "zstd");
  assert.deepEqual(plain.manifest.layers.map(encodingOf), ["zstd"]);
});

test("toEncoding() refuses another word", () => {
  assert.throws(
    () => toEncoding("xz"),
    (error) => isFailure(error, "usage"),
  );
});
