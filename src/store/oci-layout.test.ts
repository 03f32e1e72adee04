import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes } from "../core/bytes.ts";
import { digestHex, digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeHost, type FakeHost } from "../host/fake.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { addToIndex, chooseManifest, parseLayoutReference } from "../oci/layout.ts";
import { parseManifest } from "../oci/manifest.ts";
import { INDEX, MANIFEST } from "../oci/media-types.ts";
import { addFixtureImage, fixtureDocuments, fixtureLayer, fixtureTar, ROOT } from "./testing.ts";
import { exportLayout, importLayout } from "./oci-layout.ts";
import { openStore } from "./open.ts";

const layer = fixtureLayer(await fixtureTar(ROOT));
const documents = fixtureDocuments([layer]);
const manifest = parseManifest(documents.manifestBytes.toString());
const digest = digestOf(documents.manifestBytes);

const REFERENCES = [
  ["oci:dir", "dir", undefined],
  ["oci:/abs/dir:1.0", "/abs/dir", "1.0"],
  ["oci:a:b/c", "a:b/c", undefined],
  ["oci:dir:localhost", "dir", "localhost"],
] as const;
for (const [text, directory, name] of REFERENCES) {
  test(`parseLayoutReference() reads ${text}`, () => assert.deepEqual(parseLayoutReference(text), { directory, name }));
}
for (const text of ["dir", "oci:", "oci::tag", "oci:dir:", "docker://x/y"]) {
  test(`parseLayoutReference() refuses ${text}`, () => assert.throws(() => parseLayoutReference(text), SyntaxError));
}

const blob = (bytes: Buffer): Record<string, Buffer> => ({ [`/in/blobs/sha256/${digestHex(digestOf(bytes))}`]: bytes });

function layoutFiles(
  index: object = {
    schemaVersion: 2,
    manifests: [
      {
        mediaType: MANIFEST,
        digest,
        size: documents.manifestBytes.length,
        annotations: { "org.opencontainers.image.ref.name": "1" },
      },
    ],
  },
): Record<string, string | Buffer> {
  return {
    "/in/oci-layout": '{"imageLayoutVersion":"1.0.0"}',
    "/in/index.json": JSON.stringify(index),
    ...blob(documents.manifestBytes),
    ...blob(documents.configBytes),
    ...blob(layer.blob),
  };
}

async function importFrom(host: FakeHost, name?: string): Promise<string> {
  using store = openStore(host, "/d/composefs", { keepBlobs: true, create: true, access: "shared" });
  return (await importLayout(host, store, { directory: "/in", name })).digest;
}

test("importLayout() takes the only image, or the named one", async () => {
  assert.equal(await importFrom(createFakeHost({ files: layoutFiles() })), digest);
  assert.equal(await importFrom(createFakeHost({ files: layoutFiles() }), "1"), digest);
});

test("importLayout() follows an index inside the index to this architecture", async () => {
  const inner = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: [
        { mediaType: MANIFEST, digest: digestOf("arm"), size: 3, platform: { os: "linux", architecture: "arm64" } },
        {
          mediaType: MANIFEST,
          digest,
          size: documents.manifestBytes.length,
          platform: { os: "linux", architecture: "amd64" },
        },
      ],
    }),
  );
  const outer = { schemaVersion: 2, manifests: [{ mediaType: INDEX, digest: digestOf(inner), size: inner.length }] };
  const files = { ...layoutFiles(outer), ...blob(inner) };
  assert.equal(await importFrom(createFakeHost({ files, architecture: "amd64" })), digest);
  await assert.rejects(
    importFrom(createFakeHost({ files, architecture: "riscv64" })),
    (error) =>
      isFailure(error, "bad-input") && /linux\/riscv64, there is: linux\/arm64, linux\/amd64/.test(error.message),
  );
});

const blobName = (bytes: Buffer): string => `/in/blobs/sha256/${digestHex(digestOf(bytes))}`;
const BAD: readonly (readonly [what: string, code: string, files: Record<string, string | Buffer>, name?: string])[] = [
  ["a folder that is none", "not-found", { "/in/other": "" }],
  ["a folder without index.json", "not-found", { "/in/oci-layout": '{"imageLayoutVersion":"1.0.0"}' }],
  ["another layout version", "bad-input", { ...layoutFiles(), "/in/oci-layout": '{"imageLayoutVersion":"2.0.0"}' }],
  ["an index that is no JSON", "bad-input", { ...layoutFiles(), "/in/index.json": "{" }],
  ["an empty index", "bad-input", layoutFiles({ schemaVersion: 2, manifests: [] })],
  ["an unknown name", "bad-input", layoutFiles(), "2"],
  [
    "a changed manifest",
    "digest-mismatch",
    {
      ...layoutFiles(),
      [blobName(documents.manifestBytes)]: documents.manifestBytes
        .toString()
        .replace("2026", "2027")
        .replace("sha256", "sha512"),
    },
  ],
  [
    "a changed config",
    "digest-mismatch",
    { ...layoutFiles(), [blobName(documents.configBytes)]: documents.configBytes.toString().replace("2026", "2027") },
  ],
  [
    "a changed layer",
    "digest-mismatch",
    { ...layoutFiles(), [blobName(layer.blob)]: Buffer.concat([layer.blob.subarray(0, -1), Buffer.from("!")]) },
  ],
  [
    "a missing layer",
    "not-found",
    Object.fromEntries(Object.entries(layoutFiles()).filter(([path]) => path !== blobName(layer.blob))),
  ],
];
for (const [what, code, files, name] of BAD) {
  test(`importLayout() refuses ${what}`, async () => {
    const host = createFakeHost({ files });
    await assert.rejects(importFrom(host, name), (error) => isFailure(error) && error.code === code);
    assert.deepEqual(host.files.list("/d/composefs/streams"), ["refs"]);
  });
}

const falsified: readonly (readonly [what: string, change: object, code: string])[] = [
  ["another size", { size: layer.descriptor.size + 1 }, "digest-mismatch"],
  ["a media type that is no layer", { mediaType: "application/x-foo" }, "bad-input"],
];
for (const [what, change, code] of falsified) {
  test(`importLayout() refuses ${what} for a layer that is here already`, async () => {
    const manifest = JSON.parse(documents.manifestBytes.toString());
    const bytes = Buffer.from(JSON.stringify({ ...manifest, layers: [{ ...manifest.layers[0], ...change }] }));
    const index = {
      schemaVersion: 2,
      manifests: [{ mediaType: MANIFEST, digest: digestOf(bytes), size: bytes.length }],
    };
    const host = createFakeHost({ files: layoutFiles() });
    await importFrom(host);
    for (const [path, content] of Object.entries({ ...layoutFiles(index), ...blob(bytes) }))
      host.files.write(path, content);
    await assert.rejects(importFrom(host), (error) => isFailure(error) && error.code === code);
    using store = openStore(host, "/d/composefs", { keepBlobs: true, create: false, access: "shared" });
    assert.equal(store.images().length, 1);
  });
}

test("importLayout() asks for space before it writes", async () => {
  const host = createFakeHost({ files: layoutFiles(), totalBytes: 120_000 });
  await assert.rejects(importFrom(host), (error) => isFailure(error, "no-space"));
});

test("exportLayout() asks for space before it makes the folder", async () => {
  const host = createFakeHost();
  using store = openStore(host, "/d/composefs", { keepBlobs: true, create: true, access: "shared" });
  const image = await addFixtureImage(store, [layer]);
  const space = (): { freeBytes: number; totalBytes: number } => ({ freeBytes: 10, totalBytes: 10 });
  const full = { ...host, files: { ...host.files, space } };
  await assert.rejects(exportLayout(full, store, image, { directory: "/new/folder", name: "a" }), {
    code: "no-space",
    hint: "free some space there, or name another folder",
  });
  assert.equal(host.files.exists("/new"), false);
});

test("exportLayout() writes what importLayout() reads, byte for byte, and keeps other images of the folder", async () => {
  const host = createFakeHost();
  using store = openStore(host, "/d/composefs", { keepBlobs: true, create: true, access: "shared" });
  const image = await addFixtureImage(store, [layer]);
  const upper = fixtureLayer(await fixtureTar({ usr: null, "usr/second": "x" }), "zstd");
  const second = await addFixtureImage(store, [layer, upper]);
  for (const name of ["a", "b", "a"])
    await exportLayout(host, store, name === "b" ? second : image, { directory: "/out", name });
  const index: unknown = JSON.parse(host.files.readText("/out/index.json"));
  assert.ok(typeof index === "object" && index !== null && "manifests" in index && Array.isArray(index.manifests));
  assert.equal(index.manifests.length, 2);
  using other = openStore(host, "/e/composefs", { keepBlobs: false, create: true, access: "shared" });
  assert.equal((await importLayout(host, other, { directory: "/out", name: "b" })).digest, second.digest);
  assert.equal((await importLayout(host, other, { directory: "/out", name: "a" })).digest, image.digest);
  assert.ok((await collectBytes(other.readLayer(upper.diffId))).equals(upper.tar));
});

test("exportLayout() makes a layer of berth again where blobs are not kept, and refuses another's gzip", async () => {
  const host = createFakeHost();
  using store = openStore(host, "/d/composefs", { keepBlobs: false, create: true, access: "shared" });
  const { descriptor, diffId } = await store.addLayer(
    (async function* () {
      yield layer.tar;
    })(),
  );
  const own = await addFixtureImage(store, [{ ...layer, descriptor, diffId }]);
  await exportLayout(host, store, own, { directory: "/out", name: undefined });
  using other = openStore(host, "/e/composefs", { keepBlobs: true, create: true, access: "shared" });
  assert.equal((await importLayout(host, other, { directory: "/out", name: undefined })).digest, own.digest);
  const foreign = await addFixtureImage(store, [layer]);
  await assert.rejects(exportLayout(host, store, foreign, { directory: "/out2", name: undefined }), (error) =>
    isFailure(error, "not-found"),
  );
});

test("exportLayout() goes on where another was broken off", async (t) => {
  const host = createFakeHost({ test: t });
  using store = openStore(host, "/d/composefs", { keepBlobs: true, create: true, access: "shared" });
  const image = await addFixtureImage(store, [layer], "localhost/os:1");
  const controller = new AbortController();
  controller.abort();
  await assert.rejects(
    exportLayout(host, store, image, { directory: "/out", name: "1" }, { signal: controller.signal }),
  );
  assert.deepEqual(host.files.list("/out"), ["oci-layout"]);
  await exportLayout(host, store, image, { directory: "/out", name: "1" });
  assert.equal((await importLayout(host, store, { directory: "/out", name: "1" })).digest, image.digest);
});

test("exportLayout() leaves nothing of one that was killed", async () => {
  const host = createFakeHost({ durability: "optimistic" });
  using store = openStore(host, "/d/composefs", { keepBlobs: true, create: true, access: "shared" });
  const image = await addFixtureImage(store, [layer]);
  const before = host.calls.length;
  await exportLayout(host, store, image, { directory: "/whole", name: "1" });
  const done = host.calls.slice(before).findIndex((call) => /^rename .*\/blobs\//.test(call));
  host.crashAt(done + 1);
  await assert.rejects(exportLayout(host, store, image, { directory: "/out", name: "1" }));
  host.reboot();
  assert.equal(
    host.files.list("/out").some((name) => name.startsWith(".export-")),
    true,
  );
  await exportLayout(host, store, image, { directory: "/out", name: "1" });
  for (const folder of ["", "/blobs", "/blobs/sha256"])
    assert.deepEqual(host.files.list(`/out${folder}`), host.files.list(`/whole${folder}`));
});

test("exportLayout() refuses a folder that holds something else", async () => {
  const host = createFakeHost({ files: { "/out/letter.txt": "dear" } });
  using store = openStore(host, "/d/composefs", { keepBlobs: true, create: true, access: "shared" });
  const image = await addFixtureImage(store, [layer]);
  await assert.rejects(exportLayout(host, store, image, { directory: "/out", name: undefined }), (error) =>
    isFailure(error, "bad-input"),
  );
  assert.deepEqual(host.files.list("/out"), ["letter.txt"]);
});

test("chooseManifest() wants a name when several fit", () => {
  const descriptor = { mediaType: MANIFEST, digest, size: 1 };
  const index = addToIndex(addToIndex(undefined, descriptor, { ref: "a" }), descriptor, { ref: "b" });
  const platform = { os: "linux", architecture: "amd64" };
  assert.throws(() => chooseManifest(index, { platform }), /2 images fit, wanted a name: one of a, b/);
  assert.equal(chooseManifest(index, { platform, name: "b" }).annotations?.["org.opencontainers.image.ref.name"], "b");
});

test("skopeo reads what exportLayout() writes, and what skopeo writes is imported", async () => {
  const host = createLinuxHost();
  using scratch = host.files.temporaryDirectory(`${SCRATCH}/berth-layout-`);
  const run = (...argv: string[]) => host.exec(argv, { timeoutMs: 60_000 });
  {
    using store = openStore(host, `${scratch.path}/one/composefs`, { keepBlobs: true, create: true, access: "shared" });
    const image = await addFixtureImage(store, [layer]);
    await exportLayout(host, store, image, { directory: `${scratch.path}/out`, name: "1" });
  }
  await run(
    "skopeo",
    "copy",
    "-q",
    "--dest-compress-format",
    "zstd",
    "--dest-compress",
    `oci:${scratch.path}/out:1`,
    `oci:${scratch.path}/again:2`,
  );
  await run(
    "skopeo",
    "copy",
    "-q",
    `oci:${scratch.path}/out:1`,
    `docker-archive:${scratch.path}/archive.tar:localhost/os:1`,
  );
  await run("skopeo", "copy", "-q", `docker-archive:${scratch.path}/archive.tar`, `oci:${scratch.path}/uncompressed:3`);
  for (const [folder, name] of [
    ["again", "2"],
    ["uncompressed", "3"],
  ] as const) {
    using store = openStore(host, `${scratch.path}/${folder}-store/composefs`, {
      keepBlobs: true,
      create: true,
      access: "shared",
    });
    const image = await importLayout(host, store, { directory: `${scratch.path}/${folder}`, name });
    assert.deepEqual(image.config.rootfs.diff_ids, [layer.diffId]);
    assert.ok((await collectBytes(store.readLayer(layer.diffId))).equals(layer.tar));
    assert.match(manifest.config.digest, /^sha256:/);
  }
});
