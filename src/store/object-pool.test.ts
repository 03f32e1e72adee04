import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { verityDigest } from "../format/verity/verity.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { fixtureLayer, fixtureTar, noise } from "./testing.ts";
import { createObjectPool, type ObjectPool, type PoolSink } from "./object-pool.ts";
import { openStore } from "./open.ts";

const host = createLinuxHost();

function startPool(directory: string): ObjectPool {
  return createObjectPool({ directory, algorithm: "sha512", verity: false, workers: 2, unique: "test" });
}

async function whenReady(sink: PoolSink): Promise<void> {
  while (!sink.isReady()) await delay(5);
}

test("workers write small, full-buffer and large objects under their digests", async () => {
  using scratch = host.files.temporaryDirectory(`${SCRATCH}/berth-pool-`);
  const pool = startPool(scratch.path);
  try {
    const sinks = [pool.open(), pool.open()];
    await Promise.all(sinks.map(whenReady));
    const sizes = [65, 4096, 4097, 1 << 20, (1 << 20) + 1, 3_500_000, 100, 700_000, 700_000, 2_000_000];
    const contents = sizes.map((size, i) => noise(size, `object ${i}`));
    await Promise.all(
      sinks.map(async (sink) => {
        const ids: string[] = [];
        for (const content of contents) {
          const index = ids.push("") - 1;
          sink.begin(content.length, ({ id }) => (ids[index] = id));
          for (let at = 0; at < content.length; at += 300_000) {
            sink.write(content.subarray(at, at + 300_000));
            await sink.ready();
          }
        }
        await sink.flush();
        assert.deepEqual(
          ids,
          contents.map((content) => verityDigest(content, "sha512")),
        );
      }),
    );
    for (const content of contents) {
      const id = verityDigest(content, "sha512");
      assert.ok(host.files.read(`${scratch.path}/${id.slice(0, 2)}/${id.slice(2)}`).equals(content));
    }
    assert.deepEqual(
      host.files.list(scratch.path).filter((name) => name.startsWith(".")),
      [],
    );
  } finally {
    pool.close();
  }
});

test("a failure in a worker ends the import with its own words", async () => {
  using scratch = host.files.temporaryDirectory(`${SCRATCH}/berth-pool-`);
  const pool = startPool(`${scratch.path}/missing`);
  try {
    const sink = pool.open();
    await whenReady(sink);
    sink.begin(5, () => assert.fail("no id"));
    sink.write(Buffer.from("hello"));
    await assert.rejects(sink.flush(), (error) => isFailure(error, "not-found") && error.message.includes("missing"));
    sink.close();
  } finally {
    pool.close();
  }
});

test("an object that is given up leaves no temporary file", async () => {
  using scratch = host.files.temporaryDirectory(`${SCRATCH}/berth-pool-`);
  const pool = startPool(scratch.path);
  try {
    const sink = pool.open();
    await whenReady(sink);
    sink.begin(5_000_000, () => assert.fail("no id"));
    sink.write(noise(2_500_000, "half"));
    await sink.flush();
    assert.equal(host.files.list(scratch.path).length, 1);
    sink.close();
    while (host.files.list(scratch.path).length > 0) await delay(5);
  } finally {
    pool.close();
  }
});

test("a large layer comes back exactly, whoever wrote its objects", async () => {
  using scratch = host.files.temporaryDirectory(`${SCRATCH}/berth-pool-`);
  const entries = Object.fromEntries(
    Array.from({ length: 300 }, (_, i) => [`f${i}`, noise(i % 60 === 0 ? 1_500_000 : 40_000 + i, String(i % 250))]),
  );
  const layers = [
    fixtureLayer(await fixtureTar(entries), "zstd"),
    fixtureLayer(await fixtureTar({ ...entries, last: "x" }), "none"),
  ];
  using store = openStore(host, `${scratch.path}/composefs`, { keepBlobs: true, create: true, access: "shared" });
  await Promise.all(layers.map((layer) => store.importLayer(streamOf(layer.blob), layer)));
  for (const layer of layers) assert.ok((await collectBytes(store.readLayer(layer.diffId))).equals(layer.tar));
  assert.deepEqual(store.fsck({ repair: false }), []);
});
