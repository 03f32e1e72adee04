/** tour(): plays `berth tour` with these flags and returns what it printed; it fails at the first broken promise. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";

const berth = path.join(import.meta.dirname, "../../berth");

export function tour(...flags: string[]): string {
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
