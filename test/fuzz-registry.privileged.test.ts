/** 100,000 random requests against the registry's handler. Needs no root: it is here because it takes half a minute. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzzRegistry, REQUESTS_PER_CASE } from "./support/fuzz-registry.ts";

test("100,000 random requests: no answer outside the specification, nothing lost, memory bounded", async (context) => {
  const seed = 1;
  context.diagnostic(`from seed ${seed}; tools/fuzz.ts registry --seed N --seconds S tries others`);
  const statuses = await fuzzRegistry(seed, 100_000 / REQUESTS_PER_CASE);
  const sent = [...statuses.values()].reduce((sum, count) => sum + count, 0);
  assert.equal(sent, 100_000);
  assert.ok(process.memoryUsage().heapUsed < 300_000_000, `${process.memoryUsage().heapUsed} bytes of heap`);
});
