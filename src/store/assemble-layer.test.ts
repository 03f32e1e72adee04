import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { readRecipe, tablesRange } from "../format/zstd-chunked/read.ts";
import { parseAnnotations } from "../format/zstd-chunked/frames.ts";
import { expandFrames } from "../core/compress.ts";
import { createFakeHost, type FakeHost } from "../host/fake.ts";
import type { LayerPart } from "./assemble-layer.ts";
import { encodeLayer } from "./layer-encoding.ts";
import { openStore } from "./open.ts";
import type { Store } from "./store.ts";
import {
  addFixtureImage,
  type FixtureEntries,
  type FixtureLayer,
  fixtureLayer,
  fixtureTar,
  noise,
  ROOT,
} from "./testing.ts";

const ROOTS = "/d/composefs";

function open(host: FakeHost, path = ROOTS): Store {
  return openStore(host, path, { keepBlobs: false, create: true, access: "shared" });
}

/** As a client that fetches what `store` lacks; counts the files that were there. */
async function partsOf(store: Store, tar: Buffer): Promise<{ parts: LayerPart[]; reused: number }> {
  const encoded = encodeLayer(streamOf(tar), "zstd:chunked");
  const blob = await collectBytes(encoded.bytes);
  const positions = parseAnnotations(encoded.annotations(), blob.length);
  assert.ok(positions !== undefined);
  const { start, end } = tablesRange(positions);
  const contents = store.contents();
  let reused = 0;
  const parts = [...readRecipe(positions, blob.subarray(start, end)).steps()].map((step): LayerPart => {
    if (step.kind === "raw") return { kind: "bytes", bytes: step.bytes };
    const { digest, sizeBytes, offset, endOffset } = step.file;
    const found = contents.find(digest);
    if (found === undefined) return { kind: "bytes", bytes: expandFrames(blob.subarray(offset, endOffset), sizeBytes) };
    reused += 1;
    return found.kind === "inline" ? { kind: "bytes", bytes: found.bytes } : { ...found, sizeBytes, digest };
  });
  return { parts, reused };
}

/** Splitstream, index and objects of a layer: all that an import leaves. */
function traces(host: FakeHost, path: string, diffId: Digest): unknown {
  const stream = host.files.readlink(`${path}/streams/oci-layer-${diffId}`);
  const objectId = stream.split("/").slice(-2).join("");
  return [stream, host.files.read(`${path}/contents/${objectId}`).toString("hex")];
}

const before = fixtureLayer(await fixtureTar(ROOT));
const next: FixtureEntries = { ...ROOT, "usr/large": noise(120_000, "newer"), "usr/added": noise(5000, "added") };
const after = fixtureLayer(await fixtureTar(next));

async function openWith(layer: FixtureLayer): Promise<{ host: FakeHost; store: Store }> {
  const host = createFakeHost();
  const store = open(host);
  await addFixtureImage(store, [layer], "localhost/os:1");
  return { host, store };
}

test("assembleLayer() leaves exactly what an import of the whole layer leaves", async () => {
  const { host, store } = await openWith(before);
  using _ = store;
  const { parts, reused } = await partsOf(store, after.tar);
  assert.equal(reused, 5, "all files but the changed and the added one");
  await store.assembleLayer(parts, after);
  assert.ok((await collectBytes(store.readLayer(after.diffId))).equals(after.tar));
  using whole = open(host, "/e/composefs");
  await addFixtureImage(whole, [after]);
  assert.deepEqual(traces(host, ROOTS, after.diffId), traces(host, "/e/composefs", after.diffId));
  assert.equal(store.writeImage(store.readTree([after.diffId])), whole.writeImage(whole.readTree([after.diffId])));
});

test("assembleLayer() over random pairs of trees gives the tree of a whole import", async () => {
  const content = fc.oneof(
    fc.integer({ min: 0, max: 200 }).map((size) => noise(size, "short")),
    fc.integer({ min: 0, max: 3 }).map((seed) => noise(3000, `long ${seed}`)),
  );
  const tree = fc
    .dictionary(fc.constantFrom("a", "b", "c", "d", "e", "f"), content)
    .map((files): FixtureEntries => ({ "": null, ...files }));
  await fc.assert(
    fc.asyncProperty(tree, tree, async (old, young) => {
      const { host, store } = await openWith(fixtureLayer(await fixtureTar(old)));
      using _ = store;
      const tar = await fixtureTar(young);
      await store.assembleLayer((await partsOf(store, tar)).parts, { diffId: digestOf(tar) });
      using whole = open(host, "/e/composefs");
      await addFixtureImage(whole, [fixtureLayer(tar)]);
      assert.deepEqual(traces(host, ROOTS, digestOf(tar)), traces(host, "/e/composefs", digestOf(tar)));
    }),
    { numRuns: 40 },
  );
});

test("contents() is made again where its files are missing or cut, and gc keeps what a layer needs", async () => {
  const { host, store } = await openWith(before);
  using _ = store;
  const wanted = digestOf(noise(100_000, "large"));
  const known = store.contents().find(wanted);
  assert.equal(known?.kind, "object");
  const [name = ""] = host.files.list(`${ROOTS}/contents`);
  const saved = host.files.read(`${ROOTS}/contents/${name}`);
  store.gc({ dryRun: false });
  assert.deepEqual(host.files.list(`${ROOTS}/contents`), [name]);
  host.files.write(`${ROOTS}/contents/${name}`, saved.subarray(1));
  assert.deepEqual(store.contents().find(wanted), known);
  host.files.remove(`${ROOTS}/contents`);
  assert.deepEqual(store.contents().find(wanted), known);
  assert.ok(host.files.read(`${ROOTS}/contents/${name}`).equals(saved));
  store.untag("localhost/os:1");
  store.gc({ dryRun: false });
  assert.deepEqual(host.files.list(`${ROOTS}/contents`), []);
});

test("contents() passes over a layer that is damaged", async () => {
  const { host, store } = await openWith(before);
  using _ = store;
  await addFixtureImage(store, [after], "localhost/os:2");
  const stream = host.files.readlink(`${ROOTS}/streams/oci-layer-${after.diffId}`);
  host.files.write(`${ROOTS}/streams/${stream}`, "junk");
  const contents = store.contents();
  assert.equal(contents.find(digestOf(noise(100_000, "large")))?.kind, "object");
  assert.equal(contents.find(digestOf(noise(120_000, "newer"))), undefined);
});

const bytes = (value: Uint8Array): LayerPart => ({ kind: "bytes", bytes: value });
const object = (sizeBytes: number, objectId = "00".repeat(64)): LayerPart => ({
  kind: "object",
  objectId,
  sizeBytes,
  digest: digestOf("x"),
});
const BAD: readonly (readonly [what: string, code: string, parts: readonly LayerPart[]])[] = [
  ["another layer's parts", "digest-mismatch", [bytes(before.tar)]],
  ["a tar that is cut", "bad-input", [bytes(after.tar.subarray(0, 4000))]],
  ["bytes that are no tar", "bad-input", [bytes(noise(2000, "no tar"))]],
  ["an object where a header is wanted", "bad-input", [object(512)]],
  ["an object of another size", "bad-input", [bytes(await fileHeader(100)), object(101)]],
  ["an object that is not here", "not-found", [bytes(await fileHeader(100)), object(100)]],
];
for (const [what, code, parts] of BAD) {
  test(`assembleLayer() refuses ${what} and leaves no layer`, async () => {
    const { host, store } = await openWith(before);
    using _ = store;
    await assert.rejects(store.assembleLayer(parts, after), (error) => isFailure(error) && error.code === code);
    assert.equal(store.hasLayer(after.diffId), false);
    assert.deepEqual(
      host.files.list(`${ROOTS}/objects`).filter((name) => name.startsWith(".")),
      [],
    );
  });
}

async function fileHeader(sizeBytes: number): Promise<Buffer> {
  const tar = await fixtureTar({ file: Buffer.alloc(sizeBytes, "x") });
  return tar.subarray(0, 512);
}
