import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
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

for (const [key, name, status, says] of [
  ["\x03", "Ctrl-C", 130, "error: interrupted"],
  ["\x04", "Ctrl-D", 1, 'error: Cannot ask "Username:": the input ended, wanted an answer'],
] as const) {
  test(`${name} at a question ends the program with one line`, async () => {
    const login = `'${process.execPath}' '${MAIN}' login 127.0.0.1:9`;
    const child = spawn("script", ["--quiet", "--return", "--command", login, "/dev/null"]);
    let shown = "";
    child.stdout.on("data", (chunk: Buffer) => {
      if (!shown.includes("Username: ") && (shown + chunk).includes("Username: ")) child.stdin.write(key);
      shown += chunk;
    });
    const [code] = await once(child, "close");
    assert.equal(shown.split("\n").at(-2)?.trim(), says);
    assert.equal(code, status);
  });
}

test("a signal ends what reads standard input", async () => {
  const child = spawn(process.execPath, [MAIN, "login", "-u", "anna", "--password-stdin", "127.0.0.1:9"]);
  // More than a pipe holds: what has taken it reads.
  child.stdin.write(Buffer.alloc(4 * 1024 * 1024), () => child.kill("SIGTERM"));
  const [code] = await once(child, "close");
  assert.equal(code, 143);
});

for (const [name, status] of [
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`${name} unwinds what waits for a registry`, async (t) => {
    const silent = createServer().listen(0, "127.0.0.1");
    t.after(() => silent.close());
    await once(silent, "listening");
    const address = silent.address();
    assert.ok(typeof address === "object" && address !== null);
    const child = spawn(process.execPath, [MAIN, "login", "-u", "anna", "-p", "secret", `127.0.0.1:${address.port}`]);
    silent.once("connection", () => child.kill(name));
    let says = "";
    child.stderr.on("data", (chunk: Buffer) => (says += chunk));
    const [code] = await once(child, "close");
    assert.equal(says, "error: interrupted\n");
    assert.equal(code, status);
  });
}
