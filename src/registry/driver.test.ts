/** What every driver promises, asserted on each of them: a real directory, and a bucket in memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeBucket } from "../host/fake-bucket.ts";
import { createFakeHost } from "../host/fake.ts";
import type { Driver } from "./driver.ts";
import { filesDriver } from "./files-driver.ts";
import { s3Driver } from "./s3-driver.ts";

interface Storage {
  readonly driver: Driver;
  /** A new process over the same storage. */
  readonly restart: () => Driver;
  readonly advance: (durationMs: number) => void;
}

const STORAGES: Readonly<Record<string, () => Storage>> = {
  files: () => {
    const host = createFakeHost();
    const restart = (): Driver => filesDriver(host, "/r");
    return { driver: restart(), restart, advance: (ms) => host.clock.advance(ms) };
  },
  s3: () => {
    const host = createFakeHost();
    const bucket = createFakeBucket({ now: () => host.clock.now() });
    const restart = (): Driver => s3Driver(host, bucket, { prefix: "r/", redirect: false });
    return { driver: restart(), restart, advance: (ms) => host.clock.advance(ms) };
  },
};

const content = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));
const digest = digestOf(content);
const MIB = 1024 * 1024;

async function* failing(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
  throw new Error("the client went away");
}

for (const [name, open] of Object.entries(STORAGES)) {
  test(`${name}: uploads are listed with what has arrived, until they end`, async () => {
    const { driver, restart } = open();
    const [one, two] = [await driver.startUpload("team/a", "sha256"), await driver.startUpload("b", "sha256")];
    await driver.appendUpload(one, 0, streamOf(content));
    const listed = async (): Promise<unknown[]> => {
      const found: { id: string }[] = [];
      for await (const upload of restart().listUploads()) found.push(upload);
      return found.sort((a, b) => [one, two].indexOf(a.id) - [one, two].indexOf(b.id));
    };
    const [first, second] = [
      { id: one, repository: "team/a", size: content.length },
      { id: two, repository: "b", size: 0 },
    ];
    assert.deepEqual(await listed(), [first, second]);
    await driver.finishUpload(one, digest);
    assert.deepEqual(await listed(), [second]);
    await driver.cancelUpload(two);
    assert.deepEqual(await listed(), []);
  });

  test(`${name}: records are put, listed one level deep in byte order, dated and deleted`, async () => {
    const { driver, restart, advance } = open();
    for (const key of ["a/b", "a/B", "a/c/d", "a/c/e"]) await driver.putRecord(key, key);
    advance(5000);
    await driver.putRecord("a/b", "new", { durable: false });
    assert.equal(await restart().getRecord("a/b"), "new");
    assert.equal(((await restart().recordTime("a/b")) ?? 0) - ((await restart().recordTime("a/B")) ?? 0), 5000);
    assert.deepEqual(await driver.listRecords("a"), ["B", "b", "c"]);
    assert.deepEqual(await driver.listRecords("none"), []);
    assert.equal(await driver.hasRecord("a/c"), false);
    assert.equal(await driver.hasRecord("a/c/d"), true);
    assert.equal(await driver.recordTime("a/x"), undefined);
    assert.equal(await driver.deleteRecord("a/b"), true);
    assert.equal(await driver.deleteRecord("a/b"), false);
    assert.equal(await driver.getRecord("a/b"), undefined);
  });

  test(`${name}: blobs are stored, read in ranges, listed, put aside and deleted`, async () => {
    const { driver, restart } = open();
    await driver.putBlob(digest, content);
    await driver.putBlob(digest, content);
    const other = digestOf("other", "sha512");
    await driver.putBlob(other, Buffer.from("other"));
    assert.equal(await restart().blobSize(digest), 1000);
    for (const [start, end] of [
      [0, 1000],
      [7, 7],
      [10, 20],
      [999, 1000],
    ] as const) {
      assert.deepEqual(await collectBytes(driver.readBlob(digest, { start, end })), content.subarray(start, end));
    }
    const listed = await Array.fromAsync(driver.listBlobs());
    assert.deepEqual(
      listed.map((blob) => [blob.digest, blob.size]),
      [
        [digest, 1000],
        [other, 5],
      ],
    );
    await driver.quarantineBlob(other);
    assert.equal(await driver.blobSize(other), undefined);
    assert.equal(await driver.deleteBlob(digest), true);
    assert.equal(await driver.deleteBlob(digest), false);
    assert.deepEqual(await Array.fromAsync(driver.listBlobs()), []);
  });

  test(`${name}: an upload goes on after a restart between all of its requests`, async () => {
    const { driver, restart } = open();
    const parts = [1000, 6 * MIB, 3 * MIB, 9 * MIB, 1].map((size, index) => Buffer.alloc(size, index));
    const whole = Buffer.concat(parts);
    const id = await driver.startUpload("team/os", "sha256");
    let offset = 0;
    for (const part of parts) offset = await restart().appendUpload(id, offset, streamOf(part));
    assert.deepEqual(await restart().uploadInfo(id), { repository: "team/os", size: whole.length });
    assert.equal(await restart().finishUpload(id, digestOf(whole, "sha512")), "stored");
    const stored = restart().readBlob(digestOf(whole, "sha512"), { start: 0, end: whole.length });
    assert.ok((await collectBytes(stored)).equals(whole));
    assert.equal(await driver.uploadInfo(id), undefined);
  });

  test(`${name}: what arrived before a client went away stays`, async () => {
    const { driver, restart } = open();
    const id = await driver.startUpload("team/os", "sha256");
    await assert.rejects(driver.appendUpload(id, 0, failing(content.subarray(0, 400))), /went away/);
    assert.equal((await restart().uploadInfo(id))?.size, 400);
    assert.equal(await driver.appendUpload(id, 400, streamOf(content.subarray(400))), 1000);
    assert.equal(await driver.finishUpload(id, digest), "stored");
  });

  test(`${name}: an empty upload becomes the empty blob`, async () => {
    const { driver } = open();
    const id = await driver.startUpload("team/os", "sha256");
    assert.equal(await driver.finishUpload(id, digestOf("")), "stored");
    assert.equal(await driver.blobSize(digestOf("")), 0);
    assert.equal((await collectBytes(driver.readBlob(digestOf(""), { start: 0, end: 0 }))).length, 0);
  });

  test(`${name}: a wrong digest ends the session without a blob`, async () => {
    for (const algorithm of ["sha256", "sha512"] as const) {
      const { driver } = open();
      const id = await driver.startUpload("team/os", "sha256");
      await driver.appendUpload(id, 0, streamOf(content));
      assert.equal(await driver.finishUpload(id, digestOf("else", algorithm)), "mismatch");
      assert.equal(await driver.uploadInfo(id), undefined);
      assert.deepEqual(await Array.fromAsync(driver.listBlobs()), []);
    }
  });

  test(`${name}: an upload is cut back, also within what came in one piece`, async () => {
    const { driver, restart } = open();
    const id = await driver.startUpload("team/os", "sha256");
    await driver.appendUpload(id, 0, streamOf(Buffer.alloc(9 * MIB, 1), Buffer.alloc(9 * MIB, 2)));
    await driver.truncateUpload(id, 10 * MIB);
    assert.equal((await restart().uploadInfo(id))?.size, 10 * MIB);
    const whole = Buffer.concat([Buffer.alloc(9 * MIB, 1), Buffer.alloc(1 * MIB, 2), content]);
    await driver.appendUpload(id, 10 * MIB, streamOf(content));
    assert.equal(await driver.finishUpload(id, digestOf(whole)), "stored");
  });

  test(`${name}: an append at another offset, to no session, or overtaken by a newer one fails`, async () => {
    const { driver } = open();
    const id = await driver.startUpload("team/os", "sha256");
    const isBusy = (error: unknown): boolean => isFailure(error, "busy");
    await assert.rejects(driver.appendUpload(id, 5, streamOf(content)), isBusy);
    const none = "0".repeat(32);
    await assert.rejects(driver.appendUpload(none, 0, streamOf(content)), (error) => isFailure(error, "not-found"));
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = driver.appendUpload(
      id,
      0,
      (async function* () {
        begun.resolve();
        await gate.promise;
        yield Buffer.from("from the older request");
      })(),
    );
    const overtaken = assert.rejects(slow, isBusy);
    await begun.promise;
    assert.equal(await driver.appendUpload(id, 0, streamOf(content)), 1000);
    gate.resolve();
    await overtaken;
    assert.equal(await driver.finishUpload(id, digest), "stored");
  });

  test(`${name}: sessions without news expire, cancelled ones are gone`, async () => {
    const { driver, restart, advance } = open();
    const [old, cancelled] = [await driver.startUpload("a", "sha256"), await driver.startUpload("b", "sha256")];
    assert.equal(await driver.cancelUpload(cancelled), true);
    assert.equal(await driver.cancelUpload(cancelled), false);
    advance(10_000);
    const fresh = await driver.startUpload("c", "sha256");
    assert.equal(await restart().expireUploads(Date.UTC(2026, 0, 2, 3, 4, 10)), 1);
    assert.equal(await driver.uploadInfo(old), undefined);
    assert.equal((await driver.uploadInfo(fresh))?.repository, "c");
  });
}

/** More than two parts of an upload. */
const SESSION_MIB = 11;

test("s3: two replicas that append to one session at once leave content of one of them, or none", async () => {
  let stored = 0;
  for (let turn = 0; turn < 20; turn += 1) {
    const host = createFakeHost({ seed: turn });
    let calls = 0;
    const bucket = createFakeBucket({
      now: () => host.clock.now(),
      // Every few calls waits for some more, so that each turn interleaves otherwise.
      onCall: async () => {
        calls += 1;
        for (let wait = (calls * (turn + 3)) % 5; wait > 0; wait -= 1) await new Promise((go) => setImmediate(go));
      },
    });
    const [left, right] = [1, 2].map(() => s3Driver(host, bucket, { prefix: "", redirect: false }));
    assert.ok(left && right);
    const id = await left.startUpload("team/os", "sha256");
    const contents = [Buffer.alloc(SESSION_MIB * MIB, 1), Buffer.alloc(SESSION_MIB * MIB, 2)];
    const [one, two] = contents.map((bytes) => digestOf(bytes));
    assert.ok(one && two);
    const outcomes = await Promise.allSettled([
      left.appendUpload(id, 0, streamOf(...pieces(contents[0]))),
      right.appendUpload(id, 0, streamOf(...pieces(contents[1]))),
    ]);
    if (outcomes.every(({ status }) => status === "rejected")) continue;
    const results = [
      await left.finishUpload(id, one).catch(() => "gone"),
      await right.finishUpload(id, two).catch(() => "gone"),
    ];
    for (const [index, wanted] of [one, two].entries()) {
      if (results[index] !== "stored") continue;
      const content = await collectBytes(left.readBlob(wanted, { start: 0, end: SESSION_MIB * MIB }));
      assert.equal(digestOf(content), wanted, `turn ${turn}`);
      stored += 1;
    }
  }
  assert.ok(stored > 0, "some turn let one of them win");
});

function pieces(bytes: Buffer | undefined): Buffer[] {
  return Array.from({ length: SESSION_MIB }, (_, i) => bytes?.subarray(i * MIB, (i + 1) * MIB) ?? Buffer.alloc(0));
}
