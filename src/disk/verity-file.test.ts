import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { verityDigest } from "../format/verity/verity.ts";
import { settleCommands } from "./settle.ts";
import { appendVerityTail, quoteForDebugfs, verityCommands, verityFileBytes, verityTail } from "./verity-file.ts";

test("verityTail() starts at the next 64 KiB and ends with the descriptor's size", () => {
  for (const [size, offset, blocks] of [[1, 65536, 1], [4096, 65536, 1], [4097, 65536, 2], [65536, 65536, 2], [65537, 131072, 2], [300_000, 327680, 4]] as const) {
    const tail = verityTail(Buffer.alloc(size, 1), "sha512");
    assert.equal(tail.offsetBytes, offset, String(size));
    assert.equal(tail.bytes.length, blocks * 4096, String(size));
    assert.equal(tail.bytes.readUInt32LE(tail.bytes.length - 4), 256);
    assert.equal(tail.bytes.readUInt8(tail.bytes.length - 4096 + 1), 2, "algorithm sha512");
    assert.equal(tail.bytes.readBigUInt64LE(tail.bytes.length - 4096 + 8), BigInt(size));
  }
});

test("verityFileBytes() counts what verityTail() adds", () => {
  for (const size of [1, 4096, 4097, 262_144, 262_145, 20_000_000]) {
    for (const [algorithm, hashBytes] of [["sha256", 32], ["sha512", 64]] as const) {
      const tail = verityTail(Buffer.alloc(size), algorithm);
      assert.equal(verityFileBytes(size, hashBytes), Math.ceil(size / 4096) * 4096 + tail.bytes.length, `${size} ${algorithm}`);
    }
  }
});

test("appendVerityTail() keeps the content and returns its digest", () => {
  const content = Buffer.alloc(70_000, 5);
  const host = createFakeHost({ files: { "/o": { content, mode: 0o600 } } });
  const id = verityDigest(content, "sha512");
  assert.deepEqual(appendVerityTail(host.files, "/o", "sha512"), { id, sizeBytes: 70_000 });
  const staged = host.files.read("/o");
  assert.ok(staged.subarray(0, 70_000).equals(content));
  assert.ok(staged.subarray(131072).equals(verityTail(content, "sha512").bytes));
  assert.ok(staged.subarray(70_000, 131072).every((byte) => byte === 0));
  assert.equal(host.files.lstat("/o")?.mode, 0o644);
});

test("verityCommands() sets the size and EXTENTS|VERITY", () => {
  assert.deepEqual(verityCommands({ path: "/a/b", sizeBytes: 5 }), ["sif /a/b size 5", "sif /a/b flags 0x180000"]);
});

test("quoteForDebugfs() quotes blanks and quotes, and rejects line breaks", () => {
  assert.equal(quoteForDebugfs("/a/b-1.c"), "/a/b-1.c");
  assert.equal(quoteForDebugfs('/a b/"c"'), '"/a b/""c"""');
  assert.throws(() => quoteForDebugfs("/a\nrm /"), RangeError);
});

test("settleCommands() resets what the build left and keeps older times", () => {
  const host = createFakeHost({ files: { "/t/etc/old": "x", "/t/etc/new": "y", "/t/bad\nname": "z" } });
  host.files.setTimes("/t/etc/old", 100, 0);
  host.files.setTimes("/t/etc/new", 300, 0);
  host.files.setTimes("/t/etc", 200, 0);
  assert.deepEqual(settleCommands(host, { tree: "/t", epoch: 200 }), [
    "sif / ctime @200", "sif / atime @200", "sif / mtime @200",
    "sif /etc ctime @200", "sif /etc atime @200",
    "sif /etc/new ctime @200", "sif /etc/new atime @200", "sif /etc/new mtime @200",
    "sif /etc/old ctime @200", "sif /etc/old atime @200",
  ]);
});
