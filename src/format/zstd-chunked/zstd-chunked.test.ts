import assert from "node:assert/strict";
import { test } from "node:test";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import type { ByteName } from "../../core/bytes.ts";
import { collectBytes, streamOf } from "../../core/bytes.ts";
import { decompress, expandFrames } from "../../core/compress.ts";
import { digestOf } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import { makeDev, NO_XATTRS, type Stat } from "../../tree/node.ts";
import { type TarInput, writeTar } from "../tar/write.ts";
import { parseAnnotations, type Positions } from "./frames.ts";
import { readRecipe, type Recipe, tablesRange } from "./read.ts";
import { readTarSplit } from "./tar-split.ts";
import { parseToc } from "./toc.ts";
import { writeChunked } from "./write.ts";

const STAT: Stat = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 1_700_000_000, mtimeNsec: 0, xattrs: NO_XATTRS };

function file(path: string, content: Uint8Array, stat: Partial<Stat> = {}): TarInput {
  const member = { kind: "file", path: path as ByteName, stat: { ...STAT, ...stat }, size: content.length } as const;
  return { member, content };
}

function other(kind: "directory" | "fifo", path: string): TarInput {
  return { member: { kind, path: path as ByteName, stat: { ...STAT, mode: 0o755 } } };
}

const noise = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * i * 31 + i) >> 3));
/** More than one chunk of it. */
const large = Buffer.alloc(9_000_000, noise(70_003));

const MEMBERS: readonly TarInput[] = [
  other("directory", ""),
  other("directory", "etc"),
  file("etc/empty", Buffer.alloc(0)),
  file("etc/hostname", Buffer.from("box\n")),
  file("etc/Gr\xfc\xdfe", Buffer.from("a name that is no UTF-8")),
  file("etc/Gr\xc3\xbc\xc3\x9fe", Buffer.from("a name that is")),
  file(`usr/${"long/".repeat(60)}name`, noise(600)),
  file("usr/ping", noise(5000), { mode: 0o4755, xattrs: new Map([["security.capability", noise(20)]]) }),
  file("usr/large", large),
  {
    member: {
      kind: "hardlink",
      path: "usr/link" as ByteName,
      stat: STAT,
      target: "usr/ping" as ByteName,
    },
  },
  { member: { kind: "symlink", path: "bin" as ByteName, stat: STAT, target: "usr/bin" as ByteName } },
  { member: { kind: "char", path: "dev/null" as ByteName, stat: STAT, rdev: makeDev(1, 3) } },
  other("fifo", "run/pipe"),
];

interface Written {
  readonly blob: Buffer;
  readonly annotations: Readonly<Record<string, string>>;
}

async function chunked(tar: Uint8Array, step = tar.length): Promise<Written> {
  const pieces = Array.from({ length: Math.ceil(tar.length / step) }, (_, i) => tar.subarray(i * step, (i + 1) * step));
  const layer = writeChunked(streamOf(...pieces));
  return { blob: await collectBytes(layer.bytes), annotations: layer.annotations() };
}

function recipeOf({ blob, annotations }: Written): Recipe {
  const positions = requirePositions(annotations, blob.length);
  const { start, end } = tablesRange(positions);
  return readRecipe(positions, blob.subarray(start, end));
}

function requirePositions(annotations: Readonly<Record<string, string>>, blobBytes: number): Positions {
  const positions = parseAnnotations(annotations, blobBytes);
  assert.ok(positions !== undefined);
  return positions;
}

/** As a client that fetches every file alone. */
function rebuild(written: Written): Buffer {
  const parts = [...recipeOf(written).steps()].map((step) => {
    if (step.kind === "raw") return step.bytes;
    const content = expandFrames(written.blob.subarray(step.file.offset, step.file.endOffset), step.file.sizeBytes);
    assert.equal(digestOf(content), step.file.digest);
    return content;
  });
  return Buffer.concat(parts);
}

const tar = await collectBytes(writeTar(MEMBERS));
const written = await chunked(tar);

test("writeChunked() gives plain zstd of the same tar to who does not know the format", async () => {
  assert.ok((await collectBytes(decompress(streamOf(written.blob), "zstd"))).equals(tar));
});

test("readRecipe() gives back the exact tar, file by file", () => {
  assert.ok(rebuild(written).equals(tar));
  assert.deepEqual(
    recipeOf(written).files.map(({ sizeBytes }) => sizeBytes),
    [4, 23, 14, 600, 5000, large.length],
  );
});

test("writeChunked() gives equal bytes for equal tars, however they are cut", async () => {
  for (const step of [511, 65_536, 1_000_003]) assert.deepEqual(await chunked(tar, step), written);
});

test("writeChunked() describes the tar's headers as they stand in it", () => {
  const { toc } = requirePositions(written.annotations, written.blob.length);
  const text = zstdDecompressSync(written.blob.subarray(toc.offset, toc.offset + toc.compressedBytes)).toString();
  const { version, entries } = JSON.parse(text) as { version: number; entries: Record<string, unknown>[] };
  assert.equal(version, 1);
  const entry = (name: string, type?: string): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(
        entries.find((found) => found["name"] === name && (type ?? found["type"]) === found["type"]) ?? {},
      ).filter(([key]) => !/[oO]ffset$|modtime|chunkDigest/.test(key)),
    );
  const table: readonly (readonly [name: string, wanted: Record<string, unknown>])[] = [
    ["./", { type: "dir", mode: 0o755 }],
    ["etc/empty", { type: "reg", mode: 0o644 }],
    ["etc/hostname", { type: "reg", mode: 0o644, size: 4, digest: digestOf("box\n") }],
    ["usr/link", { type: "hardlink", linkName: "usr/ping", mode: 0o644 }],
    ["bin", { type: "symlink", linkName: "usr/bin", mode: 0o644 }],
    ["dev/null", { type: "char", mode: 0o644, devMajor: 1, devMinor: 3 }],
    ["run/pipe", { type: "fifo", mode: 0o755 }],
    ["usr/large", { type: "reg", mode: 0o644, size: large.length, digest: digestOf(large), chunkSize: 4194304 }],
  ];
  for (const [name, wanted] of table) assert.deepEqual(entry(name), { ...wanted, name }, name);
  assert.deepEqual(entry("usr/ping")["xattrs"], { "security.capability": noise(20).toString("base64") });
  assert.equal(entries.find(({ name }) => name === "etc/hostname")?.["modtime"], "2023-11-14T22:13:20Z");
  const chunks = entries.filter(({ name }) => name === "usr/large");
  assert.deepEqual(
    chunks.map(({ type, chunkOffset, chunkDigest }) => ({ type, chunkOffset, chunkDigest })),
    [0, 4194304, 8388608].map((start) => ({
      type: start === 0 ? "reg" : "chunk",
      chunkOffset: start === 0 ? undefined : start,
      chunkDigest: digestOf(large.subarray(start, start + 4194304)),
    })),
  );
});

test("readRecipe() ∘ writeChunked() is the tar itself, for random members", async () => {
  const members = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 3000 }).map((content) => (i: number) => file(`f${i}`, content)),
      fc.constant((i: number) => other("directory", `d${i}`)),
      fc.constant((i: number) => other("fifo", `p${i}`)),
    ),
    { maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(members, fc.integer({ min: 1, max: 5000 }), async (make, step) => {
      const archive = await collectBytes(writeTar(make.map((one, i) => one(i))));
      assert.ok(rebuild(await chunked(archive, step)).equals(archive));
    }),
    { numRuns: 60 },
  );
});

test("writeChunked() refuses what is no tar", async () => {
  await assert.rejects(chunked(noise(2000)), SyntaxError);
  await assert.rejects(chunked(tar.subarray(0, 3000)), SyntaxError);
});

test("parseAnnotations() knows a layer that is not zstd:chunked, or has no tar-split", () => {
  assert.equal(parseAnnotations(undefined, 100), undefined);
  const { "io.github.containers.zstd-chunked.tarsplit-position": _, ...rest } = written.annotations;
  assert.equal(parseAnnotations(rest, written.blob.length), undefined);
});

const KEY = "io.github.containers.zstd-chunked.";
const BAD_ANNOTATIONS: readonly (readonly [what: string, change: Record<string, string>])[] = [
  ["a checksum that is no digest", { [`${KEY}manifest-checksum`]: "sha256:x" }],
  ["a position that is no numbers", { [`${KEY}manifest-position`]: "1:2:x:1" }],
  ["a position with a number missing", { [`${KEY}manifest-position`]: "1:2:3" }],
  ["an unknown type", { [`${KEY}manifest-position`]: "1:2:3:2" }],
  ["a table past the blob's end", { [`${KEY}tarsplit-position`]: "99999999:10:10" }],
  ["a table that expands too far", { [`${KEY}tarsplit-position`]: "1:10:99999999999" }],
  ["a table that ends behind the blob", { [`${KEY}manifest-position`]: `0:${written.blob.length + 1}:10:1` }],
  ["a tar-split that is not behind the table of contents", { [`${KEY}tarsplit-position`]: "1:10:10" }],
  ["an empty table", { [`${KEY}tarsplit-position`]: "1:10:0" }],
];
for (const [what, change] of BAD_ANNOTATIONS) {
  test(`parseAnnotations() refuses ${what}`, () => {
    assert.throws(() => parseAnnotations({ ...written.annotations, ...change }, written.blob.length), SyntaxError);
  });
}

const MIB = 1024 * 1024;
for (const [what, tocBytes, splitBytes] of [
  ["terabytes", 90_000_000_000_000, 1],
  ["a table of contents above 64 MiB", 64 * MIB + 1, 1],
  ["a tar-split above 64 MiB", 1, 64 * MIB + 1],
] as const) {
  test(`parseAnnotations() refuses ${what} to be held in memory, though the blob is as large`, () => {
    const change = {
      [`${KEY}manifest-position`]: `1:${tocBytes}:100:1`,
      [`${KEY}tarsplit-position`]: `${1 + tocBytes + 8}:${splitBytes}:100`,
    };
    assert.throws(
      () => parseAnnotations({ ...written.annotations, ...change }, Number.MAX_SAFE_INTEGER),
      (error) => error instanceof SyntaxError && /at most \d+ bytes, 67108864 compressed$/.test(error.message),
    );
  });
}

test("readRecipe() refuses tables that are damaged or cut", () => {
  const positions = requirePositions(written.annotations, written.blob.length);
  const { start, end } = tablesRange(positions);
  const tables = written.blob.subarray(start, end);
  for (const at of [5, tables.length - 5]) {
    const damaged = Buffer.from(tables).fill(0xa5, at, at + 2);
    assert.throws(
      () => readRecipe(positions, damaged),
      (error) => isFailure(error, "digest-mismatch"),
    );
  }
  assert.throws(() => readRecipe(positions, tables.subarray(0, 10)), SyntaxError);
});

const reg = (change: object): object => ({
  type: "reg",
  name: "f",
  size: 5,
  digest: digestOf("x"),
  offset: 0,
  endOffset: 9,
  ...change,
});
const BAD_TOCS: readonly (readonly [what: string, toc: object])[] = [
  ["without a tar-split digest", { entries: [] }],
  ["without entries", { tarSplitDigest: digestOf("") }],
  ["with a file without a digest", { entries: [reg({ digest: undefined })], tarSplitDigest: digestOf("") }],
  ["with frames past the data", { entries: [reg({ endOffset: 101 })], tarSplitDigest: digestOf("") }],
  ["with an empty frame", { entries: [reg({ offset: 9 })], tarSplitDigest: digestOf("") }],
  ["with frames that overlap", { entries: [reg({}), reg({ offset: 8, endOffset: 20 })], tarSplitDigest: digestOf("") }],
  ["with a negative size", { entries: [reg({ size: -1 })], tarSplitDigest: digestOf("") }],
];
for (const [what, toc] of BAD_TOCS) {
  test(`parseToc() refuses a table ${what}`, () => {
    assert.throws(() => parseToc(JSON.stringify(toc), 100), SyntaxError);
  });
}

for (const [what, text] of [
  ["a line that is no JSON", "x\n"],
  ["an unknown type", '{"type":3}\n'],
  ["a segment without payload", '{"type":2}\n'],
  ["a size that is no count", '{"type":1,"size":-1}\n'],
] as const) {
  test(`readTarSplit() refuses ${what}`, () => {
    assert.throws(() => [...readTarSplit(Buffer.from(text))], SyntaxError);
  });
}

test("expandFrames() refuses content of another length, and what is no zstd", () => {
  const frame = zstdCompressSync(Buffer.from("hello"));
  for (const [bytes, size] of [
    [frame, 4],
    [frame, 6],
    [Buffer.from("junk"), 4],
  ] as const) {
    assert.throws(
      () => expandFrames(bytes, size),
      (error) => isFailure(error, "bad-input"),
    );
  }
});
