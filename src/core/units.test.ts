import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, suggest } from "./suggest.ts";
import { formatBytes, formatCount, formatDuration, parseSize } from "./units.ts";

test("formatBytes() prints three significant digits in decimal units", () => {
  const table: [number, string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1 kB"],
    [1540, "1.54 kB"],
    [983_600_000, "984 MB"],
    [82_590_000, "82.6 MB"],
    [999_600, "1 MB"],
  ];
  for (const [bytes, want] of table) assert.equal(formatBytes(bytes), want);
});

test("formatCount() has one thing and several", () => {
  const counts = [0, 1, 2].map((count) => [formatCount(count, "repository"), formatCount(count, "blob")]);
  assert.deepEqual(counts, [
    ["0 repositories", "0 blobs"],
    ["1 repository", "1 blob"],
    ["2 repositories", "2 blobs"],
  ]);
});

test("formatDuration() picks the unit that is read at a glance", () => {
  assert.deepEqual([40, 4210, 59_400, 93_400, 7_260_000].map(formatDuration), [
    "0.0s",
    "4.2s",
    "59s",
    "1m33s",
    "2h01m",
  ]);
});

test("parseSize() reads binary and decimal units", () => {
  const table: [string, number][] = [
    ["10G", 10 * 1024 ** 3],
    ["512MiB", 512 * 1024 ** 2],
    ["2.5 GB", 2.5e9],
    ["1048576", 1048576],
    ["4k", 4096],
    ["7B", 7],
  ];
  for (const [text, want] of table) assert.equal(parseSize(text), want, text);
});

test("parseSize() rejects what is no size", () => {
  for (const text of ["", "G", "10X", "-1", "1e9", "0x10", "10GiBs"])
    assert.throws(() => parseSize(text), SyntaxError, text);
});

test("suggest() finds the word that was meant and keeps quiet otherwise", () => {
  assert.equal(suggest("upgade", ["upgrade", "rollback"]), "upgrade");
  assert.equal(suggest("swicth", ["switch", "status"]), "switch");
  assert.equal(suggest("frobnicate", ["switch", "status"]), undefined);
  assert.equal(editDistance("kitten", "sitting"), 3);
});
