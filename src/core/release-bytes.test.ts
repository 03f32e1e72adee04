import assert from "node:assert/strict";
import { test } from "node:test";
import { releaseBytes } from "./release-bytes.ts";

test("releaseBytes() empties a large buffer, and leaves small ones and views of others", () => {
  const large = Buffer.alloc(1 << 20, 1);
  const small = Buffer.alloc(64, 1);
  const view = Buffer.alloc(2 << 20, 1).subarray(1 << 20);
  for (const bytes of [large, small, view]) releaseBytes(bytes);
  assert.deepEqual([large.length, small.length, view.length], [0, 64, 1 << 20]);
});
