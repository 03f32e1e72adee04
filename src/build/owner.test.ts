import assert from "node:assert/strict";
import { test } from "node:test";
import { applyMode } from "./owner.ts";

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
