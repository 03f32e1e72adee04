import assert from "node:assert/strict";
import { test } from "node:test";
import { gather } from "./gather.ts";

const FULL = { bytes: 6, pieces: 3 };

for (const [name, pieces, groups] of [
  ["nothing", [], []],
  ["one piece", ["a"], ["a"]],
  ["a full group by bytes", ["abc", "def", "g"], ["abc+def", "g"]],
  ["a full group by pieces", ["a", "b", "c", "d"], ["a+b+c", "d"]],
  ["a piece larger than a group", ["abcdefgh", "i"], ["abcdefgh", "i"]],
] as const) {
  test(`gather: ${name}`, async () => {
    const got = [];
    for await (const group of gather(source(pieces), FULL)) got.push(group.map((piece) => piece.toString()).join("+"));
    assert.deepEqual(got, groups);
  });
}

test("gather: what came before a failure comes before it", async () => {
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield* source(["a", "b"]);
    throw new Error("cut");
  };
  const groups = gather(failing(), FULL);
  assert.equal((await groups.next()).value?.length, 2);
  await assert.rejects(() => groups.next(), /cut/);
});

test("gather: a source that hangs holds nothing back, and ends when the reader stops", async () => {
  const gate = Promise.withResolvers<void>();
  let isEnded = false;
  const hanging = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield Buffer.from("a");
      await gate.promise;
      yield Buffer.from("b");
    } finally {
      isEnded = true;
    }
  };
  const groups = gather(hanging(), FULL);
  assert.equal((await groups.next()).value?.length, 1);
  gate.resolve();
  await groups.return();
  assert.equal(isEnded, true);
});

async function* source(pieces: readonly string[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const piece of pieces) yield Buffer.from(piece);
}
