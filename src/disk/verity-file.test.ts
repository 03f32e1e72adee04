import assert from "node:assert/strict";
import { test } from "node:test";
import { verityDigest } from "../format/verity/verity.ts";
import { verityFileBytes, verityTail, verityTailBlocks } from "./verity-file.ts";

test("verityTail() ends with the descriptor and its size, and names the content", () => {
  for (const [size, blocks] of [
    [1, 1],
    [4096, 1],
    [4097, 2],
    [65537, 2],
    [300_000, 4],
  ] as const) {
    const content = Buffer.alloc(size, 1);
    const tail = verityTail(content, "sha512");
    assert.equal(tail.id, verityDigest(content, "sha512"));
    assert.equal(tail.bytes.length, blocks * 4096, String(size));
    assert.equal(tail.bytes.readUInt32LE(tail.bytes.length - 4), 256);
    assert.equal(tail.bytes.readUInt8(tail.bytes.length - 4096 + 1), 2, "algorithm sha512");
    assert.equal(tail.bytes.readBigUInt64LE(tail.bytes.length - 4096 + 8), BigInt(size));
  }
});

test("verityTailBlocks() starts at the next 64 KiB and counts what verityTail() makes", () => {
  assert.deepEqual(verityTailBlocks(1, 64), { first: 16, count: 1 });
  assert.deepEqual(verityTailBlocks(65536, 64), { first: 16, count: 2 });
  assert.deepEqual(verityTailBlocks(65537, 64), { first: 32, count: 2 });
  for (const size of [1, 4096, 4097, 262_144, 262_145, 20_000_000]) {
    for (const [algorithm, hashBytes] of [
      ["sha256", 32],
      ["sha512", 64],
    ] as const) {
      const { bytes } = verityTail(Buffer.alloc(size), algorithm);
      assert.equal(verityTailBlocks(size, hashBytes).count, bytes.length / 4096, `${size} ${algorithm}`);
      assert.equal(
        verityFileBytes(size, hashBytes),
        Math.ceil(size / 4096) * 4096 + bytes.length,
        `${size} ${algorithm}`,
      );
    }
  }
});
