/**
 * The story once over UEFI, then its shorter half over BIOS: `berth tour` checks every promise itself and fails at the first broken
 * one. Both use the same names and ports, so one follows the other, beside the other machines.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tour } from "../support/tour.ts";

test("the story runs over UEFI: build, push, deploy, upgrade, roll back, switch to Debian 13 and back", () => {
  const output = tour();
  assert.match(output, /== Back to Debian 12: /);
});

test("the shorter half of the story runs over BIOS", () => {
  const output = tour("--firmware", "bios", "--short", "--dir", "/var/tmp/berth-tour-bios");
  assert.match(output, /== Roll back: /);
});
