import { strict as assert } from "node:assert";
import { test } from "node:test";
import {
  joinCommandLine,
  readComposefs,
  sameParameter,
  splitCommandLine,
  withComposefs,
  withoutParameters,
  withParameters,
} from "./cmdline.ts";

const A = "a".repeat(128);
const B = "b".repeat(128);

test("splitCommandLine() keeps quoted blanks together and round-trips", () => {
  const text = 'root=UUID=1 rw dyndbg="file a +p; file b +p" "x y=1 2" quiet';
  assert.deepEqual(splitCommandLine(`  ${text}\n`), [
    "root=UUID=1",
    "rw",
    'dyndbg="file a +p; file b +p"',
    '"x y=1 2"',
    "quiet",
  ]);
  assert.equal(joinCommandLine(splitCommandLine(text)), text);
});

test("sameParameter() takes - and _ in keys as one and ignores quotes", () => {
  assert.ok(sameParameter("net-ifnames=0", "net_ifnames=0"));
  assert.ok(sameParameter('a="b c"', '"a=b c"'));
  assert.ok(!sameParameter("a=b-c", "a=b_c"));
  assert.ok(!sameParameter("quiet", "quiet="));
});

test("readComposefs() reads both spellings and the optional mark", () => {
  assert.deepEqual(readComposefs(["rw", `composefs=${A}`]), { id: A, verityOptional: false });
  assert.deepEqual(readComposefs([`composefs=?${A}`]), { id: A, verityOptional: true });
  assert.deepEqual(
    readComposefs([
      `composefs=${A}`,
      `composefs.digest=v1-sha256-12:${"c".repeat(64)}`,
      `composefs.digest=?v1-sha512-12:${B}`,
    ]),
    {
      id: B,
      verityOptional: true,
    },
  );
  for (const word of ["composefs=", "composefs=xyz", `composefs=${A.toUpperCase()}`, `composefs=${A}0`, "quiet"]) {
    assert.equal(readComposefs([word]), undefined, word);
  }
});

test("withComposefs() replaces in place and leaves one", () => {
  const words = ["rw", `composefs=${A}`, "quiet", `composefs.digest=v1-sha512-12:${A}`];
  assert.deepEqual(withComposefs(words, { id: B, verityOptional: true }), ["rw", `composefs=?${B}`, "quiet"]);
  assert.deepEqual(withComposefs(["rw"], { id: B, verityOptional: false }), ["rw", `composefs=${B}`]);
});

test("withParameters() and withoutParameters() compare key and value", () => {
  assert.deepEqual(withParameters(["console=tty0", "quiet"], ["console=ttyS0", "quiet"]), [
    "console=tty0",
    "quiet",
    "console=ttyS0",
  ]);
  assert.deepEqual(withoutParameters(["console=tty0", "console=ttyS0"], ["console=tty0"]), ["console=ttyS0"]);
});
