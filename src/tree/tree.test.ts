import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { directory, file, object, stat, symlink, trees } from "../../test/support/trees.ts";
import { diffTrees } from "./diff.ts";
import type { Directory, Node } from "./node.ts";
import { devMajor, devMinor, makeDev } from "./node.ts";
import { countEntries, countLinks, lookup, resolve, walk } from "./walk.ts";

const shared = file("shared");
const tree = directory({
  usr: directory({
    bin: directory({ sh: file("sh"), link: shared }),
    lib: symlink("bin"),
    abs: symlink("/usr/lib"),
    up: symlink("../../usr"),
  }),
  "usr-local": file("x"),
  loop: symlink("loop"),
  also: shared,
});

function paths(of: Directory): string[] {
  return [...walk(of)].map(({ path }) => path);
}

test("walk() goes depth first in byte order, children before longer names", () => {
  assert.deepEqual(paths(tree), [
    "/",
    "/also",
    "/loop",
    "/usr",
    "/usr/abs",
    "/usr/bin",
    "/usr/bin/link",
    "/usr/bin/sh",
    "/usr/lib",
    "/usr/up",
    "/usr-local",
  ]);
});

test("lookup() finds nodes without following symlinks", () => {
  assert.equal(lookup(tree, "/"), tree);
  assert.equal(lookup(tree, ""), tree);
  assert.equal(lookup(tree, "usr//bin/link/"), shared);
  assert.equal(lookup(tree, "/usr/lib/sh"), undefined);
  assert.equal(lookup(tree, "/also/x"), undefined);
  assert.equal(lookup(tree, "/no"), undefined);
});

test("resolve() follows symlinks inside the tree", () => {
  assert.equal(resolve(tree, "/usr/lib/link"), shared);
  assert.equal(resolve(tree, "/usr/abs/link"), shared);
  assert.equal(resolve(tree, "/usr/up"), lookup(tree, "/usr"));
  assert.equal(resolve(tree, "../../usr/./bin/../bin/link"), shared);
  assert.equal(resolve(tree, "/loop"), undefined);
  assert.equal(resolve(tree, "/also/x"), undefined);
  assert.equal(resolve(tree, "/usr/no"), undefined);
});

test("countEntries() and countLinks() count names and shared leaves", () => {
  assert.deepEqual(countEntries(tree), { entries: 11, directories: 3, leaves: 7 });
  assert.deepEqual([...countLinks(tree)], [[shared, 2]]);
});

test("makeDev() is undone by devMajor() and devMinor()", () => {
  assert.equal(makeDev(1, 3), 259);
  for (const [major, minor] of [
    [0, 0],
    [8, 1],
    [4095, 1048575],
    [259, 300],
  ] as const) {
    assert.deepEqual([devMajor(makeDev(major, minor)), devMinor(makeDev(major, minor))], [major, minor]);
  }
});

function changes(before: Directory, after: Directory, options = {}): string[] {
  return diffTrees(before, after, options).map(({ kind, path }) => `${kind} ${path}`);
}

const cases: readonly (readonly [what: string, was: Node, is: Node, wanted: readonly string[]])[] = [
  ["content", file("a"), file("b"), ["modified /n"]],
  ["an object", object("aa".repeat(32)), object("bb".repeat(32)), ["modified /n"]],
  ["mode", file("a"), file("a", { mode: 0o600 }), ["modified /n"]],
  ["owner", file("a"), file("a", { uid: 1 }), ["modified /n"]],
  ["time", file("a"), file("a", { mtimeNsec: 1 }), ["modified /n"]],
  [
    "an xattr's value",
    file("a", { xattrs: new Map([["k", Buffer.from("1")]]) }),
    file("a", { xattrs: new Map([["k", Buffer.from("2")]]) }),
    ["modified /n"],
  ],
  [
    "an xattr's name",
    file("a", { xattrs: new Map([["k", Buffer.from("1")]]) }),
    file("a", { xattrs: new Map([["l", Buffer.from("1")]]) }),
    ["modified /n"],
  ],
  ["a target", symlink("a"), symlink("b"), ["modified /n"]],
  ["a device", { kind: "char", stat: stat(), rdev: 1 }, { kind: "char", stat: stat(), rdev: 2 }, ["modified /n"]],
  ["type", { kind: "char", stat: stat(), rdev: 1 }, { kind: "block", stat: stat(), rdev: 1 }, ["modified /n"]],
  ["nothing", { kind: "fifo", stat: stat() }, { kind: "fifo", stat: stat() }, []],
  [
    "a directory's own mode",
    directory({ x: file("x") }),
    directory({ x: file("x") }, { mode: 0o700 }),
    ["modified /n"],
  ],
  ["a directory into a file", directory({ x: file("x") }), file("a"), ["modified /n"]],
  [
    "a file into a directory",
    file("a"),
    directory({ x: directory({ y: file("y") }) }),
    ["modified /n", "added /n/x", "added /n/x/y"],
  ],
];

for (const [what, was, is, wanted] of cases) {
  test(`diffTrees() sees a change of ${what}`, () => {
    assert.deepEqual(changes(directory({ n: was }), directory({ n: is })), wanted);
  });
}

test("diffTrees() names all that is added and only the top of what is removed", () => {
  const full = directory({ d: directory({ e: directory({ f: file("f") }) }), z: file("z") });
  assert.deepEqual(changes(directory(), full), ["added /d", "added /d/e", "added /d/e/f", "added /z"]);
  assert.deepEqual(changes(full, directory()), ["removed /d", "removed /z"]);
  assert.deepEqual(changes(full, directory({}, { mode: 0o700 })), ["modified /", "removed /d", "removed /z"]);
});

test("diffTrees() can ignore times", () => {
  const old = directory({ a: file("a"), b: file("b") });
  const young = directory({ a: file("a", { mtimeSec: 5 }), b: file("c", { mtimeSec: 5 }) }, { mtimeSec: 5 });
  assert.deepEqual(changes(old, young, { ignoreMtime: true }), ["modified /b"]);
});

test("diffTrees() of a tree with itself or a copy is empty", () => {
  fc.assert(
    fc.property(trees, (one) => {
      assert.deepEqual(changes(one, one), []);
      assert.deepEqual(changes(one, structuredClone(one)), []);
    }),
    { seed: 7, numRuns: 50 },
  );
});
