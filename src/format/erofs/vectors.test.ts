/** Every vector that mkcomposefs 1.0.8 and composefs-rs 0.9.0 made, byte for byte: MANIFEST.tsv says what each dump must give. */
import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import type { Directory } from "../../tree/node.ts";
import { formatDump } from "../dumpfile/format.ts";
import { parseDump } from "../dumpfile/parse.ts";
import { verityDigest } from "../verity/verity.ts";
import { readErofs } from "./read.ts";
import { writeErofs } from "./write.ts";

const VECTORS = new URL("../../../test/vectors/composefs/", import.meta.url);
const [header = [], ...rows] = readFileSync(new URL("MANIFEST.tsv", VECTORS), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.split("\t"));
/** A column of the manifest by its title; undefined where the reference made no such image. */
const vectors = rows.map(([name = "", ...row]) => ({
  name,
  wanted: (title: string): string | undefined => {
    const value = row[header.indexOf(title) - 1];
    assert.ok(value !== undefined, title);
    return value === "-" ? undefined : value;
  },
}));

function readDump(name: string): Directory {
  const plain = new URL(`${name}.dump`, VECTORS);
  return parseDump(
    existsSync(plain) ? readFileSync(plain) : gunzipSync(readFileSync(new URL(`${name}.dump.gz`, VECTORS))),
  );
}

test("MANIFEST.tsv names every dump that is here, and no other", () => {
  const dumps = readdirSync(VECTORS).filter((name) => /(?<!\.sha512)\.dump(\.gz)?$/.test(name));
  const names = dumps.map((name) => name.replace(/\.dump(\.gz)?$/, ""));
  assert.deepEqual(
    vectors.map(({ name }) => name),
    names.sort(),
  );
});

for (const { name, wanted } of vectors) {
  test(`writeErofs() of ${name} equals mkcomposefs, default run`, () => {
    const image = writeErofs(readDump(name), { algorithm: "sha256", minVersion: 0, maxVersion: 1 });
    assert.equal(verityDigest(image, "sha256"), wanted("digest"));
    assert.equal(hash("sha256", image, "hex"), wanted("sha256"));
  });
  test(`writeErofs() of ${name} equals mkcomposefs, format 1`, () => {
    const image = writeErofs(readDump(name), { algorithm: "sha256" });
    assert.equal(verityDigest(image, "sha256"), wanted("v1.digest"));
    assert.equal(hash("sha256", image, "hex"), wanted("v1.sha256"));
  });
  const sha512 = wanted("v1-sha512.digest");
  if (sha512 !== undefined) {
    test(`writeErofs() of ${name} equals composefs-rs, format 1, sha512`, () => {
      const own = ["", ".gz"].some((end) => existsSync(new URL(`${name}.sha512.dump${end}`, VECTORS)));
      const image = writeErofs(readDump(own ? `${name}.sha512` : name), { algorithm: "sha512" });
      assert.equal(verityDigest(image, "sha512"), sha512);
    });
  }
}

for (const { name } of vectors) {
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
