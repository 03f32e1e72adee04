/** A repository of more manifests than a call takes arguments. Seconds for each test, so not among the quick ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../../core/bytes.ts";
import { INDEX } from "../../oci/media-types.ts";
import type { Driver } from "../driver.ts";
import { openTestRegistry } from "../testing.ts";
import { checkStorage } from "./check.ts";
import { planEviction } from "./eviction.ts";
import { planRetention } from "./retention.ts";

const COUNT = 130_000;

const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }));
const record = JSON.stringify({ mediaType: INDEX, size: manifest.length });
const names = Array.from({ length: COUNT }, (_, i) => `sha256-${i.toString(16).padStart(64, "0")}`);

/** Old manifests without tags; blobs are listed, and are not there. */
function crowded(driver: Driver, what: "manifests" | "blobs"): Driver {
  const lists = new Map([
    ["repositories", ["hub+os"]],
    [`repositories/hub+os/${what}`, names],
  ]);
  return {
    ...driver,
    listRecords: async (prefix) => lists.get(prefix) ?? [],
    getRecord: async () => record,
    hasRecord: async () => true,
    recordTime: async () => 1,
    blobSize: async () => (what === "blobs" ? undefined : manifest.length),
    readBlob: () => streamOf(manifest),
  };
}

test(`checkStorage() tells of ${COUNT} missing blobs`, async () => {
  using registry = openTestRegistry();
  const { problems } = await checkStorage(crowded(registry.driver, "blobs"), { repair: false });
  assert.equal(problems.length, COUNT);
});

test(`planEviction() takes ${COUNT} manifests`, async () => {
  using registry = openTestRegistry();
  const rules = [{ prefix: "hub", size: 0 }];
  const steps = await planEviction(crowded(registry.driver, "manifests"), rules, { now: 9, graceMs: 1 });
  assert.equal(steps.length, COUNT);
});

test(`planRetention() takes ${COUNT} manifests`, async () => {
  using registry = openTestRegistry();
  const rule = { repositories: "**", tags: "*", keepLast: undefined, olderThan: undefined, untagged: 1 };
  assert.equal((await planRetention(crowded(registry.driver, "manifests"), [rule], 9)).length, COUNT);
});
