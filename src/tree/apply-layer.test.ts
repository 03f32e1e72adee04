import assert from "node:assert/strict";
import { test } from "node:test";
import { file, stat } from "../../test/support/trees.ts";
import type { ByteName } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { createLayerMerger, ROOT_STAT } from "./apply-layer.ts";
import type { LayerEntry } from "./layer-entry.ts";
import type { Directory } from "./node.ts";
import { lookup, walk } from "./walk.ts";

/** `d/` is a directory, `a -> b` a symlink, `a = b` a hard link, anything else a file whose content is its path. */
function entry(text: string): LayerEntry {
  const [first = "", arrow, second = ""] = text.split(" ");
  const path = first.replace(/\/$/, "") as ByteName;
  if (first.endsWith("/") || first === "") return { kind: "directory", path, stat: stat({ mode: 0o755 }) };
  if (arrow === "->") return { kind: "symlink", path, stat: stat(), target: second as ByteName };
  if (arrow === "=") return { kind: "hardlink", path, stat: stat({ mode: 0o111 }), target: second as ByteName };
  const { size, content } = file(first);
  return { kind: "file", path, stat: stat(), size, content };
}

function merge(...entries: readonly string[]): Directory {
  const merger = createLayerMerger();
  for (const text of entries) merger.apply(entry(text));
  return merger.finish();
}

function paths(...entries: readonly string[]): string[] {
  return [...walk(merge(...entries))].slice(1).map(({ path }) => path);
}

test("apply() adds files and directories", () => {
  assert.deepEqual(paths("a/", "a/b", "c"), ["/a", "/a/b", "/c"]);
});

test("apply() of a whiteout removes a file or a whole directory, and nothing else", () => {
  assert.deepEqual(paths("a/", "a/b", "c", ".wh.a"), ["/c"]);
  assert.deepEqual(paths("a/", "a/b", "a/c", "a/.wh.c", "a/.wh.none"), ["/a", "/a/b"]);
});

test("apply() of an opaque mark empties the directory as it is at that moment", () => {
  assert.deepEqual(paths("a/", "a/b", "a/d/", "a/.wh..wh..opq", "a/c"), ["/a", "/a/c"]);
});

test("apply() of a path below a removed directory does not bring back what was in it", () => {
  assert.deepEqual(paths("a/", "a/b/", "a/b/c", ".wh.a", "a/b/d"), ["/a", "/a/b", "/a/b/d"]);
  assert.deepEqual(paths("a/", "a/b/", "a/b/c", "a/.wh..wh..opq", "a/b/d"), ["/a", "/a/b", "/a/b/d"]);
  assert.throws(() => merge("a/", "a/b/", "a/b/c", "a", "a/b/d"), /"a" on its path is a file, wanted a directory/);
});

test("apply() makes directories that no layer describes, until one does", () => {
  const tree = merge("a/b/c", "e/.wh.f");
  for (const name of ["a", "a/b", "e"]) assert.deepEqual(lookup(tree, name)?.stat, { ...ROOT_STAT, mode: 0o755 });
  assert.deepEqual(lookup(merge("a/b/c", "a/"), "a")?.stat, stat({ mode: 0o755 }));
  assert.throws(() => merge("a/../c/d"), /its name is not 1 to 255 bytes/);
  assert.throws(() => merge(`${"n".repeat(256)}/d`), /its name is not 1 to 255 bytes/);
});

test("apply() refuses what no file system holds", () => {
  const at = { path: "f" as ByteName };
  const bad: readonly [LayerEntry, RegExp][] = [
    [entry(`s -> ${"t".repeat(4096)}`), /its target has 4096 bytes, wanted 1 to 4095/],
    [{ kind: "symlink", ...at, stat: stat(), target: "" as ByteName }, /its target has 0 bytes/],
    [
      { kind: "fifo", ...at, stat: stat({ xattrs: new Map([[`user.${"x".repeat(251)}`, Buffer.alloc(0)]]) }) },
      /a name of 256 and a value of 0 bytes/,
    ],
    [
      { kind: "directory", ...at, stat: stat({ xattrs: new Map([["user.x", Buffer.alloc(65536)]]) }) },
      /attribute "user.x" has a name of 6 and a value of 65536 bytes, wanted at most 255 and 65535/,
    ],
  ];
  for (const [each, message] of bad)
    assert.throws(() => createLayerMerger().apply(each), { code: "bad-input", message });
});

test("apply() of a directory over a directory keeps the children and takes the new metadata", () => {
  const merger = createLayerMerger();
  for (const text of ["a/", "a/b"]) merger.apply(entry(text));
  merger.apply({ kind: "directory", path: "a" as ByteName, stat: stat({ mode: 0o700 }) });
  const tree = merger.finish();
  assert.equal(lookup(tree, "/a")?.stat.mode, 0o700);
  assert.ok(lookup(tree, "/a/b"));
});

test("apply() of anything else replaces what is there", () => {
  assert.deepEqual(paths("a/", "a/b", "a -> c"), ["/a"]);
  assert.equal(lookup(merge("a", "a/"), "/a")?.kind, "directory");
});

test("apply() of a hard link shares the leaf and ignores its own metadata", () => {
  const tree = merge("d/", "d/a", "b = d/a", "c = /d/a", "e = ./d/a");
  for (const name of ["b", "c", "e"]) assert.equal(lookup(tree, name), lookup(tree, "d/a"));
  assert.equal(lookup(tree, "b")?.stat.mode, 0o644);
});

test("apply() of a hard link to a removed name fails, to a replaced one shares the old file with nobody", () => {
  assert.throws(() => merge("a", ".wh.a", "b = a"), /its hard link target "a" is not in the image/);
  const tree = merge("a", "b = a", "a");
  assert.notEqual(lookup(tree, "a"), lookup(tree, "b"));
});

test("apply() for the root sets its metadata only", () => {
  const tree = merge("a", "");
  assert.equal(tree.stat.mode, 0o755);
  assert.ok(lookup(tree, "a"));
  assert.equal(merge("a").stat.mode, 0);
});

const rejected: readonly (readonly [what: string, entries: readonly string[], message: RegExp])[] = [
  ["a symlink on the path", ["usr/", "lib -> usr", "lib/x"], /"lib" on its path is a symlink, wanted a directory/],
  ["a link to a directory", ["a/", "b = a"], /its hard link target "a" is a directory/],
  ["the name ..", ["a/", "a/.."], /its name is not 1 to 255 bytes/],
  ["the name .", ["."], /its name is not 1 to 255 bytes/],
  ["a name of 256 bytes", ["n".repeat(256)], /its name is not 1 to 255 bytes/],
];

for (const [what, entries, message] of rejected) {
  test(`apply() rejects ${what} and leaves the tree as it was`, () => {
    const merger = createLayerMerger();
    for (const text of entries.slice(0, -1)) merger.apply(entry(text));
    const before = [...walk(merger.finish())].length;
    assert.throws(
      () => merger.apply(entry(entries.at(-1) ?? "")),
      (error: unknown) => isFailure(error, "bad-input") && message.test(error.message),
    );
    assert.equal([...walk(merger.finish())].length, before);
  });
}

test("apply() rejects a root that is no directory", () => {
  const merger = createLayerMerger();
  assert.throws(
    () => merger.apply({ kind: "fifo", path: "" as ByteName, stat: stat() }),
    /the root must be a directory/,
  );
});
