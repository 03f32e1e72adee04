/** The story once over UEFI: `berth tour` checks every promise itself and fails at the first broken one. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";

const berth = path.join(import.meta.dirname, "../../berth");

function tour(...flags: string[]): string {
  const result = spawnSync(berth, ["--no-install", "tour", ...flags], {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  const tail = `${result.stdout.slice(-4000)}\n${result.stderr.slice(-2000)}`;
  assert.equal(result.status, 0, `berth tour ${flags.join(" ")} ended with ${result.status}:\n${tail}`);
  const table = result.stdout.slice(result.stdout.lastIndexOf("\n\n"));
  console.log(table);
  return result.stdout;
}

test("the story runs over UEFI: build, push, deploy, upgrade, roll back, switch to Debian 13 and back", () => {
  const output = tour();
  assert.match(output, /== Back to Debian 12: /);
});
