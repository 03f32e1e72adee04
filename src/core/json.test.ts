import assert from "node:assert/strict";
import { test } from "node:test";
import { asExactObject, parseUniqueJsonObject } from "./json.ts";

for (const text of [
  "{}",
  '{"a":{"b":1},"b":[{"a":1},{"a":2}],"c":{"a":1}}',
  '{"a":"\\"a\\":{","b":"}"}',
  '{"a":["a","a"],"\\u0062":1}',
]) {
  test(`parseUniqueJsonObject() takes ${text}`, () =>
    assert.deepEqual(parseUniqueJsonObject(text, "x"), JSON.parse(text)));
}

for (const text of [
  '{"a":1,"a":1}',
  '{"a":1,"\\u0061":1}',
  '{"x":[{"a":{"b":1},"c":"}","a" : 2}]}',
  '{"a":{},"b":{},"a":[]}',
]) {
  test(`parseUniqueJsonObject() rejects ${text}`, () =>
    assert.throws(
      () => parseUniqueJsonObject(text, "policy"),
      /^SyntaxError: Cannot read policy: it has the key "a" twice$/,
    ));
}

test("asExactObject() rejects a key that it does not know", () => {
  assert.deepEqual(asExactObject({ a: 1 }, "x", ["a", "b"]), { a: 1 });
  assert.throws(() => asExactObject({ a: 1, c: 2 }, "x", ["a", "b"]), /it has the unknown key "c", wanted a, b/);
});
