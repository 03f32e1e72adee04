import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { zstdDecompressSync } from "node:zlib";
import { collectBytes } from "./bytes.ts";
import { compressZstd } from "./compress.ts";

test("compressZstd() keeps all of a source that is slower than the compressor", async () => {
  const pieces = Array.from({ length: 24 }, (_, i) => Buffer.alloc(1024 * 1024, `piece ${i} `));
  const slow = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for (const piece of pieces) {
      await delay(2);
      yield piece;
    }
  };
  const packed = await collectBytes(compressZstd(slow()));
  assert.ok(zstdDecompressSync(packed).equals(Buffer.concat(pieces)));
});
