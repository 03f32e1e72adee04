/** What a serving registry does by itself, and when. The clock moves when it sleeps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure } from "../../core/failure.ts";
import { silent } from "../../core/progress.ts";
import type { Digest } from "../../core/digest.ts";
import { createFakeHost } from "../../host/fake.ts";
import type { GcConfig } from "../config/gc.ts";
import type { Driver } from "../driver.ts";
import { filesDriver } from "../files-driver.ts";
import { openTestRegistry } from "../testing.ts";
import { keepUp } from "./upkeep.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

interface Round {
  /** Milliseconds slept since the start. */
  readonly elapsedMs: number;
  readonly hasOrphan: boolean;
  readonly hasUpload: boolean;
}

interface Kept {
  readonly rounds: readonly Round[];
  readonly said: readonly string[];
  readonly warned: readonly string[];
}

/** A registry with a blob that nothing names and an upload that nobody goes on with, kept up for some rounds. */
async function keptUp(
  gc: GcConfig,
  count: number,
  { spoil = (driver: Driver): Driver => driver, aheadMs = 0 } = {},
): Promise<Kept> {
  const host = createFakeHost();
  const driver = filesDriver(host, "/r");
  using registry = openTestRegistry({ driver, clock: host.clock });
  const orphan: Digest = await registry.pushBlob("a", "no manifest names this");
  const upload = (await registry.call("POST", "/v2/a/blobs/uploads/")).headers.get("location") ?? "";
  const [rounds, said, warned]: [Round[], string[], string[]] = [[], [], []];
  const stop = new AbortController();
  const sleep = async (durationMs: number, signal?: AbortSignal): Promise<void> => {
    rounds.push({
      elapsedMs: host.clock.elapsed(),
      hasOrphan: (await driver.blobSize(orphan)) !== undefined,
      hasUpload: (await driver.uploadInfo(upload.split("/").at(-1) ?? "")) !== undefined,
    });
    if (rounds.length === count) stop.abort(new Failure("aborted", "the test has seen enough"));
    await host.clock.sleep(durationMs, signal);
  };
  const clock = { ...host.clock, sleep, now: () => host.clock.now() + aheadMs };
  await keepUp({ ...host, clock }, spoil(driver), {
    gc,
    retention: [],
    upstreams: [],
    progress: { ...silent, say: (text) => void said.push(text), warn: (text) => void warned.push(text) },
    signal: stop.signal,
  });
  return { rounds, said, warned };
}

test("[gc] interval collects that often, what is older than the grace", async () => {
  const { rounds, said } = await keptUp({ interval: 10 * MINUTE_MS, grace: 15 * MINUTE_MS }, 4);
  assert.deepEqual(
    rounds.map(({ elapsedMs, hasOrphan }) => [elapsedMs / MINUTE_MS, hasOrphan]),
    [
      [0, true],
      [10, true],
      [20, false],
      [30, false],
    ],
  );
  assert.deepEqual(said, ["Collected 1 blobs: 22 B"]);
});

test("an interval that is longer than a round is kept all the same", async () => {
  const { rounds } = await keptUp({ interval: 2.5 * HOUR_MS, grace: MINUTE_MS }, 5);
  assert.deepEqual(
    rounds.map(({ elapsedMs, hasOrphan }) => [elapsedMs / HOUR_MS, hasOrphan]),
    [
      [0, true],
      [1, true],
      [2, true],
      [3, false],
      [4, false],
    ],
  );
});

test("without an interval nothing is collected, and an upload that got no byte for a day goes", async () => {
  const { rounds, said } = await keptUp({ interval: undefined, grace: MINUTE_MS }, 27);
  assert.equal(
    rounds.every(({ hasOrphan }) => hasOrphan),
    true,
  );
  assert.deepEqual(
    rounds.filter(({ hasUpload }) => hasUpload).map(({ elapsedMs }) => elapsedMs / HOUR_MS),
    Array.from({ length: 25 }, (_, hour) => hour),
  );
  assert.deepEqual(said, []);
});

for (const [code, warns] of [
  ["network", ["the bucket is away"]],
  // Another replica collects.
  ["busy", []],
] as const) {
  test(`storage that fails as "${code}" is tried again the next time`, async () => {
    let failures = 2;
    const failing = (driver: Driver): Driver => ({
      ...driver,
      expireUploads: async (before) => {
        failures -= 1;
        if (failures === 0) throw new Failure(code, "the bucket is away");
        return driver.expireUploads(before);
      },
    });
    const { rounds, warned } = await keptUp({ interval: 10 * MINUTE_MS, grace: MINUTE_MS }, 3, { spoil: failing });
    assert.deepEqual(warned, warns);
    assert.deepEqual(
      rounds.map(({ hasOrphan }) => hasOrphan),
      [true, true, false],
    );
  });
}

test("a clock that is days ahead of the storage's drops no upload that is young", async () => {
  const { rounds } = await keptUp({ interval: undefined, grace: HOUR_MS }, 3, { aheadMs: 48 * HOUR_MS });
  assert.ok(rounds.every(({ hasUpload }) => hasUpload));
});
