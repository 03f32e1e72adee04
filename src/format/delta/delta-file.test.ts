import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { streamOf } from "../../core/bytes.ts";
import { digestOf } from "../../core/digest.ts";
import { packGroup, readDelta, writeDelta } from "./delta-file.ts";
import {
  type DeltaContent,
  type DeltaIndex,
  GROUP_BYTES_MAX,
  groupContents,
  readDeltaIndex,
  writeDeltaIndex,
} from "./delta-index.ts";
import { createPatchDecoder, createPatchEncoder, createPatchWriter, type PatchStreams } from "./patch.ts";

const content = (sizeBytes: number, more: Partial<DeltaContent> = {}): DeltaContent => ({
  objectId: hash("sha512", `object of ${sizeBytes}`, "hex"),
  sizeBytes,
  packing: { kind: "none" },
  expandedBytes: sizeBytes,
  bases: [],
  ...more,
});

const INDEX: Omit<DeltaIndex, "groups"> = {
  algorithm: "sha512",
  old: { layers: [digestOf("old layer")], objects: 3, skeletonBytes: 4096 },
  layers: [
    {
      diffId: digestOf("new layer"),
      pieces: [
        { inlineBytes: 512, object: 0 },
        { inlineBytes: 0, object: 4 },
        { inlineBytes: 512, object: 2 },
        { inlineBytes: 1024, object: undefined },
      ],
    },
    { diffId: digestOf("another", "sha512"), pieces: [{ inlineBytes: 0, object: 5 }] },
  ],
  contents: [
    content(2048, { objectId: "" }),
    content(70, { bases: [{ object: 1, form: "plain" }] }),
    content(100, { packing: { kind: "zstd", level: 9 }, expandedBytes: 200 }),
    content(90, {
      packing: { kind: "xz", settings: { check: "sha256", dictionary: 22, x86: true, threads: false } },
      expandedBytes: 150,
      bases: [{ object: 2, form: "expanded" }],
    }),
    content(40, { objectId: "", packing: { kind: "choices" }, bases: [{ object: 2, form: "choices" }] }),
    content(100, {
      packing: { kind: "gzip" },
      expandedBytes: 300,
      bases: [
        { object: 4, form: "plain" },
        { object: 2, form: "expanded" },
      ],
    }),
  ],
};
const BASE = Buffer.alloc(2048, "base of everything ");
const streams: PatchStreams = (() => {
  const target = Buffer.alloc(2418, "base of something else ");
  const encoder = createPatchEncoder(BASE);
  const writer = createPatchWriter();
  for (const { expandedBytes } of INDEX.contents) encoder.encode(target, 0, expandedBytes, writer);
  return writer.finish();
})();
const FILE = Buffer.concat([...writeDelta(INDEX, [packGroup(streams)])]);

async function readAll(file: Uint8Array): Promise<{ index: DeltaIndex; groups: PatchStreams[] }> {
  const delta = await readDelta(streamOf(file));
  const groups = await Array.fromAsync(delta.groups());
  await delta.end();
  return { index: delta.index, groups };
}

test("a delta file gives back its index and its streams", async () => {
  const { index, groups } = await readAll(FILE);
  const { groups: _, ...rest } = index;
  assert.deepEqual(rest, INDEX);
  assert.deepEqual(groups, [streams]);
});

test("equal deltas are equal bytes", () => {
  assert.deepEqual(Buffer.concat([...writeDelta(INDEX, [packGroup(streams)])]), FILE);
});

test("groupContents() puts small contents together and cuts large ones", () => {
  const sizes = [10, GROUP_BYTES_MAX - 10, 5, GROUP_BYTES_MAX * 2 + 7, 0, 3];
  assert.deepEqual(groupContents(sizes.map((expandedBytes) => ({ expandedBytes }))), [
    [
      { content: 0, start: 0, end: 10 },
      { content: 1, start: 0, end: GROUP_BYTES_MAX - 10 },
    ],
    [{ content: 2, start: 0, end: 5 }],
    [{ content: 3, start: 0, end: GROUP_BYTES_MAX }],
    [{ content: 3, start: GROUP_BYTES_MAX, end: GROUP_BYTES_MAX * 2 }],
    [{ content: 3, start: GROUP_BYTES_MAX * 2, end: GROUP_BYTES_MAX * 2 + 7 }],
    [
      { content: 4, start: 0, end: 0 },
      { content: 5, start: 0, end: 3 },
    ],
  ]);
});

const write = (change: Partial<Omit<DeltaIndex, "groups">>): Buffer =>
  Buffer.concat([...writeDelta({ ...INDEX, ...change }, [packGroup(streams)])]);
const changed = (change: (file: Buffer) => void): Buffer => {
  const file = Buffer.from(FILE);
  change(file);
  return file;
};
const layersTo = (object: number): Partial<DeltaIndex> => ({
  layers: [{ diffId: digestOf("layer"), pieces: [{ inlineBytes: 1, object }] }],
});

const BAD: readonly (readonly [what: string, file: Buffer])[] = [
  ["an empty file", Buffer.alloc(0)],
  ["other bytes", Buffer.alloc(100, "x")],
  ["another version", changed((file) => file.writeUInt16LE(1, 8))],
  ["a header with a reserved byte", changed((file) => file.writeUInt8(1, 10))],
  ["an index that is too large", changed((file) => file.writeUInt32LE(32 * 1024 * 1024 + 1, 16))],
  ["an index that expands to more", changed((file) => file.writeUInt32LE(file.readUInt32LE(16) - 1, 16))],
  ["a file that ends early", FILE.subarray(0, -1)],
  ["bytes after the end", Buffer.concat([FILE, Buffer.alloc(1)])],
  ["no skeleton", write({ contents: [] })],
  [
    "an object made from itself",
    write({ contents: [INDEX.contents[0] ?? content(1), content(70, { bases: [{ object: 4, form: "plain" }] })] }),
  ],
  ["an object of no bytes", write({ contents: [INDEX.contents[0] ?? content(1), content(0)] })],
  ["a layer of the skeleton", write(layersTo(3))],
  ["a layer of choices", write(layersTo(7))],
  ["a layer of an object that is not there", write(layersTo(9))],
  [
    "a dictionary that xz would need much memory for",
    write({
      contents: [
        INDEX.contents[0] ?? content(1),
        content(9, {
          packing: { kind: "xz", settings: { check: "crc32", dictionary: 23, x86: false, threads: true } },
        }),
      ],
    }),
  ],
  ["an object beyond the limit", write({ contents: [content(2 ** 31)] })],
];
for (const [what, file] of BAD) {
  test(`readDelta() refuses ${what}`, async () => {
    await assert.rejects(readAll(file), (error) => error instanceof SyntaxError);
  });
}

test("readDelta() on any damage throws SyntaxError or returns", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(FILE.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }),
      async (edits) => {
        const damaged = Buffer.from(FILE);
        for (const [at, value] of edits) damaged[at] = value;
        try {
          const { index, groups } = await readAll(damaged);
          for (const [i, segments] of groupContents(index.contents).entries()) {
            const decoder = createPatchDecoder(groups[i] ?? streams);
            for (const { start, end } of segments) decoder.decode(BASE, Buffer.alloc(end), start, end);
          }
        } catch (error) {
          assert.ok(error instanceof SyntaxError, String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test("readDeltaIndex() on any damage throws SyntaxError or returns", () => {
  const table = writeDeltaIndex({ ...INDEX, groups: [packGroup(streams)] });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(table.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }), (edits) => {
      const damaged = Buffer.from(table);
      for (const [at, value] of edits) damaged[at] = value;
      try {
        readDeltaIndex(damaged);
      } catch (error) {
        assert.ok(error instanceof SyntaxError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
