import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { fuzzCase } from "../../../test/support/fuzz-formats.ts";
import { directory, file, object, stat, trees } from "../../../test/support/trees.ts";
import type { ByteName } from "../../core/bytes.ts";
import type { Leaf } from "../../tree/node.ts";
import { lookup } from "../../tree/walk.ts";
import { formatDump } from "../dumpfile/format.ts";
import { parseDump } from "../dumpfile/parse.ts";
import { readErofs } from "./read.ts";
import { writeErofs } from "./write.ts";
import { xxh32 } from "./xxh32.ts";

const V1 = { algorithm: "sha256" } as const;
const seed = 20261;

test("readErofs() undoes writeErofs()", () => {
  fc.assert(
    fc.property(trees, fc.constantFrom(0 as const, 1 as const), (tree, version) => {
      const image = writeErofs(tree, { algorithm: "sha256", minVersion: version, maxVersion: version });
      const again = readErofs(image);
      assert.equal(formatDump(again), formatDump(tree));
      assert.ok(writeErofs(again, { algorithm: "sha256", minVersion: version, maxVersion: version }).equals(image));
    }),
    { seed, numRuns: 100 },
  );
});

test("parseDump() undoes formatDump(), and both lead to one image", () => {
  fc.assert(
    fc.property(trees, (tree) => {
      const text = formatDump(tree);
      const again = parseDump(Buffer.from(text, "latin1"));
      assert.equal(formatDump(again), text);
      assert.ok(writeErofs(again, V1).equals(writeErofs(tree, V1)));
    }),
    { seed, numRuns: 100 },
  );
});

test("readErofs() and parseDump() of mutated vectors return or throw their own errors", () => {
  const folder = new URL("../../../test/vectors/composefs/", import.meta.url);
  const texts = readdirSync(folder)
    .filter((name) => name.endsWith(".dump") && !name.includes("sha512"))
    .map((name) => readFileSync(new URL(name, folder)));
  const images = texts.map((text) => writeErofs(parseDump(text), V1));
  let accepted = 0;
  for (let index = 0; index < 300; index++) {
    if (fuzzCase("dump", texts, index)) accepted += 1;
    if (fuzzCase("erofs", images, index)) accepted += 1;
  }
  assert.ok(accepted > 40, "mutations reach past the first checks");
});

test("readErofs() of every cut of an image throws its own error", () => {
  const image = writeErofs(
    parseDump(readFileSync(new URL("../../../test/vectors/composefs/07-xattrs.dump", import.meta.url))),
    V1,
  );
  for (let length = 0; length < image.length; length += 97) {
    assert.throws(() => readErofs(image.subarray(0, length)), /^(?:Syntax|Range)Error: Cannot read/);
  }
});

test("xxh32() equals the published test values", () => {
  assert.equal(xxh32(Buffer.alloc(0), 0), 0x02cc5d05);
  assert.equal(xxh32(Buffer.from("a"), 0), 0x550d7456);
  assert.equal(xxh32(Buffer.from("abc"), 0), 0x32d153ff);
  assert.equal(xxh32(Buffer.from("Nobody inspects the spammish repetition"), 0), 0xe2293b2f);
  assert.equal(xxh32(Buffer.from("selinux"), 0x25bbe08f + 6), 0x9490146b);
});

const rejected: readonly (readonly [what: string, children: Record<string, Leaf>, message: RegExp])[] = [
  ["an empty name", { "": file("x") }, /Cannot write name "" in "\/"/],
  ["the name ..", { "..": file("x") }, /Cannot write name "\.\." in "\/"/],
  ["a slash in a name", { "a/b": file("x") }, /Cannot write name "a\/b"/],
  ["a name of 256 bytes", { ["n".repeat(256)]: file("x") }, /Cannot write name/],
  ["text that is not bytes in a name", { "€": file("x") }, /Cannot write name/],
  [
    "a digest of the other hash",
    { a: object("5a".repeat(64)) },
    /Cannot write "\/a": its digest ".*" is not one of sha256/,
  ],
  ["a digest that is not hexadecimal", { a: object("zz".repeat(32)) }, /is not hexadecimal/],
  ["content of another size", { a: { ...file("abc"), size: 4 } }, /its size 4 is not that of its content/],
  ["an empty symlink", { a: { kind: "symlink", stat: stat(), target: "" as ByteName } }, /its target has 0 bytes/],
  ["a mode over 07777", { a: file("x", { mode: 0o100644 }) }, /its mode 33188 is more than 07777/],
  ["a uid over 32 bits", { a: file("x", { uid: 2 ** 32, mtimeSec: 1 }) }, /out of range/],
  ["a file of nine petabytes", { a: object("5a".repeat(32), 2 ** 53 - 1) }, /bytes are too many for an image/],
  [
    "an xattr value over 64 KiB",
    { a: file("x", { xattrs: new Map([["user.a", Buffer.alloc(65536)]]) }) },
    /its value has 65536 bytes/,
  ],
  [
    "an xattr name over 255 bytes",
    { a: file("x", { xattrs: new Map([["k".repeat(256), Buffer.alloc(1)]]) }) },
    /its name has 256 bytes/,
  ],
];

for (const [what, children, message] of rejected) {
  test(`writeErofs() rejects ${what}`, () => {
    assert.throws(
      () => writeErofs(directory(children), V1),
      (error: unknown) => error instanceof RangeError && message.test(error.message),
    );
  });
}

test("writeErofs() rejects a whiteout of several names", () => {
  const whiteout: Leaf = { kind: "char", stat: stat(), rdev: 0 };
  assert.throws(
    () => writeErofs(directory({ a: whiteout, b: whiteout }), V1),
    /Cannot write "\/a": a whiteout has several names/,
  );
});

test("readErofs() keeps the opaque mark that a directory with whiteouts had at format 0", () => {
  const whiteout: Leaf = { kind: "char", stat: stat({ mode: 0o600 }), rdev: 0 };
  const opaque = new Map([["trusted.overlay.opaque", Buffer.from("y")]]);
  const image = writeErofs(directory({ d: directory({ gone: whiteout }, { xattrs: opaque }) }), {
    ...V1,
    minVersion: 0,
    maxVersion: 0,
  });
  const tree = readErofs(image);
  assert.deepEqual([...(lookup(tree, "/d")?.stat.xattrs ?? [])], [["trusted.overlay.opaque", Buffer.from("y")]]);
  assert.equal(lookup(tree, "/d/gone")?.kind, "char");
});

const damaged: readonly (readonly [what: string, offset: number, value: number, message: RegExp])[] = [
  ["another magic", 0, 0, /it is no composefs image/],
  ["another header version", 4, 2, /unknown header version 2/],
  ["unknown flags", 8, 2, /unknown flags 2/],
  ["format 2", 12, 2, /its format is 2, wanted 0 or 1/],
  ["bytes in the reserved part of its header", 16, 1, /reserved byte at 16/],
  ["another EROFS magic", 1024, 0, /it has no EROFS superblock/],
  ["an unknown feature", 1032, 8, /its superblock is not one of composefs/],
  ["another block count", 1060, 5, /its superblock says 5 blocks/],
  ["a root past its end", 1038, 0xffff, /Cannot read inode 65535: it lies past the end/],
  ["a root without type", 1156, 0, /mode \d+ has no file type|unknown data layout/],
];

for (const [what, offset, value, message] of damaged) {
  test(`readErofs() rejects an image with ${what}`, () => {
    const image = writeErofs(directory({ f: file("f") }), V1);
    image.writeUInt16LE(value, offset);
    assert.throws(() => readErofs(image), message);
  });
}
