import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type CpioEntry, writeNewc } from "./newc.ts";

const ENTRIES: readonly CpioEntry[] = [
  { kind: "directory", path: "bin", mode: 0o755 },
  { kind: "file", path: "bin/tool", mode: 0o4755, content: Buffer.from("#!/bin/sh\n") },
  { kind: "symlink", path: "bin/sh", mode: 0o777, target: "tool" },
  { kind: "file", path: "empty", mode: 0o600, content: new Uint8Array() },
  { kind: "file", path: "odd", mode: 0o644, content: Buffer.from("abcde") },
];

test("writeNewc() writes what cpio reads back", () => {
  const directory = mkdtempSync(join(tmpdir(), "cpio-"));
  try {
    execFileSync("cpio", ["-i", "--quiet", "-d"], { cwd: directory, input: writeNewc(ENTRIES) });
    assert.equal(readFileSync(join(directory, "bin/tool"), "latin1"), "#!/bin/sh\n");
    assert.equal(statSync(join(directory, "bin/tool")).mode & 0o7777, 0o4755);
    assert.equal(readlinkSync(join(directory, "bin/sh")), "tool");
    assert.equal(statSync(join(directory, "empty")).size, 0);
    assert.equal(readFileSync(join(directory, "odd"), "latin1"), "abcde");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("writeNewc() writes device nodes that cpio lists", () => {
  const archive = writeNewc([
    { kind: "directory", path: "dev", mode: 0o755 },
    { kind: "char", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
  ]);
  const listing = execFileSync("cpio", ["-itv", "--quiet"], { input: archive }).toString();
  assert.match(listing, /^crw-------\s+1 root\s+root\s+5,\s+1 .* dev\/console$/m);
});

test("writeNewc() pads to 512 bytes and is a function of its input", () => {
  const archive = writeNewc(ENTRIES);
  assert.equal(archive.length % 512, 0);
  assert.deepEqual(archive, writeNewc(ENTRIES));
});

for (const [name, entries] of [
  ["an absolute path", [{ kind: "file", path: "/a", mode: 0, content: new Uint8Array() }]],
  ["an empty path", [{ kind: "file", path: "", mode: 0, content: new Uint8Array() }]],
  ["a path with NUL", [{ kind: "file", path: "a\0b", mode: 0, content: new Uint8Array() }]],
  ["the trailer's name", [{ kind: "file", path: "TRAILER!!!", mode: 0, content: new Uint8Array() }]],
  [
    "the same path twice",
    [
      { kind: "directory", path: "a", mode: 0 },
      { kind: "directory", path: "a", mode: 0 },
    ],
  ],
  [
    "a child before its parent",
    [
      { kind: "directory", path: "a/b", mode: 0 },
      { kind: "directory", path: "a", mode: 0 },
    ],
  ],
] as const satisfies readonly (readonly [string, readonly CpioEntry[]])[]) {
  test(`writeNewc() rejects ${name}`, () => {
    assert.throws(() => writeNewc(entries), RangeError);
  });
}
