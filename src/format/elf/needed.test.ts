import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { isElf, readElf } from "./needed.ts";

/** What binutils reads from the same file. */
function readelfNeeded(path: string): string[] {
  const text = execFileSync("readelf", ["-d", path]).toString();
  return [...text.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((match) => match[1] ?? "");
}

for (const path of ["/bin/ls", "/usr/bin/fsverity", process.execPath]) {
  test(`readElf() agrees with readelf on ${path.replace(/^.*\//, "")}`, () => {
    const info = readElf(readFileSync(path));
    assert.deepEqual(info.needed, readelfNeeded(path));
    assert.ok(info.needed.includes("libc.so.6"));
    assert.match(info.interpreter ?? "", /ld-linux/);
  });
}

test("readElf() gives nothing for a static program", () => {
  const info = readElf(readFileSync("/usr/sbin/ldconfig"));
  assert.deepEqual(info, { interpreter: undefined, needed: [], runPath: [] });
});

for (const [name, bytes] of [
  ["an empty file", Buffer.alloc(0)],
  ["a script", Buffer.from("#!/bin/sh\n")],
  ["a cut header", readFileSync("/bin/ls").subarray(0, 63)],
  ["a file cut after its header", readFileSync("/bin/ls").subarray(0, 64)],
  ["a 32-bit file", Buffer.concat([Buffer.from([0x7f, 0x45, 0x4c, 0x46, 1, 1]), Buffer.alloc(64)])],
] as const) {
  test(`readElf() rejects ${name}`, () => {
    assert.throws(() => readElf(bytes), RangeError);
  });
}

test("readElf() gives an answer or a RangeError on any damage", () => {
  const original = readFileSync("/bin/ls").subarray(0, 8192);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1023), fc.nat(255)), { maxLength: 12 }), (changes) => {
      const damaged = Buffer.from(original);
      for (const [at, value] of changes) damaged[at] = value;
      try {
        readElf(damaged);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("isElf() tells programs from scripts", () => {
  assert.equal(isElf(readFileSync("/bin/ls")), true);
  assert.equal(isElf(Buffer.from("#!/bin/sh\n")), false);
});
