import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { noise } from "../testing.ts";
import { expand } from "./packing.ts";

const BYTES = Buffer.concat([noise(300_000, "bytes"), Buffer.alloc(500_000)]);
const GZIP = gzipSync(BYTES);
const sayingSize = (size: number): Buffer => {
  const packed = Buffer.from(GZIP);
  packed.writeUInt32LE(size, packed.length - 4);
  return packed;
};

const CASES: readonly (readonly [what: string, packed: Buffer, expanded: Buffer | undefined])[] = [
  ["gzip", GZIP, BYTES],
  ["zstd", zstdCompressSync(BYTES), BYTES],
  [
    "gzip of two members, whose end tells of the second alone",
    Buffer.concat([GZIP, gzipSync("x")]),
    Buffer.concat([BYTES, Buffer.from("x")]),
  ],
  ["gzip of nothing", gzipSync(""), Buffer.alloc(0)],
  ["gzip that says 4 GiB", sayingSize(0xffffffff), undefined],
  ["gzip that says nothing", sayingSize(0), undefined],
  ["gzip that ends early", GZIP.subarray(0, 1000), undefined],
  ["the start of gzip", GZIP.subarray(0, 3), undefined],
  ["what is not compressed", BYTES, undefined],
];
for (const [what, packed, expanded] of CASES) {
  test(`expand() of ${what}`, () => {
    assert.deepEqual(expand(packed), expanded);
  });
}
