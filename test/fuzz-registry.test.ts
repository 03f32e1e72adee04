/** The registry's handler against random requests: a part of what the privileged tier runs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzzRegistry } from "./support/fuzz-registry.ts";

test("random requests from seed 1 are answered as the specification says, and nothing is lost", async () => {
  const statuses = await fuzzRegistry(1, 8);
  for (const status of [200, 201, 202, 204, 206, 304, 400, 404, 405, 416])
    assert.ok((statuses.get(status) ?? 0) > 0, `no answer ${status}`);
});
