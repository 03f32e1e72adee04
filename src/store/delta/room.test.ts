import assert from "node:assert/strict";
import { test } from "node:test";
import { GROUP_BYTES_MAX } from "../../format/delta/delta-index.ts";
import { createRoom } from "./room.ts";

test("a room gives the same memory again, and what is large its own", () => {
  const room = createRoom();
  const [first, large, second] = [room(10), room(GROUP_BYTES_MAX + 1), room(20)];
  assert.deepEqual([first.length, large.length, second.length], [10, GROUP_BYTES_MAX + 1, 20]);
  assert.equal(first.buffer, second.buffer);
  assert.notEqual(first.buffer, large.buffer);
});
