import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { applyMode } from "./owner.ts";
import { resolveInRoot } from "./resolve-path.ts";

const modes: readonly (readonly [mode: number, spec: string, isDirectory: boolean, wanted: number])[] = [
  [0o644, "755", false, 0o755],
  [0o644, "04755", false, 0o4755],
  [0o600, "go+r", false, 0o644],
  [0o666, "go-w", false, 0o644],
  [0o640, "a+X", false, 0o640],
  [0o640, "a+X", true, 0o751],
  [0o740, "a+X", false, 0o751],
  [0o000, "u=rw,g=r,o=", false, 0o640],
  [0o644, "+x", false, 0o755],
  [0o644, "u+s", false, 0o4644],
  [0o755, "g+s", true, 0o2755],
  [0o777, "+t", true, 0o1777],
  [0o750, "o=g", false, 0o755],
];

for (const [mode, spec, isDirectory, wanted] of modes) {
  test(`applyMode(${mode.toString(8)}, ${spec})`, () =>
    assert.equal(applyMode(mode, spec, isDirectory).toString(8), wanted.toString(8)));
}

const { files } = createFakeHost({
  files: {
    "/r/etc/x": "",
    "/r/abs": { symlink: "/etc" },
    "/r/up": { symlink: "../../../../etc/x" },
    "/r/a/b": { symlink: "../abs/x" },
    "/r/loop": { symlink: "loop" },
    "/r/dangling": { symlink: "/nowhere/y" },
    "/etc/secret": "outside",
  },
});

const paths: readonly (readonly [path: string, wanted: string, exists: boolean])[] = [
  ["abs/x", "etc/x", true],
  ["up", "etc/x", true],
  ["a/b", "etc/x", true],
  ["../../etc/secret", "etc/secret", false],
  ["dangling", "nowhere/y", false],
  ["new/deep", "new/deep", false],
  ["etc/x/below", "etc/x/below", false],
  ["/", "", true],
];

for (const [path, wanted, exists] of paths) {
  test(`resolveInRoot(${path})`, () => {
    const found = resolveInRoot(files, "/r", path, { followLast: true });
    assert.deepEqual([found.path, found.stat !== undefined], [wanted, exists]);
  });
}

test("resolveInRoot() leaves a last link alone when asked, and ends at a loop", () => {
  assert.equal(resolveInRoot(files, "/r", "up", { followLast: false }).stat?.kind, "symlink");
  assert.throws(() => resolveInRoot(files, "/r", "loop/x", { followLast: true }), /too many levels/);
});
