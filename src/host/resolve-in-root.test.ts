import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "./fake.ts";
import { resolveInRoot } from "./resolve-in-root.ts";

const { files } = createFakeHost({
  files: {
    "/r/etc/x": "",
    "/r/abs": { symlink: "/etc" },
    "/r/up": { symlink: "../../../../etc/x" },
    "/r/a/b": { symlink: "../abs/x" },
    "/r/loop": { symlink: "loop" },
    "/r/dangling": { symlink: "/nowhere/y" },
    "/etc/secret": "outside",
    "/link": { symlink: "/r" },
  },
});

const paths: readonly (readonly [path: string, wanted: string, exists: boolean, existing: number])[] = [
  ["abs/x", "etc/x", true, 2],
  ["up", "etc/x", true, 2],
  ["a/b", "etc/x", true, 2],
  ["../../etc/secret", "etc/secret", false, 1],
  ["dangling", "nowhere/y", false, 0],
  ["new/deep", "new/deep", false, 0],
  ["etc/x/below", "etc/x/below", false, 2],
  ["/", "", true, 0],
  ["abs/../../etc/new/x", "etc/new/x", false, 1],
];

for (const [path, wanted, exists, existing] of paths) {
  test(`resolveInRoot(${path})`, () => {
    const found = resolveInRoot(files, "/r", path);
    assert.deepEqual([found.path, found.stat !== undefined, found.existing], [wanted, exists, existing]);
  });
}

test("resolveInRoot() leaves a last link alone when asked, and ends at a loop", () => {
  assert.equal(resolveInRoot(files, "/r", "up", { followLast: false }).stat?.kind, "symlink");
  assert.throws(() => resolveInRoot(files, "/r", "loop/x"), /too many levels/);
});

test("resolveInRoot() takes a root that is a link itself", () => {
  assert.equal(resolveInRoot(files, "/link", "abs/x").stat?.kind, "file");
});
