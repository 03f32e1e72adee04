/** Deltas between images of real stores: made, applied, and refused when they are wrong. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { zstdCompressSync, constants } from "node:zlib";
import { test } from "node:test";
import { collectBytes, streamOf } from "../../core/bytes.ts";
import { digestOf } from "../../core/digest.ts";
import { type FailureCode, isFailure } from "../../core/failure.ts";
import { memoized } from "../../core/memoized.ts";
import { writeNewc } from "../../format/cpio/newc.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { SCRATCH } from "../../host/scratch.ts";
import { openStore, type OpenStoreOptions } from "../open.ts";
import type { Store, StoredImage } from "../store.ts";
import { addFixtureImage, type FixtureEntries, fixtureLayer, fixtureTar, noise } from "../testing.ts";
import { readDelta } from "../../format/delta/delta-file.ts";

/** Without worker threads, unless a test is about them: each would load its code anew, for few bytes. */
const host = { ...createLinuxHost(), threads: false };

interface World extends Disposable {
  open(name: string, options?: Partial<OpenStoreOptions>): Store;
}

function openWorld(): World {
  const resources = new DisposableStack();
  const directory = resources.use(host.files.temporaryDirectory(`${SCRATCH}/berth-delta-test-`));
  return {
    open: (name, options) => {
      const path = `${directory.path}/${name}/composefs`;
      host.files.makeDirectory(path);
      return resources.use(openStore(host, path, { keepBlobs: false, create: true, access: "shared", ...options }));
    },
    [Symbol.dispose]: () => resources.dispose(),
  };
}

const addImage = async (store: Store, ...trees: readonly FixtureEntries[]): Promise<StoredImage> =>
  addFixtureImage(
    store,
    await Promise.all(trees.map(async (entries) => fixtureLayer(await fixtureTar(entries), "none"))),
  );

const module = (version: string): Buffer => {
  const bytes = Buffer.from(noise(200_000, "module"));
  for (let at = 64; at < bytes.length; at += 500) bytes.write(version, at);
  return bytes;
};
const gzip = (bytes: Buffer, level: string): Buffer => execFileSync("gzip", ["-n", "-c", level], { input: bytes });
const zstd = (bytes: Buffer): Buffer => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 9 } });
const initramfs = (version: string): Buffer =>
  writeNewc([
    { kind: "file", path: "init", mode: 0o755, content: Buffer.from(`init of ${version}`) },
    { kind: "file", path: "fs.ko", mode: 0o644, content: module(version) },
  ]);

const tree = memoized(
  (version: string): FixtureEntries => ({
    "": null,
    boot: null,
    [`boot/initrd-${version}`]: gzip(initramfs(version), "-6"),
    "initramfs.img": zstd(initramfs(version)),
    [`modules-${version}`]: null,
    [`modules-${version}/fs.ko`]: module(version),
    "changelog.gz": gzip(
      Buffer.concat([Buffer.from(`changes in ${version}\n`), Buffer.from(noise(60_000, "log").toString("hex"))]),
      "-9",
    ),
    // More than a group once expanded.
    "packed.gz": gzip(Buffer.concat([noise(20_000, "packed"), Buffer.alloc(9_000_000), Buffer.from(version)]), "-6"),
    large: Buffer.concat([noise(5_000_000, "large"), Buffer.from(version), noise(4_000_000, "more")]),
    same: noise(300_000, "same"),
    small: version,
    [`new-in-${version}`]: noise(1000, version),
  }),
);

test("a delta makes the new layers on a machine that has the old image, and moves little", async () => {
  using world = openWorld();
  const [builder, machine] = [world.open("builder"), world.open("machine")];
  const base: FixtureEntries = { "": null, base: noise(1000, "base") };
  const old = await addImage(builder, base, tree("1.0"));
  await addImage(machine, base, tree("1.0"));
  const next = await addImage(builder, base, tree("1.1"), { "": null, top: "of all", "large-top": noise(500, "top") });
  const delta = await builder.createDelta(old, next);
  assert.deepEqual([delta.old, delta.next, delta.layers], [old.digest, next.digest, 2]);
  assert.ok(delta.bytes < 12_000, `${delta.bytes} bytes`);

  const layers = next.config.rootfs.diff_ids.slice(1);
  await machine.applyDelta(streamOf(...delta.chunks), { layers });
  const made = machine.saveImage(next);
  assert.equal(machine.imageId(made, "raw"), builder.imageId(next, "raw"));
  for (const diffId of layers) assert.equal(digestOf(await collectBytes(machine.readLayer(diffId))), diffId);
  assert.deepEqual(machine.fsck({ repair: false }), []);
});

test("a delta's bytes depend on the two images only, with worker threads and without; an initramfs is compared expanded", async () => {
  using world = openWorld();
  const store = world.open("store");
  const [old, next] = [await addImage(store, tree("1")), await addImage(store, tree("2"))];
  const single = await store.createDelta(old, next);
  using threaded = openStore({ ...host, threads: true }, store.path, { keepBlobs: false, access: "shared" });
  assert.deepEqual(Buffer.concat((await threaded.createDelta(old, next)).chunks), Buffer.concat(single.chunks));
  const { index } = await readDelta(streamOf(...single.chunks));
  assert.deepEqual(
    index.contents
      .map(({ packing }) => packing.kind)
      .filter((kind) => kind !== "none")
      .sort(),
    ["choices", "choices", "choices", "gzip", "gzip", "gzip", "zstd"],
  );
});

test("createDelta() refuses an image without a new layer", async () => {
  using world = openWorld();
  const store = world.open("store");
  const image = await addImage(store, tree("1"));
  await assert.rejects(store.createDelta(image, image), (error) => isFailure(error, "bad-input"));
});

/** Enough for what is refused. */
const twig = (version: string): FixtureEntries => ({
  "": null,
  file: Buffer.concat([noise(3000, "file"), Buffer.from(version)]),
  other: noise(500, version),
});

interface Wrong {
  readonly what: string;
  readonly code: FailureCode;
  readonly machine?: Partial<OpenStoreOptions>;
  readonly has?: FixtureEntries;
  readonly damage?: (file: Buffer) => Buffer;
  readonly wants?: FixtureEntries;
}

const WRONG: readonly Wrong[] = [
  { what: "a machine without the old image", code: "not-found", has: twig("0") },
  { what: "a store of another algorithm", code: "unsupported", machine: { algorithm: "sha256" } },
  { what: "a layer that it does not make", code: "bad-input", wants: twig("3") },
  { what: "a file that ends early", code: "bad-input", damage: (file) => file.subarray(0, -10) },
  { what: "a file that goes on", code: "bad-input", damage: (file) => Buffer.concat([file, Buffer.from("more")]) },
  { what: "no delta", code: "bad-input", damage: () => Buffer.from("<html>no such page</html>") },
];
for (const { what, code, machine: options, has = twig("1"), damage, wants = twig("2") } of WRONG) {
  test(`applyDelta() refuses ${what} and gives no layer a name`, async () => {
    using world = openWorld();
    const [builder, machine] = [world.open("builder"), world.open("machine", options)];
    const delta = await builder.createDelta(await addImage(builder, twig("1")), await addImage(builder, twig("2")));
    await addImage(machine, has);
    const diffId = digestOf(await fixtureTar(wants));
    const file = Buffer.concat(delta.chunks);
    const given = damage === undefined ? file : damage(file);
    await assert.rejects(machine.applyDelta(streamOf(given), { layers: [diffId] }), (error) => isFailure(error, code));
    assert.equal(machine.hasLayer(diffId), false);
    assert.deepEqual(machine.fsck({ repair: false }), []);
  });
}

test("applyDelta() on any damage fails without a layer, or makes the very same", async () => {
  using world = openWorld();
  const builder = world.open("builder");
  const next = await addImage(builder, twig("2"));
  const delta = await builder.createDelta(await addImage(builder, twig("1")), next);
  const file = Buffer.concat(delta.chunks);
  const [diffId] = next.config.rootfs.diff_ids;
  assert.ok(diffId !== undefined);
  for (let at = 0; at < file.length; at += 37) {
    const machine = world.open(`machine${at}`);
    await addImage(machine, twig("1"));
    const damaged = Buffer.from(file);
    damaged[at] = (damaged[at] ?? 0) ^ 0x55;
    try {
      await machine.applyDelta(streamOf(damaged), { layers: [diffId] });
      assert.equal(digestOf(await collectBytes(machine.readLayer(diffId))), diffId);
    } catch (error) {
      assert.ok(
        isFailure(error, "bad-input") || isFailure(error, "digest-mismatch") || isFailure(error, "not-found"),
        String(error),
      );
      assert.equal(machine.hasLayer(diffId), false);
    }
  }
});
