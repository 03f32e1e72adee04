import assert from "node:assert/strict";
import { test } from "node:test";
import { checkJsonShape } from "./json-limits.ts";

const check = (text: string): void => checkJsonShape(Buffer.from(text), "manifest");

for (const [name, text] of [
  ["64 levels", "[".repeat(64) + "]".repeat(64)],
  ["brackets in a string", JSON.stringify({ a: "[".repeat(1000), b: '"\\{'.repeat(1000) })],
  ["many short arrays one after another", `[${"[],".repeat(100_000)}0]`],
  ["a string that does not end", `"${"[".repeat(1000)}`],
  ["no JSON", "}}}]]]"],
] as const) {
  test(`checkJsonShape() passes ${name}`, () => check(text));
}

for (const [name, text, reason] of [
  ["65 levels", "[".repeat(65), /deeper than 64/],
  ["65 levels of objects", '{"a":'.repeat(65), /deeper than 64/],
  ["a million elements", `[${"0,".repeat(1_000_000)}0]`, /more than 400000 values/],
  ["a million empty arrays", `[${"[],".repeat(1_000_000)}0]`, /more than 400000 values/],
  ["nesting after an escaped quote", `"\\"${"x".repeat(5)}"${"[".repeat(65)}`, /deeper than 64/],
] as const) {
  test(`checkJsonShape() rejects ${name}`, () => assert.throws(() => check(text), reason));
}
