import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { writeGpt } from "../format/gpt/gpt.ts";
import { planLayout } from "./layout.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;

test("planLayout() puts BIOS boot, ESP and root one after the other, aligned, root to the end", () => {
  const layout = planLayout({ sizeBytes: 10 * GIB, architecture: "amd64", identity: "x" });
  assert.deepEqual(
    layout.gpt.partitions.map((p) => [p.number, p.name, p.firstSector, p.lastSector]),
    [
      [1, "BIOS-BOOT", 2048, 4095],
      [2, "EFI-SYSTEM", 4096, 1052671],
      [3, "root", 1052672, 20969471],
    ],
  );
  assert.deepEqual(layout.biosBoot, { offsetBytes: MIB, sizeBytes: MIB });
  assert.equal(layout.esp.sizeBytes, 512 * MIB);
  assert.equal(layout.root.offsetBytes, 514 * MIB);
  assert.equal(layout.root.offsetBytes + layout.root.sizeBytes, 10 * GIB - MIB);
  assert.match(layout.esp.volumeId, /^[0-9a-f]{8}$/);
  assert.ok(writeGpt(layout.gpt).length > 0);
});

test("planLayout() rounds the disk up to whole MiB", () => {
  assert.equal(planLayout({ sizeBytes: 2 * GIB + 1, architecture: "amd64", identity: "x" }).sizeBytes, 2 * GIB + MIB);
});

test("planLayout() derives every id from the identity", () => {
  const plan = (identity: string): string =>
    JSON.stringify(planLayout({ sizeBytes: GIB, architecture: "arm64", identity }), (_, value: unknown) =>
      typeof value === "bigint" ? String(value) : value,
    );
  assert.equal(plan("a"), plan("a"));
  assert.notEqual(plan("a"), plan("b"));
});

test("planLayout() rejects a disk without room for root, and an unknown architecture", () => {
  assert.throws(() => planLayout({ sizeBytes: 514 * MIB, architecture: "amd64", identity: "x" }), RangeError);
  assert.throws(
    () => planLayout({ sizeBytes: GIB, architecture: "s390x", identity: "x" }),
    (error) => isFailure(error, "unsupported"),
  );
});
