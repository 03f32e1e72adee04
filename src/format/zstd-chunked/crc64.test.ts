import assert from "node:assert/strict";
import { test } from "node:test";
import { createCrc64 } from "./crc64.ts";

const POLYNOMIAL = 0xd800000000000000n;

/** Bit by bit, as the definition says. */
function slowCrc(bytes: Uint8Array): string {
  let register = 0xffff_ffff_ffff_ffffn;
  for (const byte of bytes) {
    register ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit += 1) register = (register >> 1n) ^ ((register & 1n) === 1n ? POLYNOMIAL : 0n);
  }
  return (register ^ 0xffff_ffff_ffff_ffffn).toString(16).padStart(16, "0");
}

function crcOf(...pieces: readonly Uint8Array[]): string {
  const crc = createCrc64();
  for (const piece of pieces) crc.update(piece);
  return crc.digest().toString("hex");
}

test("createCrc64() gives the published check value", () => {
  assert.equal(crcOf(Buffer.from("123456789")), "b90956c775a41001");
});

test("createCrc64() follows the definition for every length and cut", () => {
  const bytes = Buffer.from(Array.from({ length: 70 }, (_, i) => (i * 151 + 7) & 0xff));
  for (let length = 0; length <= bytes.length; length += 1) {
    const part = bytes.subarray(0, length);
    assert.equal(crcOf(part), slowCrc(part));
    assert.equal(crcOf(part.subarray(0, length >> 1), part.subarray(length >> 1)), slowCrc(part));
  }
});
