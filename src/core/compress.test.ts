import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { collectBytes, streamOf } from "./bytes.ts";
import { type Compression, compressZstd, decompress, sniffCompression } from "./compress.ts";
import { isFailure } from "./failure.ts";

const plain = Buffer.concat([
  createHash("shake256", { outputLength: 1_500_000 }).update("berth").digest(),
  Buffer.alloc(2_000_000, "text that compresses well\n"),
]);
const half = Math.floor(plain.length / 2);
/** A frame that readers skip, as zstd:chunked and pzstd write it. */
const SKIPPABLE = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);

function chunks(bytes: Uint8Array, step: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / step) }, (_, i) => bytes.subarray(i * step, (i + 1) * step));
}

const GOOD: readonly (readonly [what: string, kind: Compression, bytes: Buffer])[] = [
  ["plain bytes", "none", plain],
  ["gzip", "gzip", gzipSync(plain)],
  ["gzip of two members", "gzip", Buffer.concat([gzipSync(plain.subarray(0, half)), gzipSync(plain.subarray(half))])],
  ["gzip with zeros after it", "gzip", Buffer.concat([gzipSync(plain), Buffer.alloc(100)])],
  ["zstd", "zstd", zstdCompressSync(plain)],
  [
    "zstd of two frames",
    "zstd",
    Buffer.concat([zstdCompressSync(plain.subarray(0, half)), zstdCompressSync(plain.subarray(half))]),
  ],
  ["zstd with skippable frames", "zstd", Buffer.concat([SKIPPABLE, zstdCompressSync(plain), SKIPPABLE])],
];
for (const [what, kind, bytes] of GOOD) {
  test(`decompress() reads ${what}`, async () => {
    assert.equal(sniffCompression(bytes), kind);
    for (const step of [bytes.length, 70_001]) {
      assert.ok((await collectBytes(decompress(streamOf(...chunks(bytes, step)), kind))).equals(plain));
    }
  });
}

const BAD: readonly (readonly [what: string, kind: Compression, bytes: Buffer])[] = [
  ["gzip that ends early", "gzip", gzipSync(plain).subarray(0, -20)],
  ["gzip with a changed byte", "gzip", gzipSync(plain).fill(0xff, 2_000, 2_010)],
  ["text as gzip", "gzip", Buffer.from("no gzip")],
  ["zstd that ends early", "zstd", zstdCompressSync(plain).subarray(0, -20)],
  ["text as zstd", "zstd", Buffer.from("no zstd")],
];
for (const [what, kind, bytes] of BAD) {
  test(`decompress() refuses ${what}`, async () => {
    await assert.rejects(collectBytes(decompress(streamOf(bytes), kind)), (error) => isFailure(error, "bad-input"));
  });
}

for (const kind of ["gzip", "zstd"] as const) {
  test(`decompress() of ${kind} passes on the source's own error`, async () => {
    const source = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      yield (kind === "gzip" ? gzipSync(plain) : zstdCompressSync(plain)).subarray(0, 1000);
      throw new Error("the network went away");
    };
    await assert.rejects(collectBytes(decompress(source(), kind)), /the network went away/);
  });

  test(`decompress() of ${kind} closes its source when the reader leaves`, async () => {
    let closed = false;
    const source = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        for (;;) yield kind === "gzip" ? gzipSync(plain) : zstdCompressSync(plain);
      } finally {
        closed = true;
      }
    };
    for await (const chunk of decompress(source(), kind)) {
      assert.ok(chunk.length > 0);
      break;
    }
    assert.ok(closed);
  });
}

test("compressZstd() gives the same bytes however its input is cut, and zstd reads them", async () => {
  const whole = await collectBytes(compressZstd(streamOf(plain)));
  for (const step of [1000, 512 * 1024, 700_001]) {
    assert.ok((await collectBytes(compressZstd(streamOf(...chunks(plain, step))))).equals(whole));
  }
  assert.ok(execFileSync("zstd", ["-dc"], { input: whole, maxBuffer: 1 << 27 }).equals(plain));
  assert.ok((await collectBytes(decompress(streamOf(whole), "zstd"))).equals(plain));
});

test("compressZstd() of nothing is an empty frame", async () => {
  const empty = await collectBytes(compressZstd(streamOf()));
  assert.equal((await collectBytes(decompress(streamOf(empty), "zstd"))).length, 0);
});
