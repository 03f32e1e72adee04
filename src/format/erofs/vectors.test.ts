/** Every vector that mkcomposefs 1.0.8 and composefs-rs 0.9.0 made, byte for byte. */
import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import type { DigestAlgorithm } from "../../core/digest.ts";
import type { Directory } from "../../tree/node.ts";
import { formatDump } from "../dumpfile/format.ts";
import { parseDump } from "../dumpfile/parse.ts";
import { verityDigest } from "../verity/verity.ts";
import { readErofs } from "./read.ts";
import { writeErofs } from "./write.ts";

const VECTORS = new URL("../../../test/vectors/composefs/", import.meta.url);
const names = readdirSync(VECTORS)
  .filter((name) => /^[0-9].*[^2]\.dump(\.gz)?$/.test(name))
  .map((name) => name.replace(/\.dump(\.gz)?$/, ""));

function readDump(name: string): Directory {
  const plain = new URL(`${name}.dump`, VECTORS);
  return parseDump(
    existsSync(plain) ? readFileSync(plain) : gunzipSync(readFileSync(new URL(`${name}.dump.gz`, VECTORS))),
  );
}

function wanted(name: string): string {
  return readFileSync(new URL(name, VECTORS), "utf8").trim();
}

function check(image: Buffer, algorithm: DigestAlgorithm, digestFile: string, hashFile?: string): void {
  assert.equal(verityDigest(image, algorithm), wanted(digestFile));
  if (hashFile !== undefined) assert.equal(hash("sha256", image, "hex"), wanted(hashFile));
}

test("all 22 vectors are here", () => {
  assert.equal(names.length, 22);
});

for (const name of names) {
  test(`writeErofs() of ${name} equals mkcomposefs, default run`, () => {
    const image = writeErofs(readDump(name), { algorithm: "sha256", minVersion: 0, maxVersion: 1 });
    check(image, "sha256", `${name}.digest`, `${name}.sha256`);
  });
  test(`writeErofs() of ${name} equals mkcomposefs, format 1`, () => {
    check(writeErofs(readDump(name), { algorithm: "sha256" }), "sha256", `${name}.v1.digest`, `${name}.v1.sha256`);
  });
  if (existsSync(new URL(`${name}.v1-sha512.digest`, VECTORS))) {
    test(`writeErofs() of ${name} equals composefs-rs, format 1, sha512`, () => {
      const own = ["", ".gz"].some((end) => existsSync(new URL(`${name}.sha512.dump${end}`, VECTORS)));
      const image = writeErofs(readDump(own ? `${name}.sha512` : name), { algorithm: "sha512" });
      check(image, "sha512", `${name}.v1-sha512.digest`);
    });
  }
}

for (const name of names) {
  test(`readErofs() of ${name} gives the dump again, and the same image from it`, () => {
    const image = writeErofs(readDump(name), { algorithm: "sha256", minVersion: 0, maxVersion: 1 });
    const tree = readErofs(image);
    assert.ok(writeErofs(tree, { algorithm: "sha256", minVersion: 0, maxVersion: 1 }).equals(image));
    const text = formatDump(tree);
    assert.equal(formatDump(parseDump(Buffer.from(text))), text);
    // Which of two names stands for a file is not in the image where it does not change the order of inodes.
    if (name !== "18-c-only-nlink-and-link-order") assert.equal(text, formatDump(readDump(name)));
  });
}
