/** Deltas of kernel modules packed by the real xz, on machines with it, without it, and with another one. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { collectBytes, streamOf } from "../../core/bytes.ts";
import { digestOf } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import { memoized } from "../../core/memoized.ts";
import { readDelta } from "../../format/delta/delta-file.ts";
import type { Host } from "../../host/host.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { SCRATCH } from "../../host/scratch.ts";
import { openStore } from "../open.ts";
import type { Store, StoredImage } from "../store.ts";
import { addFixtureImage, type FixtureEntries, fixtureLayer, fixtureTar, noise } from "../testing.ts";
import type { Delta } from "./create-delta.ts";

/** Without worker threads, unless a test is about them. */
const host: Host = { ...createLinuxHost(), threads: false };
const withoutXz: Host = { ...host, which: (program) => (program === "xz" ? undefined : host.which(program)) };
/** Its xz makes files of the same size whose last byte but one is another. */
const withOtherXz: Host = {
  ...host,
  async exec(argv, options) {
    const { onStdout } = options;
    if (onStdout === undefined || !argv.includes("-zc")) return host.exec(argv, options);
    const change = (chunk: Uint8Array): Uint8Array =>
      chunk.map((byte, i) => (i === chunk.length - 2 ? byte ^ 1 : byte));
    return host.exec(argv, { ...options, onStdout: (chunk) => onStdout(change(chunk)) });
  },
};

const xz = (bytes: Buffer, words: readonly string[] = ["--check=crc32", "--lzma2=dict=1MiB", "-T2"]): Buffer =>
  execFileSync("xz", ["-c", ...words], { input: bytes });
const module = (version: string, name: string): Buffer => {
  const bytes = Buffer.from(noise(30_000, name).toString("hex"));
  for (let at = 64; at < bytes.length; at += 500) bytes.write(version, at);
  return bytes;
};
const damaged = (file: Buffer): Buffer => {
  const copy = Buffer.from(file);
  copy[5000] = (copy[5000] ?? 0) ^ 0xff;
  return copy;
};
const tree = memoized(
  (version: string): FixtureEntries => ({
    "": null,
    [`modules-${version}`]: null,
    ...Object.fromEntries(
      ["a", "b", "c"].map((name) => [`modules-${version}/${name}.ko.xz`, xz(module(version, name))] as const),
    ),
    "one-thread.xz": xz(module(version, "thread"), ["-T1", "--x86", "--lzma2"]),
  }),
);
/** Compared as they are. */
const strange = (version: string): FixtureEntries => ({
  "fast.xz": xz(module(version, "fast"), ["-1", "-T2"]),
  "damaged.xz": damaged(xz(module(version, "damaged"))),
  "zeros.xz": xz(Buffer.concat([Buffer.from(version), Buffer.alloc(9_000_000)])),
  "small.xz": xz(Buffer.from(version)),
});

interface World extends Disposable {
  open(name: string, on?: Host): Store;
}

function openWorld(): World {
  const resources = new DisposableStack();
  const directory = resources.use(host.files.temporaryDirectory(`${SCRATCH}/berth-xz-delta-test-`));
  return {
    open(name, on = host) {
      const path = `${directory.path}/${name}/composefs`;
      host.files.makeDirectory(path);
      return resources.use(openStore(on, path, { keepBlobs: false, create: true, access: "shared" }));
    },
    [Symbol.dispose]: () => resources.dispose(),
  };
}

const addImage = async (store: Store, entries: FixtureEntries): Promise<StoredImage> =>
  addFixtureImage(store, [fixtureLayer(await fixtureTar(entries), "none")]);

interface Update {
  readonly delta: Delta;
  readonly next: StoredImage;
}

async function makeUpdate(store: Store, entries: (version: string) => FixtureEntries): Promise<Update> {
  const [old, next] = [await addImage(store, entries("1.0")), await addImage(store, entries("2.0"))];
  return { delta: await store.createDelta(old, next), next };
}

async function packingsOf(delta: Delta): Promise<string[]> {
  const { index } = await readDelta(streamOf(...delta.chunks));
  return index.contents.map(({ packing }) => packing.kind).filter((kind) => kind !== "none");
}

test("xz files are compared expanded, and made again on another machine", async () => {
  using world = openWorld();
  const { delta, next } = await makeUpdate(world.open("builder"), tree);
  assert.deepEqual(await packingsOf(delta), ["xz", "xz", "xz", "xz"]);
  assert.deepEqual(delta.needs, ["xz"]);
  assert.ok(delta.bytes < 8000, `${delta.bytes} bytes`);
  const machine = world.open("machine");
  await addImage(machine, tree("1.0"));
  assert.equal(machine.hasDeltaPrograms(delta.needs), true);
  const layers = next.config.rootfs.diff_ids;
  await machine.applyDelta(streamOf(...delta.chunks), { layers });
  for (const diffId of layers) assert.equal(digestOf(await collectBytes(machine.readLayer(diffId))), diffId);
  assert.deepEqual(machine.fsck({ repair: false }), []);
  machine.saveImage(next);
  assert.equal(machine.gc({ dryRun: true }).leftovers, 0);
});

test("worker threads make the same bytes", async () => {
  using world = openWorld();
  const single = await makeUpdate(world.open("builder"), tree);
  const threaded = await makeUpdate(world.open("threaded", { ...host, threads: true }), tree);
  assert.deepEqual(Buffer.concat(threaded.delta.chunks), Buffer.concat(single.delta.chunks));
});

test("what xz would not make again, or for little, is compared as it is", async () => {
  using world = openWorld();
  const { delta } = await makeUpdate(world.open("builder"), (version) => ({ ...tree(version), ...strange(version) }));
  assert.deepEqual(await packingsOf(delta), ["xz", "xz", "xz", "xz"]);
});

test("keepXz compares all as they are", async () => {
  using world = openWorld();
  const store = world.open("builder");
  const { delta: small, next } = await makeUpdate(store, tree);
  const old = store.image(small.old);
  assert.ok(old !== undefined);
  const delta = await store.createDelta(old, next, { keepXz: true });
  assert.deepEqual([await packingsOf(delta), delta.needs], [[], []]);
  assert.ok(delta.bytes > 4 * small.bytes);
});

test("a builder without xz compares as it is, and its delta needs no xz", async () => {
  using world = openWorld();
  const { delta, next } = await makeUpdate(world.open("builder", withoutXz), tree);
  assert.deepEqual([await packingsOf(delta), delta.needs], [[], []]);
  const machine = world.open("machine", withoutXz);
  await addImage(machine, tree("1.0"));
  await machine.applyDelta(streamOf(...delta.chunks), { layers: next.config.rootfs.diff_ids });
});

const MACHINES: readonly (readonly [what: string, on: Host, hasProgram: boolean, message: RegExp])[] = [
  ["without xz", withoutXz, false, /needs xz, which is not installed/],
  ["whose xz makes other bytes", withOtherXz, true, /came out as/],
];
for (const [what, on, hasProgram, message] of MACHINES) {
  test(`applyDelta() fails on a machine ${what}, and leaves nothing behind`, async () => {
    using world = openWorld();
    const { delta, next } = await makeUpdate(world.open("builder"), tree);
    const machine = world.open("machine", on);
    await addImage(machine, tree("1.0"));
    assert.equal(machine.hasDeltaPrograms(delta.needs), hasProgram);
    const layers = next.config.rootfs.diff_ids;
    await assert.rejects(
      machine.applyDelta(streamOf(...delta.chunks), { layers }),
      (error) =>
        (isFailure(error, "unsupported") || isFailure(error, "digest-mismatch")) && message.test(error.message),
    );
    assert.ok(layers.every((diffId) => !machine.hasLayer(diffId)));
    assert.deepEqual(machine.fsck({ repair: false }), []);
    assert.equal(machine.gc({ dryRun: true }).leftovers, 0);
  });
}

test("hasDeltaPrograms() knows no program but xz", () => {
  using world = openWorld();
  const store = world.open("store");
  assert.deepEqual(
    [[], ["xz"], ["sh"], ["xz", "lrzip"]].map((needs) => store.hasDeltaPrograms(needs)),
    [true, true, false, false],
  );
});
