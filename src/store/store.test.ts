import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { collectBytes, streamOf } from "../core/bytes.ts";
import type { Compression } from "../core/compress.ts";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { readErofs } from "../format/erofs/read.ts";
import { createFakeHost } from "../host/fake.ts";
import type { Host } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { lookup } from "../tree/walk.ts";
import {
  addFixtureImage,
  type FixtureLayer,
  fixtureDocuments,
  fixtureLayer,
  fixtureTar,
  noise,
  ROOT,
} from "./testing.ts";
import { copyImage } from "./copy-image.ts";
import { openStore } from "./open.ts";
import { requireSpace } from "./space.ts";
import type { Store } from "./store.ts";
import { openWorkstationStore } from "./workstation.ts";

const base = fixtureLayer(await fixtureTar(ROOT));
const upper = fixtureLayer(
  await fixtureTar({
    etc: null,
    "etc/.wh.motd": "",
    "etc/issue": "second\n",
    usr: null,
    "usr/added": noise(5000, "added"),
  }),
  "zstd",
);

interface World {
  readonly host: Host;
  readonly directory: string;
}

const WORLDS: Readonly<Record<string, (t: TestContext) => World>> = {
  fake: (t) => ({ host: createFakeHost({ test: t }), directory: "/var/lib/store" }),
  "fake with verity": (t) => ({ host: createFakeHost({ test: t, verity: true }), directory: "/var/lib/store" }),
  linux: (t) => {
    const host = createLinuxHost();
    const scratch = host.files.temporaryDirectory(`${SCRATCH}/berth-store-`);
    t.after(() => scratch[Symbol.dispose]());
    return { host, directory: scratch.path };
  },
};

function open(
  world: World,
  options: { keepBlobs?: boolean; name?: string; algorithm?: "sha256" | "sha512" } = {},
): Store {
  const { name = "composefs", keepBlobs = true, ...rest } = options;
  return openStore(world.host, `${world.directory}/${name}`, { keepBlobs, create: true, access: "shared", ...rest });
}

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

const BAD_META: readonly (readonly [what: string, meta: string])[] = [
  ["no JSON", "{"],
  ["another version", '{"version":2,"algorithm":"fsverity-sha512-12"}'],
  ["another algorithm", '{"version":1,"algorithm":"fsverity-md5-12"}'],
  ["an unknown feature", '{"version":1,"algorithm":"fsverity-sha512-12","features":{"incompatible":["x"]}}'],
  [
    "an unknown read-only feature",
    '{"version":1,"algorithm":"fsverity-sha512-12","features":{"read-only-compatible":["x"]}}',
  ],
];
for (const [what, meta] of BAD_META) {
  test(`openStore() refuses a meta.json with ${what}`, () => {
    const host = createFakeHost({ files: { "/d/composefs/meta.json": meta } });
    assert.throws(
      () => open({ host, directory: "/d" }),
      (error) => isFailure(error, "unsupported"),
    );
  });
}

test("openStore() refuses a directory without a repository", () => {
  const host = createFakeHost({ files: { "/d/composefs": { directory: true } } });
  assert.throws(
    () => openStore(host, "/d/composefs", { keepBlobs: false, access: "shared" }),
    (error) => isFailure(error, "not-found"),
  );
});

test("openStore() writes the meta.json that composefs-rs expects", () => {
  const host = createFakeHost();
  using store = open({ host, directory: "/d" });
  assert.deepEqual(JSON.parse(host.files.readText(`${store.path}/meta.json`)), {
    version: 1,
    algorithm: "fsverity-sha512-12",
    features: { compatible: [], "read-only-compatible": ["v1_erofs"], incompatible: [] },
    erofs_formats: { default: 1 },
  });
});

test("openWorkstationStore() follows BERTH_STORE and says what is wrong with it", () => {
  const host = createFakeHost({ env: { BERTH_STORE: "/srv/images/" } });
  using store = openWorkstationStore(host);
  assert.equal(store.path, "/srv/images/composefs");
  assert.ok(store.keepsBlobs && host.files.exists("/srv/images/blobs"));
  assert.throws(
    () => openWorkstationStore(createFakeHost({ env: { BERTH_STORE: "relative" } })),
    (error) => isFailure(error, "usage"),
  );
});

test("requireSpace() names what is there and what is wanted", () => {
  const host = createFakeHost({ totalBytes: 1_000_000 });
  requireSpace(host, "/", 10, "pull x");
  assert.throws(
    () => requireSpace(host, "/", 5_000_000_000, "pull x"),
    (error) => isFailure(error, "no-space") && /^Cannot pull x: "\/" has .* free, wanted /.test(error.message),
  );
  assert.throws(
    () => requireSpace(host, "/new/folder", 5_000_000_000, "pull x"),
    (error) => isFailure(error, "no-space") && error.message.startsWith(`Cannot pull x: "/new/folder" has `),
  );
  assert.equal(host.files.exists("/new"), false);
});

test("a root that no layer describes can be entered by everyone", async (t) => {
  using store = open({ host: createFakeHost({ test: t }), directory: "/d" });
  const plain = fixtureLayer(await fixtureTar({ etc: null }));
  const image = await addFixtureImage(store, [plain], "localhost/plain:1");
  assert.equal(readErofs(store.readImage(store.imageId(image, "raw"))).stat.mode, 0o755);
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

test("a layer that is here already must have the size that its descriptor says", async (t) => {
  using store = open({ host: createFakeHost({ test: t }), directory: "/d" });
  await addFixtureImage(store, [base], "localhost/os:1");
  const descriptor = { ...base.descriptor, size: 5 };
  await assert.rejects(
    store.importLayer(streamOf(base.blob), { descriptor, diffId: base.diffId }),
    (error) => isFailure(error, "digest-mismatch") && /wanted 5/.test(error.message),
  );
});
