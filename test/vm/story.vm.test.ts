/** The story once over UEFI: `berth tour` checks every promise itself and fails at the first broken one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tour } from "../support/tour.ts";

test("the story runs over UEFI: build, push, deploy, upgrade, roll back, switch to Debian 13 and back", () => {
  const output = tour();
  assert.match(output, /== Back to Debian 12: /);
});
