import assert from "node:assert/strict";
import { test } from "node:test";
import { memoized } from "./memoized.ts";

function counted() {
  const asked: string[] = [];
  const read = memoized((text) => {
    asked.push(text);
    if (text === "bad") throw new SyntaxError(text);
    return { text };
  });
  return { asked, read };
}

test("memoized() computes each result once", () => {
  const { asked, read } = counted();
  assert.equal(read("a"), read("a"));
  assert.deepEqual(read("b"), { text: "b" });
  assert.deepEqual(asked, ["a", "b"]);
});

test("memoized() remembers no error and no long text, and never more than so many results", () => {
  const { asked, read } = counted();
  const long = "x".repeat(600);
  for (const text of [long, long]) assert.deepEqual(read(text), { text });
  for (let i = 0; i < 2; i += 1) assert.throws(() => read("bad"), SyntaxError);
  assert.equal(asked.length, 4);
  read("first");
  for (let i = 0; i < 1024; i += 1) read(String(i));
  read("first");
  assert.equal(asked.filter((text) => text === "first").length, 2);
});
