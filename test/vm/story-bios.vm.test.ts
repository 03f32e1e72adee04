/** The shorter half of the story over BIOS: `berth tour` checks every promise itself and fails at the first broken one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tour } from "../support/tour.ts";

test("the shorter half of the story runs over BIOS", () => {
  const output = tour("--firmware", "bios", "--short", "--dir", "/var/tmp/berth-tour-bios");
  assert.match(output, /== Roll back: /);
});
