import { strict as assert } from "node:assert";
import { test } from "node:test";
import { applyKargsDiff, diffKargs, kargsFor, parseKargsFile } from "./kargs-d.ts";

test("parseKargsFile() reads arguments and architectures", () => {
  const file = parseKargsFile('kargs = ["a=1 b", \'c="d e"\']\nmatch-architectures = ["x86_64"]\n', "10-a.toml");
  assert.deepEqual(file, { kargs: ["a=1", "b", 'c="d e"'], matchArchitectures: ["x86_64"] });
  assert.deepEqual(kargsFor([file], "amd64"), ["a=1", "b", 'c="d e"']);
  assert.deepEqual(kargsFor([file], "arm64"), []);
});

for (const [what, text, message] of [
  ["bad TOML", "kargs = [", /Cannot parse kernel arguments "x.toml"/],
  ["no kargs", "", /kargs is missing/],
  ["an unknown key", 'kargs = []\nkarg = "a"', /unknown key "karg"/],
  ["a number", "kargs = [1]", /kargs is no array of strings/],
  ["a string", 'kargs = "a"', /kargs is no array of strings/],
  ["an open quote", "kargs = ['a=\"b c']", /"a=\\"b c" has a quote without its end/],
] as const) {
  test(`parseKargsFile() rejects ${what}`, () => assert.throws(() => parseKargsFile(text, "x.toml"), message));
}

test("diffKargs() and applyKargsDiff() keep what the machine added", () => {
  const diff = diffKargs(["quiet", "console=ttyS0", "a=1"], ["quiet", "console=ttyS1", "a=1"]);
  assert.deepEqual(diff, { added: ["console=ttyS1"], removed: ["console=ttyS0"] });
  assert.deepEqual(applyKargsDiff(["rw", "console=ttyS0", "mine=1", "quiet"], diff), [
    "rw",
    "mine=1",
    "quiet",
    "console=ttyS1",
  ]);
});
