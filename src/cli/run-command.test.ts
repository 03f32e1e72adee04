import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import type { Host } from "../host/host.ts";
import { type Command, command } from "./command.ts";
import { commands } from "./commands.ts";
import { formatManPage } from "./help.ts";
import { runProgram } from "./run-command.ts";

const table: readonly Command[] = [
  command({
    name: "echo",
    summary: "Say it back",
    flags: {},
    operands: [{ name: "WORD", summary: "What" }],
    run: async (_v, [word]) => ({ word }),
    view: ({ word }) => word,
  }),
  command({
    name: "fail",
    summary: "Fail",
    flags: {},
    run: async () => Promise.reject(new Failure("not-found", 'Cannot find "x"', { hint: "look" })),
  }),
  command({
    name: "list",
    summary: "List",
    flags: { quiet: { type: "boolean", summary: "Less" } },
    run: async ({ quiet }) => ({ rows: [1], quiet }),
    json: ({ rows }) => rows,
    view: () => "1",
  }),
  command({
    name: "denied",
    summary: "Denied",
    flags: {},
    run: async () => Promise.reject(new Failure("denied", 'Cannot read "x"')),
  }),
  command({ name: "group one", summary: "First", flags: {}, run: async () => {} }),
];

async function run(
  words: string[],
  all: readonly Command[] = table,
  host: Host = createFakeHost({}),
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  let stdout = "";
  let stderr = "";
  const exitCode = await runProgram(words, all, {
    host,
    terminal: {
      stdout: (text) => void (stdout += text),
      stderr: (text) => void (stderr += text),
      stdoutIsTerminal: false,
      stdinIsTerminal: false,
      stderrColumns: undefined,
      readStdin: async () => "",
      ask: async () => "",
    },
    signal: new AbortController().signal,
    version: "1.2.3",
  });
  return { exitCode, stdout, stderr };
}

test("runProgram() prints the view, or the value with --json", async () => {
  assert.deepEqual(await run(["echo", "hi"]), { exitCode: 0, stdout: "hi\n", stderr: "" });
  assert.deepEqual(JSON.parse((await run(["echo", "hi", "--json"])).stdout), { word: "hi" });
});

test("runProgram() prints nothing with --json for a command without a value", async () => {
  const mute = command({ name: "mute", summary: "Mute", flags: {}, run: async () => undefined, view: () => "text" });
  assert.equal((await run(["mute", "--json"], [mute])).stdout, "");
});

test("runProgram() prints with --json what the command says, not how it was asked", async () => {
  assert.deepEqual(JSON.parse((await run(["list", "--json"])).stdout), [1]);
});

test("runProgram() tells an ordinary user who may do what the kernel forbids", async () => {
  const host: Host = { ...createFakeHost({}), user: { uid: 1000, gid: 1000 } };
  assert.deepEqual(await run(["denied"], table, host), {
    exitCode: 1,
    stdout: "",
    stderr: 'error: Cannot read "x"\nhint: root may: sudo berth denied\n',
  });
  assert.deepEqual(await run(["denied"]), { exitCode: 1, stdout: "", stderr: 'error: Cannot read "x"\n' });
});

test("runProgram() ends failures with one line and a hint on stderr", async () => {
  assert.deepEqual(await run(["fail"]), { exitCode: 1, stdout: "", stderr: 'error: Cannot find "x"\nhint: look\n' });
});

test("runProgram() helps: overview, group, command, version", async () => {
  assert.match((await run(["--help"])).stdout, /Usage: berth COMMAND/);
  assert.equal((await run([])).exitCode, 2);
  assert.match((await run(["group", "--help"])).stdout, /group one\s+First/);
  assert.match((await run(["echo", "--help"])).stdout, /Usage: berth echo \[FLAGS\] WORD/);
  assert.match((await run(["help", "fial"])).stderr, /there is no such command\nhint: did you mean "fail"/);
  assert.equal((await run(["--help", "fial"])).exitCode, 2);
  assert.equal((await run(["--version"])).stdout, "berth 1.2.3\n");
});

test("every command of the program has help, and the man page names it", async () => {
  const man = formatManPage(commands, "1");
  for (const entry of commands.filter((item) => !item.hidden)) {
    const help = await run([...entry.name.split(" "), "--help"], commands);
    assert.equal(help.exitCode, 0, entry.name);
    assert.ok(help.stdout.startsWith(`${entry.summary}.\n`), entry.name);
    assert.ok(man.includes(`berth ${entry.name}`.replaceAll("-", "\\-")), entry.name);
    assert.ok(!entry.summary.endsWith("."), `${entry.name}: the summary ends with a period`);
  }
});
