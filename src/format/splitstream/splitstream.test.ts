import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { createSplitstreamWriter, readSplitstream, type SplitstreamPiece } from "./splitstream.ts";

const idOf = (text: string): string => hash("sha512", text, "hex");
const [first, second] = [idOf("first"), idOf("second")];

function sample(): Buffer {
  const writer = createSplitstreamWriter("ocilayer", "sha512");
  writer.inline(Buffer.from("header "));
  writer.inline(Buffer.from("one"));
  writer.external(first, 1000);
  writer.external(second, 70);
  writer.inline(Buffer.from("between"));
  writer.external(first, 1000);
  writer.nameRef("z-last", second);
  writer.nameRef("a-first", first);
  return writer.finish();
}

test("a splitstream gives back pieces, references and names", () => {
  const stream = readSplitstream(sample());
  assert.equal(stream.type, "ocilayer");
  assert.equal(stream.algorithm, "sha512");
  assert.equal(stream.size, 10 + 1000 + 70 + 7 + 1000);
  assert.deepEqual(stream.objectRefs, [first, second]);
  assert.deepEqual(
    [...stream.namedRefs],
    [
      ["a-first", first],
      ["z-last", second],
    ],
  );
  const pieces = [...stream.pieces()].map((piece) =>
    piece.kind === "inline" ? piece.bytes.toString() : piece.objectId,
  );
  assert.deepEqual(pieces, ["header one", first, second, "between", first]);
});

test("the bytes of a splitstream stand where composefs-rs looks for them", () => {
  const file = sample();
  assert.equal(file.toString("latin1", 0, 11), "SplitStream");
  assert.deepEqual([...file.subarray(11, 16)], [0, 0, 0, 2, 12]);
  assert.deepEqual([file.readBigUInt64LE(16), file.readBigUInt64LE(24)], [32n, 112n]);
  // stream references, object references: raw digests from byte 112 on
  assert.deepEqual(
    [file.readBigUInt64LE(32), file.readBigUInt64LE(40), file.readBigUInt64LE(48), file.readBigUInt64LE(56)],
    [112n, 240n, 240n, 368n],
  );
  assert.equal(file.toString("hex", 240, 304), first);
  // stream last, names before it
  assert.equal(file.readBigUInt64LE(72), BigInt(file.length));
  assert.deepEqual([file.readBigUInt64LE(80), file.readBigUInt64LE(88)], [368n, file.readBigUInt64LE(64)]);
  assert.equal(file.toString("latin1", 96, 104), "ocilayer");
  assert.equal(file.readBigUInt64LE(104), 2087n);
});

test("readSplitstream() reads the header order of old writers", () => {
  const file = sample();
  const old = Buffer.concat([
    file.subarray(16, 32),
    file.subarray(12, 14),
    file.subarray(0, 11),
    file.subarray(11, 12),
    file.subarray(14, 16),
    file.subarray(32),
  ]);
  assert.deepEqual([...readSplitstream(old).pieces()], [...readSplitstream(file).pieces()]);
});

test("a splitstream of nothing has no pieces", () => {
  const stream = readSplitstream(createSplitstreamWriter("oci_blob", "sha256").finish());
  assert.deepEqual([[...stream.pieces()], stream.size, stream.algorithm], [[], 0, "sha256"]);
});

test("a splitstream longer than one frame comes back whole", () => {
  const writer = createSplitstreamWriter("ocilayer", "sha512");
  const block = Buffer.alloc(1_000_003, "0123456789");
  for (let i = 0; i < 11; i += 1) {
    writer.inline(block);
    if (i % 3 === 0) writer.external(first, 5);
  }
  writer.inline(Buffer.alloc(9_000_000, "large"));
  const pieces = [...readSplitstream(writer.finish()).pieces()];
  const inline = pieces
    .map((piece) => (piece.kind === "inline" ? piece.bytes.length : 0))
    .reduce((sum, size) => sum + size, 0);
  assert.equal(inline, 11 * block.length + 9_000_000);
  assert.equal(pieces.filter(({ kind }) => kind === "external").length, 4);
});

test("readSplitstream() gives back what was written", () => {
  const piece: fc.Arbitrary<SplitstreamPiece> = fc.oneof(
    fc
      .uint8Array({ minLength: 1, maxLength: 700 })
      .map((bytes) => ({ kind: "inline" as const, bytes: Buffer.from(bytes) })),
    fc.integer({ min: 0, max: 9 }).map((i) => ({ kind: "external" as const, objectId: idOf(`object ${i}`) })),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const writer = createSplitstreamWriter("ocilayer", "sha512");
      for (const each of pieces) {
        if (each.kind === "inline") writer.inline(each.bytes);
        else writer.external(each.objectId, 100);
      }
      const flat = (list: Iterable<SplitstreamPiece>): string =>
        [...list].map((each) => (each.kind === "inline" ? each.bytes.toString("hex") : `<${each.objectId}>`)).join("");
      assert.equal(flat(readSplitstream(writer.finish()).pieces()), flat(pieces));
    }),
    { numRuns: 100 },
  );
});

function changed(change: (file: Buffer) => void): Buffer {
  const file = Buffer.from(sample());
  change(file);
  return file;
}

function withStream(records: Buffer): Buffer {
  const file = sample();
  const start = Number(file.readBigUInt64LE(64));
  const stream = zstdCompressSync(records);
  const made = Buffer.concat([file.subarray(0, start), stream]);
  made.writeBigUInt64LE(BigInt(start + stream.length), 72);
  return made;
}

const record = (value: bigint, body = ""): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return Buffer.concat([bytes, Buffer.from(body)]);
};

const BAD: readonly (readonly [what: string, file: Buffer])[] = [
  ["an empty file", Buffer.alloc(0)],
  ["other bytes", Buffer.alloc(200, "x")],
  ["another version", changed((file) => file.writeUInt8(1, 11))],
  ["another hash", changed((file) => file.writeUInt8(3, 14))],
  ["another block size", changed((file) => file.writeUInt8(16, 15))],
  ["an info past the end", changed((file) => file.writeBigUInt64LE(1n << 40n, 16))],
  ["an info that is too short", changed((file) => file.writeBigUInt64LE(40n, 24))],
  ["a range that ends before it starts", changed((file) => file.writeBigUInt64LE(0n, 40))],
  ["a range past the end", changed((file) => file.writeBigUInt64LE(1n << 50n, 72))],
  ["half a digest", changed((file) => file.writeBigUInt64LE(300n, 56))],
  ["a damaged stream", changed((file) => file.fill(0xff, Number(file.readBigUInt64LE(64))))],
  ["a stream that ends inside a record", withStream(Buffer.alloc(5))],
  ["a piece longer than the stream", withStream(record(-100n, "short"))],
  ["the most negative length", withStream(record(-(2n ** 63n), "short"))],
  ["an unknown object", withStream(record(2n))],
];
for (const [what, file] of BAD) {
  test(`readSplitstream() refuses ${what}`, () => {
    assert.throws(() => [...readSplitstream(file).pieces()], SyntaxError);
  });
}

test("readSplitstream() on any damage throws SyntaxError or returns", () => {
  const file = sample();
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }), (edits) => {
      const damaged = Buffer.from(file);
      for (const [at, value] of edits) damaged[at] = value;
      try {
        void [...readSplitstream(damaged).pieces()];
      } catch (error) {
        assert.ok(error instanceof SyntaxError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
