import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Gpt, lastUsableSector, PARTITION_TYPES, type Partition, readGpt, writeGpt } from "./gpt.ts";
import { bytesToGuid, deriveGuid, guidToBytes, parseGuid } from "./guid.ts";

const SECTORS = 131072;

function partition(number: number, firstSector: number, lastSector: number, name = `p${number}`): Partition {
  return {
    number,
    type: PARTITION_TYPES.linux,
    guid: deriveGuid("test", name),
    firstSector,
    lastSector,
    name,
    attributes: 0n,
  };
}

function table(...partitions: readonly Partition[]): Gpt {
  return { guid: parseGuid("00112233-4455-6677-8899-aabbccddeeff"), diskSectors: SECTORS, partitions };
}

function firstSectors(gpt: Gpt): Buffer {
  const disk = Buffer.alloc(34 * 512);
  for (const piece of writeGpt(gpt)) if (piece.offsetBytes < disk.length) piece.bytes.copy(disk, piece.offsetBytes);
  return disk;
}

test("writeGpt() makes a table that sfdisk and sgdisk accept and read alike", () => {
  const directory = mkdtempSync(join(tmpdir(), "gpt-"));
  try {
    const path = join(directory, "disk");
    const gpt = table(
      { ...partition(1, 2048, 4095, "bios"), type: PARTITION_TYPES.biosBoot },
      { ...partition(2, 4096, 8191, "EFI-SYSTEM"), type: PARTITION_TYPES.esp },
      { ...partition(3, 8192, lastUsableSector(SECTORS), "root"), type: PARTITION_TYPES.rootAmd64 },
    );
    const file = openSync(path, "w");
    ftruncateSync(file, SECTORS * 512);
    for (const piece of writeGpt(gpt)) writeSync(file, piece.bytes, 0, piece.bytes.length, piece.offsetBytes);
    closeSync(file);
    assert.match(execFileSync("sfdisk", ["--verify", path], { encoding: "utf8" }), /No errors detected/);
    assert.match(execFileSync("sgdisk", ["--verify", path], { encoding: "utf8" }), /No problems found/);
    const seen = JSON.parse(execFileSync("sfdisk", ["--json", path], { encoding: "utf8" })).partitiontable;
    assert.equal(seen.id, "00112233-4455-6677-8899-AABBCCDDEEFF");
    assert.deepEqual(
      seen.partitions.map((p: { start: number; size: number; type: string; name: string; uuid: string }) => [
        p.start,
        p.size,
        p.type.toLowerCase(),
        p.name,
        p.uuid.toLowerCase(),
      ]),
      gpt.partitions.map((p) => [p.firstSector, p.lastSector - p.firstSector + 1, p.type, p.name, p.guid]),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("readGpt() gives back what writeGpt() wrote", () => {
  const gpt = table(partition(1, 2048, 4095), { ...partition(5, 4096, 9999, "ä root"), attributes: 1n << 63n });
  assert.deepEqual(readGpt(firstSectors(gpt)), gpt);
});

test("readGpt() rejects a changed byte anywhere in header and entries", () => {
  for (const at of [512, 520, 530, 536, 560, 600, 1024, 1050, 17400]) {
    const disk = firstSectors(table(partition(1, 2048, 4095)));
    disk[at] = (disk[at] ?? 0) ^ 1;
    assert.throws(() => readGpt(disk), RangeError, `offset ${at}`);
  }
  assert.throws(() => readGpt(Buffer.alloc(100)), /wanted at least/);
});

const bad: readonly (readonly [string, readonly Partition[], RegExp])[] = [
  ["overlapping partitions", [partition(1, 2048, 4096), partition(2, 4096, 5000)], /in use/],
  ["a partition in the table itself", [partition(1, 33, 4096)], /in use/],
  ["a partition in the backup table", [partition(1, 2048, SECTORS - 33)], /usable sectors end/],
  ["an end before the start", [partition(1, 2048, 2047)], /usable sectors end/],
  ["a repeated number", [partition(1, 2048, 2049), partition(1, 4096, 5000)], /number is taken/],
  ["number 129", [partition(129, 2048, 2049)], /number is taken/],
  ["a long name", [partition(1, 2048, 2049, "x".repeat(37))], /longer than 36/],
];
for (const [what, partitions, message] of bad) {
  test(`writeGpt() rejects ${what}`, () => {
    assert.throws(() => writeGpt(table(...partitions)), message);
  });
}

test("parseGuid() rejects what is no UUID", () => {
  for (const text of [
    "",
    "00112233-4455-6677-8899-aabbccddeef",
    "g0112233-4455-6677-8899-aabbccddeeff",
    "001122334455667788 99aabbccddeeff",
  ]) {
    assert.throws(() => parseGuid(text), SyntaxError);
  }
});

test("guids: bytes are mixed-endian and derived ones are stable version 8", () => {
  assert.equal(guidToBytes(PARTITION_TYPES.esp).toString("hex"), "28732ac11ff8d211ba4b00a0c93ec93b");
  assert.equal(bytesToGuid(guidToBytes(PARTITION_TYPES.rootAmd64)), PARTITION_TYPES.rootAmd64);
  assert.match(deriveGuid("a", "b"), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(deriveGuid("a", "b"), deriveGuid("a", "b"));
  assert.notEqual(deriveGuid("a", "b"), deriveGuid("ab"));
});
