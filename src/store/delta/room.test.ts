import assert from "node:assert/strict";
import { test } from "node:test";
import { GROUP_BYTES_MAX } from "../../format/delta/delta-index.ts";
import { createArena, createRoom } from "./room.ts";

test("a room gives the same memory again, and what is large its own", () => {
  const room = createRoom();
  const [first, large, second] = [room(10), room(GROUP_BYTES_MAX + 1), room(20)];
  assert.deepEqual([first.length, large.length, second.length], [10, GROUP_BYTES_MAX + 1, 20]);
  assert.equal(first.buffer, second.buffer);
  assert.notEqual(first.buffer, large.buffer);
});

test("an arena gives what it has side by side, and all of it again once it is emptied", () => {
  const arena = createArena(100);
  const [first, second] = [arena.take(60).fill(1), arena.take(40).fill(2)];
  assert.ok(first.every((byte) => byte === 1) && second.every((byte) => byte === 2));
  assert.throws(() => arena.take(1), RangeError);
  arena.empty();
  assert.equal(arena.take(100).buffer, first.buffer);
});
