/** gzip files of several compressors, taken apart and made again; the gzip program writes some of them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { constants, crc32, deflateRawSync, gunzipSync, gzipSync } from "node:zlib";
import { readChoices, writeChosen } from "./choices.ts";

const noise = Buffer.concat(Array.from({ length: 4000 }, (_, i) => createHash("sha256").update(String(i)).digest()));
const text = Buffer.from(Array.from({ length: 30_000 }, (_, i) => `line ${(i * 7919) % 1013} of ${i}\n`).join(""));
const mixed = Buffer.concat([text, noise, Buffer.alloc(100_000), text.subarray(5000)]);
const program = (level: string): Buffer => execFileSync("gzip", ["-c", level], { input: mixed });
const withHeader = (flags: number, header: Buffer): Buffer => {
  const plain = gzipSync(text);
  return Buffer.concat([plain.subarray(0, 3), Buffer.from([flags]), plain.subarray(4, 10), header, plain.subarray(10)]);
};

const FILES: readonly (readonly [what: string, file: Buffer])[] = [
  ...["-1", "-6", "-9"].map((level) => [`the gzip program at ${level}`, program(level)] as const),
  ...[0, 1, 4, 9].map((level) => [`zlib at level ${level}`, gzipSync(mixed, { level })] as const),
  ["fixed codes", gzipSync(mixed, { strategy: constants.Z_FIXED })],
  ["no matches", gzipSync(mixed, { strategy: constants.Z_HUFFMAN_ONLY })],
  ["runs of one byte", gzipSync(mixed, { strategy: constants.Z_RLE })],
  ["nothing", gzipSync("")],
  ["bytes that do not compress", gzipSync(noise)],
  ["flushed pieces", Buffer.concat([gzipSync(text).subarray(0, 10), flushed(), gzipSync(text).subarray(-8)])],
  ["a name and a comment", withHeader(0x18, Buffer.from("name\0comment\0"))],
  ["extra fields and a header's check", withHeader(0x06, checked(0x06, Buffer.from([3, 0, 1, 2, 3])))],
  ["zeros after the end", Buffer.concat([gzipSync(text), Buffer.alloc(512)])],
];

function checked(flags: number, header: Buffer): Buffer {
  const check = Buffer.alloc(2);
  check.writeUInt16LE(crc32(withHeader(flags, header).subarray(0, 10 + header.length)) & 0xffff);
  return Buffer.concat([header, check]);
}

function flushed(): Buffer {
  const pieces = [text.subarray(0, 1000), text.subarray(1000)];
  const [first, last] = pieces.map((piece, i) =>
    deflateRawSync(piece, { finishFlush: i === 0 ? constants.Z_SYNC_FLUSH : constants.Z_FINISH }),
  );
  return Buffer.concat([first ?? noise, last ?? noise]);
}

for (const [what, file] of FILES) {
  test(`a gzip file is made again from its bytes and its choices: ${what}`, () => {
    const choices = readChoices(file);
    assert.ok(writeChosen(gunzipSync(file), choices, file.length).equals(file));
  });
}

const GOOD = gzipSync(text);
const withBits = (bits: number): Buffer => Buffer.concat([GOOD.subarray(0, 10), Buffer.from([bits, 0, 0, 0, 0])]);
const BAD: readonly (readonly [what: string, file: Buffer, message: RegExp])[] = [
  ["no gzip file", text, /no gzip file/],
  ["one that ends in its header", GOOD.subarray(0, 8), /no gzip file/],
  [
    "a name without an end",
    Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.from("a")]),
    /does not end/,
  ],
  ["extra fields longer than the file", withHeader(4, Buffer.from([255, 255])).subarray(0, 40), /ends too early/],
  ["one that ends early", GOOD.subarray(0, 1000), /end too early/],
  ["a block of no known type", withBits(0b111), /no known type/],
  ["a stored block of another size", withBits(0b001), /size is damaged/],
];
for (const [what, file, message] of BAD) {
  test(`readChoices() rejects ${what}`, () => {
    assert.throws(
      () => readChoices(file),
      (error) => error instanceof SyntaxError && message.test(error.message),
    );
  });
}

test("readChoices() and writeChosen() on any damage throw their own errors, or give the file", () => {
  // Small, so that most of its bits are damaged once.
  const few = text.subarray(0, 4000);
  const good = gzipSync(few);
  const choices = readChoices(good);
  for (let at = 0; at < 2000; at += 1) {
    const damaged = (bytes: Buffer): Buffer => {
      const copy = Buffer.from(bytes);
      const place = (at * 7919) % copy.length;
      copy[place] = (copy[place] ?? 0) ^ (1 << (at % 8));
      return copy;
    };
    expectOwn(() => readChoices(damaged(good)));
    expectOwn(() => writeChosen(few, damaged(choices), good.length));
  }
});

function expectOwn(work: () => Buffer): void {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof SyntaxError || error instanceof RangeError, String(error));
  }
}

test("writeChosen() refuses other bytes and another size", () => {
  const choices = readChoices(GOOD);
  const own = (error: unknown): boolean => error instanceof SyntaxError || error instanceof RangeError;
  assert.throws(() => writeChosen(text.subarray(1), choices, GOOD.length), own);
  assert.throws(() => writeChosen(Buffer.concat([text, text]), choices, GOOD.length), own);
  assert.throws(() => writeChosen(text, choices, GOOD.length - 1), own);
  assert.throws(() => writeChosen(text, choices, GOOD.length + 1), own);
  assert.throws(() => writeChosen(text, choices, 4), own);
});
