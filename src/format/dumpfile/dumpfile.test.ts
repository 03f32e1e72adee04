import assert from "node:assert/strict";
import { test } from "node:test";
import type { Directory } from "../../tree/node.ts";
import { lookup } from "../../tree/walk.ts";
import { formatDump } from "./format.ts";
import { parseDump } from "./parse.ts";

const ROOT = "/ 0 40755 2 0 0 0 0.0 - - -\n";
const DIGEST = "5a".repeat(32);

function parse(text: string): Directory {
  return parseDump(Buffer.from(text, "latin1"));
}

const rejected: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ["an empty dump", "", /it is empty/],
  [
    "a dump that does not start with the root",
    "/a 0 100644 1 0 0 0 0.0 - - -\n",
    /line 1: the first line is not the root/,
  ],
  ["a root that is no directory", "/ 0 100644 1 0 0 0 0.0 - - -\n", /the root must be a directory/],
  ["a hard link as root", "/ 0 @100644 - - - - 0.0 /a - -\n", /the root cannot be a hard link/],
  ["two roots", ROOT + ROOT, /line 2: there are two roots/],
  ["a missing parent", `${ROOT}/a/b 0 100644 1 0 0 0 0.0 - - -\n`, /the parent directory of "\/a\/b" is missing/],
  [
    "a parent that is a file",
    `${ROOT}/a 0 100644 1 0 0 0 0.0 - - -\n/a/b 0 100644 1 0 0 0 0.0 - - -\n`,
    /line 3: the parent/,
  ],
  ["a path twice", `${ROOT}/a 0 100644 1 0 0 0 0.0 - - -\n/a 0 100644 1 0 0 0 0.0 - - -\n`, /is there already/],
  ["the name .", `${ROOT}/. 0 40755 1 0 0 0 0.0 - - -\n`, /does not end in a name/],
  ["the name ..", `${ROOT}/.. 0 40755 1 0 0 0 0.0 - - -\n`, /does not end in a name/],
  ["a trailing slash", `${ROOT}/a/ 0 40755 1 0 0 0 0.0 - - -\n`, /does not end in a name/],
  ["a name of 256 bytes", `${ROOT}/${"a".repeat(256)} 0 100644 1 0 0 0 0.0 - - -\n`, /does not end in a name/],
  ["a NUL in a name", `${ROOT}/a\\x00b 0 100644 1 0 0 0 0.0 - - -\n`, /does not end in a name/],
  ["a NUL byte", `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - user.a=\0\n`, /line 2: there is a NUL byte/],
  [
    "content of another size on a symlink",
    `${ROOT}/a 7 120777 1 0 0 0 0.0 target\n`,
    /CONTENT has 0 bytes where SIZE says 7/,
  ],
  ["a blank line", `${ROOT}\n`, /line 2: MODE "" is not an octal number/],
  ["a mode without type", `${ROOT}/a 0 644 1 0 0 0 0.0 - - -\n`, /MODE "644" has no file type/],
  ["a mode that is too large", `${ROOT}/a 0 1100644 1 0 0 0 0.0 - - -\n`, /is more than 177777/],
  ["a decimal mode", `${ROOT}/a 0 100844 1 0 0 0 0.0 - - -\n`, /is not an octal number/],
  ["an unknown escape", `${ROOT}/a\\q 0 100644 1 0 0 0 0.0 - - -\n`, /unknown or incomplete escape/],
  ["a short hex escape", `${ROOT}/a\\x1 0 100644 1 0 0 0 0.0 - - -\n`, /unknown or incomplete escape/],
  ["a size that is no number", `${ROOT}/a x 100644 1 0 0 0 0.0 - - -\n`, /SIZE "x" is not a number/],
  ["a negative uid", `${ROOT}/a 0 100644 1 -1 0 0 0.0 - - -\n`, /UID "-1" is not a number/],
  ["a gid over 32 bits", `${ROOT}/a 0 100644 1 0 4294967296 0 0.0 - - -\n`, /GID "4294967296" is more than/],
  ["a time without nanoseconds", `${ROOT}/a 0 100644 1 0 0 0 5 - - -\n`, /MTIME "5" is not SECONDS.NANOSECONDS/],
  ["content of another size", `${ROOT}/a 3 100644 1 0 0 0 0.0 - ab -\n`, /CONTENT has 2 bytes where SIZE says 3/],
  ["content over 5000 bytes", `${ROOT}/a 5001 100644 1 0 0 0 0.0 - ${"a".repeat(5001)} -\n`, /CONTENT of 5001 bytes/],
  ["a digest that is too short", `${ROOT}/a 9 100644 1 0 0 0 0.0 - - abcd\n`, /DIGEST "abcd" is not 64 or 128/],
  ["a digest in capitals", `${ROOT}/a 9 100644 1 0 0 0 0.0 - - ${DIGEST.toUpperCase()}\n`, /DIGEST/],
  ["a digest before CR LF", `${ROOT}/a 9 100644 1 0 0 0 0.0 - - ${DIGEST}\r\n`, /DIGEST/],
  ["a missing digest field", `${ROOT}/a 9 100644 1 0 0 0 0.0 - -\n`, /DIGEST ""/],
  ["a symlink without target", `${ROOT}/a 0 120777 1 0 0 0 0.0 - - -\n`, /symlink target of 0 bytes/],
  [
    "a symlink target of 4096 bytes",
    `${ROOT}/a 0 120777 1 0 0 0 0.0 ${"a".repeat(4096)} - -\n`,
    /symlink target of 4096 bytes/,
  ],
  ["an xattr without =", `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - user.a\n`, /xattr "user.a" has no "="/],
  ["two spaces between xattrs", `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - user.a=1  user.b=2\n`, /xattr "" has no "="/],
  ["an empty xattr key", `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - =v\n`, /xattr key of 0 bytes/],
  [
    "an xattr key of 256 bytes",
    `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - ${"k".repeat(256)}=v\n`,
    /xattr key of 256 bytes/,
  ],
  [
    "xattrs over the budget",
    `${ROOT}/a 0 100644 1 0 0 0 0.0 - - - user.k=${"v".repeat(32768)}\n`,
    /xattrs take more than 32767 bytes/,
  ],
  ["a link to nothing", `${ROOT}/a 0 @100644 - - - - 0.0 /b - -\n`, /line 2: hard link "\/a" has no target "\/b"/],
  ["a link without target", `${ROOT}/a 0 @100644 - - - - 0.0 - - -\n`, /names no target/],
  ["a link to itself", `${ROOT}/a 0 @100644 - - - - 0.0 /a - -\n`, /leads back to itself/],
  [
    "links in a circle",
    `${ROOT}/a 0 @100644 - - - - 0.0 /b - -\n/b 0 @100644 - - - - 0.0 /a - -\n`,
    /leads back to itself/,
  ],
  ["a link to a directory", `${ROOT}/a 0 @100644 - - - - 0.0 / - -\n`, /leads to directory/],
  ["a directory as link", `${ROOT}/a 0 @40755 - - - - 0.0 /b - -\n`, /cannot be a hard link/],
  ["a link without type", `${ROOT}/a 0 @0 - - - - 0.0 /b - -\n`, /has no file type/],
];

for (const [what, text, message] of rejected) {
  test(`parseDump() rejects ${what}`, () => {
    assert.throws(() => parse(text), message);
  });
}

test("parseDump() accepts what mkcomposefs accepts", () => {
  const tree = parse(
    `${ROOT}//d// 0 40755 1 0 0 0 0.0 - - -\n`.replace("//d//", "//d") +
      "d\\x2ff 0 100644 1 0 0 0 -5.1999999999 - - -\n" +
      "/hole 7 100644 1 0 0 0 0.0 - - -\n" +
      "/twice 0 100644 1 0 0 0 1.5 - - - user.a=1 user.a=2 user.empty= \n" +
      "/last 0 20600 1 1 2 259 0.0",
  );
  assert.deepEqual(lookup(tree, "/d/f")?.stat, {
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSec: -5,
    mtimeNsec: 1_999_999_999,
    xattrs: new Map(),
  });
  const hole = lookup(tree, "/hole");
  assert.deepEqual(hole?.kind === "file" ? hole.content : undefined, { kind: "external", objectId: undefined });
  const twice = lookup(tree, "/twice")?.stat;
  assert.equal(twice?.mtimeNsec, 5);
  assert.deepEqual(
    [...(twice?.xattrs ?? [])],
    [
      ["user.a", Buffer.from("2")],
      ["user.empty", Buffer.from("")],
    ],
  );
  assert.equal(lookup(tree, "/last")?.stat.gid, 2);
});

test("parseDump() lets a link come before its target and lead over another link", () => {
  const tree = parse(
    `${ROOT}/a 0 @100644 - - - - 0.0 /b - -\n/b 0 @100644 - - - - 0.0 c - -\n/c 1 100644 9 0 0 0 0.0 - x -\n`,
  );
  assert.equal(lookup(tree, "/a"), lookup(tree, "/c"));
  assert.equal(lookup(tree, "/b"), lookup(tree, "/c"));
  const leaf = lookup(tree, "/c");
  assert.equal(leaf?.kind === "file" ? leaf.originalPath : "", "/c");
  assert.equal(leaf?.kind === "file" ? leaf.nlink : 0, 9);
});

test("formatDump() writes escapes, literal dashes, empty fields and sorted xattrs", () => {
  const text =
    ROOT +
    "/- 1 100644 1 0 0 0 0.0 - \\x2d -\n" +
    "/a\\x20\\\\\\n\\r\\t\\xff= 0 100644 1 0 0 0 0.0 - - - a\\x3d=\\x3d b=\n" +
    "/s 1 120777 1 0 0 0 0.0 \\x2d - -\n";
  assert.equal(formatDump(parse(text)), text);
});

test("formatDump() keeps odd payloads and digests without path", () => {
  const text =
    `${ROOT}/a 5 100644 1 0 0 0 0.0 some/where - ${DIGEST}\n` +
    `/b 5 100644 1 0 0 0 0.0 - - ${DIGEST}\n` +
    "/c 5 100644 1 0 0 0 0.0 some/where - -\n" +
    `/d 5 100644 1 0 0 0 0.0 ${DIGEST.slice(0, 2)}/${DIGEST.slice(2)} - ${DIGEST}\n`;
  assert.equal(formatDump(parse(text)), text);
});
