import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { hash } from "node:crypto";
import { createVerityHasher, merkleTree, verityDigest, verityHashBytes } from "./verity.ts";

const VECTORS = new URL("../../../test/vectors/composefs/", import.meta.url);

interface Row {
  readonly size: string;
  readonly algorithm: "sha256" | "sha512";
  readonly rootHash: string;
  readonly digest: string;
}

function readRows(): Row[] {
  const lines = readFileSync(new URL("fsverity.tsv", VECTORS), "utf8").split("\n");
  return lines.slice(2).flatMap((line) => {
    const [size = "", algorithm, , rootHash = "", digest = ""] = line.split("\t");
    return algorithm === "sha256" || algorithm === "sha512" ? [{ size, algorithm, rootHash, digest }] : [];
  });
}

function contentOf(size: string): Buffer {
  if (size.includes("hello world")) return Buffer.from("hello world");
  const content = Buffer.alloc(Number(size));
  const period = Buffer.from(Array.from({ length: 251 }, (_, index) => index));
  for (let at = 0; at < content.length; at += 251) period.copy(content, at);
  return content;
}

const rows = readRows();

test("fsverity.tsv has rows for both algorithms", () => {
  assert.equal(rows.filter((row) => row.algorithm === "sha256").length, 14);
  assert.equal(rows.filter((row) => row.algorithm === "sha512").length, 14);
});

for (const row of rows) {
  test(`verityDigest() of ${row.size} bytes with ${row.algorithm} equals fsverity-utils`, () => {
    const content = contentOf(row.size);
    assert.equal(verityDigest(content, row.algorithm), row.digest);
    const merkle = merkleTree(content, row.algorithm);
    assert.equal(merkle.id, row.digest);
    assert.equal(merkle.rootHash.toString("hex"), row.rootHash);
  });
}

test("createVerityHasher() gives one digest however the bytes are cut", () => {
  const content = contentOf("524289");
  const wanted = verityDigest(content, "sha512");
  for (const step of [1, 7, 4095, 4096, 4097, 100_000]) {
    const hasher = createVerityHasher("sha512");
    const part = step === 1 ? content.subarray(0, 9000) : content;
    for (let at = 0; at < part.length; at += step) hasher.update(part.subarray(at, at + step));
    const { id, sizeBytes } = hasher.finish();
    assert.equal(sizeBytes, part.length);
    assert.equal(id, step === 1 ? verityDigest(part, "sha512") : wanted);
  }
});

for (const algorithm of ["sha256", "sha512"] as const) {
  test(`merkleTree() with ${algorithm}: each level is the hashes of the level below`, () => {
    const perBlock = 4096 / verityHashBytes(algorithm);
    const content = contentOf(String(4096 * perBlock * 2 + 1));
    const { tree, rootHash, descriptor, id } = merkleTree(content, algorithm);
    assert.equal(tree.length, 4096 * 4);
    assert.equal(hash(algorithm, tree.subarray(0, 4096), "hex"), rootHash.toString("hex"));
    const top = [1, 2, 3].map((index) => hash(algorithm, tree.subarray(index * 4096, index * 4096 + 4096), "buffer"));
    assert.deepEqual(tree.subarray(0, 4096), Buffer.concat([...top, Buffer.alloc(4096)]).subarray(0, 4096));
    const leaf = hash(algorithm, content.subarray(0, 4096), "buffer");
    assert.deepEqual(tree.subarray(4096, 4096 + leaf.length), leaf);
    assert.equal(descriptor.length, 256);
    assert.equal(hash(algorithm, descriptor, "hex"), id);
  });
}

test("merkleTree() of at most one block has no tree", () => {
  assert.equal(merkleTree(Buffer.alloc(4096), "sha256").tree.length, 0);
  assert.equal(merkleTree(Buffer.alloc(0), "sha256").rootHash.toString("hex"), "0".repeat(64));
});
