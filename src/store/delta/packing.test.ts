import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { noise } from "../testing.ts";
import { inForm, pack, unpack } from "./packing.ts";

const BYTES = Buffer.concat([noise(300_000, "bytes"), Buffer.alloc(500_000)]);
const GZIP = gzipSync(BYTES);
const TWO_MEMBERS = Buffer.concat([GZIP, gzipSync("x")]);
const zstd = (level: number): Buffer =>
  zstdCompressSync(BYTES, { params: { [constants.ZSTD_c_compressionLevel]: level } });
const sayingSize = (size: number): Buffer => {
  const packed = Buffer.from(GZIP);
  packed.writeUInt32LE(size, packed.length - 4);
  return packed;
};

const CASES: readonly (readonly [what: string, packed: Buffer, expanded: Buffer | undefined])[] = [
  ["gzip", GZIP, BYTES],
  ["zstd", zstd(9), BYTES],
  ["gzip of two members, whose end tells of the second alone", TWO_MEMBERS, Buffer.concat([BYTES, Buffer.from("x")])],
  ["gzip of nothing", gzipSync(""), Buffer.alloc(0)],
  ["gzip that says 4 GiB", sayingSize(0xffffffff), undefined],
  ["gzip that says nothing", sayingSize(0), undefined],
  ["gzip that ends early", GZIP.subarray(0, 1000), undefined],
  ["the start of gzip", GZIP.subarray(0, 3), undefined],
  ["what is not compressed", BYTES, undefined],
];
for (const [what, packed, expanded] of CASES) {
  test(`inForm() expands ${what}`, () => {
    assert.deepEqual(inForm(packed, "expanded"), expanded ?? packed);
  });
}

const PACKED: readonly (readonly [what: string, file: Buffer, isUnpacked: boolean])[] = [
  ["gzip", GZIP, true],
  ["zstd as berth writes it", zstd(9), true],
  ["zstd of another level", zstd(1), false],
  ["gzip of two members", TWO_MEMBERS, false],
  ["gzip with a wrong check", sayingSize(7), false],
  ["what is not compressed", BYTES, false],
];
for (const [what, file, isUnpacked] of PACKED) {
  test(`unpack() ${isUnpacked ? "takes apart" : "leaves alone"} ${what}`, () => {
    const unpacked = unpack(file);
    assert.equal(unpacked !== undefined, isUnpacked);
    if (unpacked === undefined) return;
    const { expanded, packing, choices } = unpacked;
    assert.ok(expanded.equals(BYTES));
    assert.ok(pack(expanded, packing, { sizeBytes: file.length, choices }).equals(file));
  });
}

test("pack() refuses a gzip file without its choices", () => {
  assert.throws(() => pack(BYTES, { kind: "gzip" }, { sizeBytes: 1, choices: undefined }), SyntaxError);
});
