import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { createPatchDecoder, createPatchEncoder, createPatchWriter, type PatchStreams } from "./patch.ts";

const noise = (seed: string, size: number): Buffer =>
  createHash("shake256", { outputLength: size }).update(seed).digest();

function encode(base: Buffer, target: Buffer, start = 0, end = target.length): PatchStreams {
  const writer = createPatchWriter();
  createPatchEncoder(base).encode(target, start, end, writer);
  return writer.finish();
}

function apply(streams: PatchStreams, base: Buffer, start: number, size: number): Buffer {
  const decoder = createPatchDecoder(streams);
  const into = Buffer.alloc(start + size);
  decoder.decode(base, into, start, start + size);
  decoder.end();
  return into.subarray(start);
}

const OLD = noise("program", 20_000);
const shifted = Buffer.from(OLD);
for (let at = 100; at < shifted.length; at += 40) shifted[at] = (shifted[at] ?? 0) + 8;

const CASES: readonly (readonly [what: string, target: Buffer, literalsMax: number])[] = [
  ["the same bytes", OLD, 0],
  ["bytes put in", Buffer.concat([OLD.subarray(0, 7001), Buffer.from("put in"), OLD.subarray(7001)]), 30],
  ["bytes taken out", Buffer.concat([OLD.subarray(0, 501), OLD.subarray(900)]), 20],
  ["parts in another order", Buffer.concat([OLD.subarray(9000), OLD.subarray(0, 9000)]), 20],
  ["addresses that moved by the same", shifted, 20],
  ["something else", noise("other", 5000), 5000],
  ["nothing", Buffer.alloc(0), 0],
];
for (const [what, target, literalsMax] of CASES) {
  test(`a patch gives ${what}`, () => {
    const streams = encode(OLD, target);
    assert.deepEqual(apply(streams, OLD, 0, target.length), target);
    assert.ok(streams.literals.length <= literalsMax, `${streams.literals.length} literal bytes`);
  });
}

test("a rebuilt program differs by little: bytes that are the same take nothing", () => {
  const { gaps, differences } = encode(OLD, shifted);
  const count = Math.ceil((shifted.length - 100) / 40);
  assert.deepEqual(differences, Buffer.alloc(count, 8));
  assert.deepEqual(gaps, Buffer.from([100, ...Array.from({ length: count - 1 }, () => 39)]));
});

test("a patch gives back any target from any base, piece by piece", () => {
  const bytes = fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array));
  // Repeats of few letters, so that there is something to match.
  const text = fc
    .array(fc.constantFrom("abcdefgh", "01234567", "xxxxxxxx", "!"), { maxLength: 60 })
    .map((parts) => Buffer.from(parts.join("")));
  const either = fc.oneof(bytes, text);
  fc.assert(
    fc.property(either, either, fc.nat(400), (base, target, cut) => {
      const at = Math.min(cut, target.length);
      const encoder = createPatchEncoder(base);
      const writer = createPatchWriter();
      encoder.encode(target, 0, at, writer);
      encoder.encode(target, at, target.length, writer);
      const decoder = createPatchDecoder(writer.finish());
      const into = Buffer.alloc(target.length);
      decoder.decode(base, into, 0, at);
      decoder.decode(base, into, at, target.length);
      decoder.end();
      assert.deepEqual(into, target);
    }),
    { numRuns: 400 },
  );
});

test("a patch decoder refuses streams that do not fit", () => {
  const target = Buffer.concat([OLD.subarray(100, 9000), Buffer.from("inserted bytes of the target")]);
  target[50] = (target[50] ?? 0) + 1;
  const good = encode(OLD, target);
  const bad: readonly (readonly [what: string, streams: PatchStreams, base: Buffer])[] = [
    ["a shorter base", good, OLD.subarray(0, 500)],
    ["instructions that end early", { ...good, control: good.control.subarray(0, -1) }, OLD],
    ["instructions too many", { ...good, control: Buffer.concat([good.control, Buffer.alloc(3)]) }, OLD],
    ["differences that end early", { ...good, differences: good.differences.subarray(1) }, OLD],
    ["differences too many", { ...good, differences: Buffer.concat([good.differences, Buffer.alloc(1)]) }, OLD],
    ["gaps that end early", { ...good, gaps: good.gaps.subarray(1) }, OLD],
    ["a gap that leaves its run", { ...good, gaps: Buffer.from([0xff, 0xff, 0x03]) }, OLD],
    ["a gap of too many bits", { ...good, gaps: Buffer.alloc(9, 0xff) }, OLD],
    ["literals that end early", { ...good, literals: Buffer.alloc(0) }, OLD],
    ["literals too many", { ...good, literals: Buffer.concat([good.literals, Buffer.alloc(1)]) }, OLD],
  ];
  for (const [what, streams, base] of bad)
    assert.throws(() => apply(streams, base, 0, target.length), SyntaxError, what);
});
