import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../../host/fake.ts";
import { type Printed, runWords } from "../testing.ts";
import { baseBuildCommand } from "./base-build.ts";
import { containerLintCommand } from "./container-lint.ts";
import { containerfileCheckCommand } from "./containerfile-check.ts";

const run = (
  words: readonly string[],
  files: Readonly<Record<string, string | { directory: true }>>,
  stdin = "",
): Promise<Printed> =>
  runWords(createFakeHost({ files, volatile: [] }), [containerfileCheckCommand, containerLintCommand], words, {
    stdin,
  });

test("containerfile check prints one JSON line a file and fails when one is rejected", async () => {
  const files = { "/a": "FROM localhost/x\nCOPY --chown=1 a b\n", "/b": "FROM localhost/x\nRUM x\n" };
  const { status, out, err } = await run(["containerfile", "check", "--json", "/a", "/b"], files);
  assert.equal(status, 1);
  assert.match(err, /1 of 2 files rejected/);
  const lines: unknown[] = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines[0], {
    file: "/a",
    accept: true,
    instructions: [
      { name: "FROM", flags: [], args: ["localhost/x"], line: 1 },
      { name: "COPY", flags: ["--chown=1"], args: ["a", "b"], line: 2 },
    ],
    warnings: [],
  });
  assert.deepEqual(lines[1], {
    file: "/b",
    accept: false,
    error: {
      line: 2,
      column: 1,
      message: 'unknown instruction "RUM"',
      hint: "did you mean RUN?",
      excerpt: "  2 | RUM x\n    | ^",
    },
  });
});

test("containerfile check reads standard input, and says what is missing", async () => {
  assert.deepEqual(await run(["containerfile", "check", "-"], {}, "FROM localhost/x\n"), {
    status: 0,
    out: "-: ok, 1 instructions\n",
    err: "",
  });
  const missing = await run(["containerfile", "check", "/nosuch"], {});
  assert.equal(missing.status, 1);
  assert.match(missing.err, /\/nosuch/);
});

test("container lint ends with exit status 1 for a fatal lint, and for a warning only with --fatal-warnings", async () => {
  const names = ["boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "var"];
  const good = Object.fromEntries(names.map((name) => [`/img/${name}`, { directory: true } as const]));
  const passed = await run(["container", "lint", "--rootfs", "/img"], good);
  assert.deepEqual(passed, { status: 0, out: "Checks passed: 14\nChecks skipped: 1\n", err: "" });
  const warned = { ...good, "/img/tmp/x": "" };
  assert.equal((await run(["container", "lint", "--rootfs", "/img"], warned)).status, 0);
  const strict = await run(["container", "lint", "--rootfs", "/img", "--fatal-warnings"], warned);
  assert.deepEqual([strict.status, strict.err], [1, "error: Checks failed: 1\n"]);
  const failed = await run(["container", "lint", "--rootfs", "/img", "--json"], {
    ...good,
    "/img/etc/x": "",
    "/img/usr/etc/x": "",
  });
  assert.equal(failed.status, 1);
  assert.match(failed.out, /"name": "etc-usretc"/);
  assert.match((await run(["container", "lint", "--rootfs", "/nosuch"], good)).err, /there is no such directory/);
  assert.match((await run(["container", "lint", "--list"], {})).out, /^- name: api-base-directories$/m);
});

test("base build refuses a malformed name before anything is asked", async () => {
  const host = createFakeHost({ user: { uid: 0, gid: 0 } });
  const { status, err } = await runWords(
    host,
    [baseBuildCommand],
    ["base", "build", "--suite=bookworm", "-t", "Bad Tag"],
  );
  assert.match(err, /Cannot parse image reference "Bad Tag"/);
  assert.equal(status, 2);
});
