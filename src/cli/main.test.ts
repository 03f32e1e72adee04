import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

function shell(script: string): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync("sh", ["-c", script, "sh", process.execPath, MAIN], { encoding: "utf8" });
  return { status, stderr };
}

test("output that cannot be written is an error; a reader that went away is none; talk that nobody hears changes nothing", () => {
  assert.deepEqual(shell('"$1" "$2" help >/dev/full'), {
    status: 1,
    stderr: "error: Cannot write to standard output: ENOSPC\n",
  });
  assert.deepEqual(shell('{ "$1" "$2" help; echo "status $?" >&2; } | true'), { status: 0, stderr: "status 0\n" });
  assert.deepEqual(shell('"$1" "$2" nope 2>/dev/full'), { status: 2, stderr: "" });
});
