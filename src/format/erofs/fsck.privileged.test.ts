/** Debian's fsck.erofs and, where the kernel can, a real mount judge our images. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { directory, file, symlink, trees } from "../../../test/support/trees.ts";
import { parseDump } from "../dumpfile/parse.ts";
import { writeErofs } from "./write.ts";

const VECTORS = new URL("../../../test/vectors/composefs/", import.meta.url);
const scratch = mkdtempSync(path.join(tmpdir(), "berth-fsck-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** Throws with the tool's own words when it finds fault. */
function fsck(image: Buffer): void {
  const name = path.join(scratch, "image.erofs");
  writeFileSync(name, image);
  execFileSync("fsck.erofs", [name], { stdio: "pipe" });
}

for (const name of readdirSync(VECTORS).filter((entry) => /\.dump(\.gz)?$/.test(entry))) {
  test(`fsck.erofs accepts the image of ${name}`, () => {
    const bytes = readFileSync(new URL(name, VECTORS));
    const tree = parseDump(name.endsWith(".gz") ? gunzipSync(bytes) : bytes);
    fsck(writeErofs(tree, { algorithm: name.includes(".sha512.") ? "sha512" : "sha256" }));
  });
}

test("fsck.erofs accepts images of arbitrary trees", () => {
  fc.assert(
    fc.property(trees, (tree) => fsck(writeErofs(tree, { algorithm: "sha256" }))),
    { seed: 3, numRuns: 40 },
  );
});

test("fsck.erofs refuses an image with a broken directory, so that its word counts", () => {
  const image = writeErofs(directory({ f: file("f") }), { algorithm: "sha256" });
  image.fill(0xff, image.length - 4096);
  assert.throws(() => fsck(image));
});

test("the kernel mounts an image and shows names, content, modes and links", () => {
  const shared = file("shared\n", { mode: 0o640, uid: 12, gid: 34, mtimeSec: 1_600_000_000 });
  const long = symlink("t".repeat(4000));
  const tree = directory({
    d: directory({ one: shared, two: shared, long }),
    big: file("x".repeat(4999)),
    "\xc3\xa4 b": file(""),
  });
  writeFileSync(path.join(scratch, "mount.erofs"), writeErofs(tree, { algorithm: "sha512" }));
  const target = path.join(scratch, "mnt");
  mkdirSync(target);
  execFileSync("mount", ["-t", "erofs", "-o", "ro,loop", path.join(scratch, "mount.erofs"), target], { stdio: "pipe" });
  try {
    const one = statSync(path.join(target, "d/one"));
    assert.deepEqual(
      [one.nlink, one.mode & 0o7777, one.uid, one.gid, one.mtimeMs],
      [2, 0o640, 12, 34, 1_600_000_000_000],
    );
    assert.equal(one.ino, statSync(path.join(target, "d/two")).ino);
    assert.equal(readFileSync(path.join(target, "d/two"), "utf8"), "shared\n");
    assert.equal(readlinkSync(path.join(target, "d/long")), "t".repeat(4000));
    assert.equal(readFileSync(path.join(target, "big"), "utf8"), "x".repeat(4999));
    assert.ok(readdirSync(target).includes("ä b"));
  } finally {
    execFileSync("umount", [target]);
  }
});
