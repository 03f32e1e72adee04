/** Runs the script itself, with stand-ins for the two programs that need a kernel: mount tells what it was asked, fsverity what it is told. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const scratch = mkdtempSync(join(tmpdir(), "composefs-setup-"));
after(() => rmSync(scratch, { recursive: true }));

const SCRIPT = new URL("composefs-setup", import.meta.url).pathname;
const SHA512 = "0123456789abcdef".repeat(8);
const SHA256 = SHA512.slice(64);
const physical = join(scratch, "phys");

for (const id of [SHA512, SHA256]) {
  mkdirSync(join(physical, "composefs/images"), { recursive: true });
  mkdirSync(join(physical, `state/deploy/${id}/etc`), { recursive: true });
  mkdirSync(join(physical, `state/deploy/${id}/var`), { recursive: true });
  writeFileSync(join(physical, `composefs/images/${id}`), "");
}

interface Run {
  readonly status: number | null;
  readonly reason: string;
  readonly mounts: readonly string[];
}

/** `measured` is what `fsverity measure` prints first; it fails without. */
function run(cmdline: string, measured?: string): Run {
  const bin = mkdtempSync(join(scratch, "bin-"));
  const log = join(bin, "mounts");
  writeFileSync(log, "");
  const programs = {
    mount: `echo "$*" >>${log}`,
    umount: "exit 0",
    fsverity: measured === undefined ? "exit 1" : `echo "${measured} $2"`,
  };
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  writeFileSync(join(bin, "cmdline"), `${cmdline}\n`);
  const result = spawnSync("/bin/sh", [SCRIPT, physical, join(scratch, "new")], {
    env: { PATH: `${bin}:/usr/bin:/bin`, CMDLINE: join(bin, "cmdline"), WORK: join(scratch, "work") },
    encoding: "utf8",
  });
  const mounts = readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  return { status: result.status, reason: result.stdout.trim(), mounts };
}

const overlayOf = (mounts: readonly string[]): string => mounts.find((line) => line.startsWith("-t overlay")) ?? "";

for (const [name, cmdline, measured] of [
  ["composefs= with sha512", `root=UUID=1 rw composefs=${SHA512} quiet`, `sha512:${SHA512}`],
  ["composefs= with sha256", `composefs=${SHA256}`, `sha256:${SHA256}`],
  [
    "composefs.digest= before composefs=",
    `composefs.digest=v1-sha512-12:${SHA512} composefs=${SHA256}`,
    `sha512:${SHA512}`,
  ],
  ["an image with fs-verity where it is optional", `composefs=?${SHA512}`, `sha512:${SHA512}`],
] as const) {
  test(`composefs-setup mounts with verity=require: ${name}`, () => {
    const { status, mounts } = run(cmdline, measured);
    assert.equal(status, 0);
    assert.match(overlayOf(mounts), /,verity=require,/);
    assert.ok(mounts.at(-1)?.startsWith("--move"));
  });
}

test("composefs-setup mounts without verity only when it is optional and the image has none", () => {
  const { status, mounts } = run(`composefs=?${SHA512}`);
  assert.equal(status, 0);
  assert.ok(overlayOf(mounts) !== "" && !overlayOf(mounts).includes("verity"));
});

const OTHER = "f".repeat(128);
for (const [name, cmdline, measured, reason] of [
  ["no composefs=", "root=UUID=1", undefined, /has no composefs=/],
  ["upper-case digits", `composefs=${SHA512.toUpperCase()}`, undefined, /lower-case hexadecimal/],
  ["a path", "composefs=../../etc/passwd", undefined, /lower-case hexadecimal/],
  ["a digest that is too short", `composefs=${SHA512.slice(1)}`, undefined, /127 digits/],
  ["the digest of another algorithm", `composefs.digest=v1-sha256-12:${SHA512}`, undefined, /no sha256 digest/],
  ["an unknown algorithm", `composefs.digest=v9-md5:${SHA512}`, undefined, /hexadecimal/],
  ["an image that is not there", `composefs=${OTHER}`, undefined, /not in the repository/],
  ["an image without fs-verity", `composefs=${SHA512}`, undefined, /no fs-verity digest/],
  ["another image under this name", `composefs=${SHA512}`, `sha512:${OTHER}`, /measures sha512:f+/],
  ["another image, even where verity is optional", `composefs=?${SHA512}`, `sha512:${OTHER}`, /measures sha512:f+/],
] as const) {
  test(`composefs-setup refuses ${name} and mounts nothing`, () => {
    const result = run(cmdline, measured);
    assert.equal(result.status, 1);
    assert.match(result.reason, reason);
    assert.equal(result.reason.split("\n").length, 1);
    assert.deepEqual(result.mounts, []);
  });
}
