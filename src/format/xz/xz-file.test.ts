/** Files of the xz program, and what is none or one that is left alone. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { dictionaryBytes, readXzFile, type XzSettings } from "./xz-file.ts";

const CONTENT = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${(i * 7919) % 1013}\n`).join(""));
const xz = (...words: readonly string[]): Buffer => execFileSync("xz", ["-c", ...words], { input: CONTENT });
const MODULE = xz("--check=crc32", "--lzma2=dict=1MiB", "-T2");
const patched = (at: number, byte: number): Buffer => {
  const file = Buffer.from(MODULE);
  file[at < 0 ? file.length + at : at] = byte;
  return file;
};

const FILES: readonly (readonly [what: string, file: Buffer, settings: XzSettings, dictionaryBytes: number])[] = [
  ["a kernel module", MODULE, { check: "crc32", dictionary: 16, x86: false, threads: true }, 1 << 20],
  ["the default, one thread", xz("-T1"), { check: "crc64", dictionary: 22, x86: false, threads: false }, 8 << 20],
  ["no check", xz("-T1", "-0", "-C", "none"), { check: "none", dictionary: 12, x86: false, threads: false }, 1 << 18],
  [
    "the x86 filter and sha256",
    xz("-T1", "-C", "sha256", "--x86", "--lzma2=dict=6MiB"),
    { check: "sha256", dictionary: 21, x86: true, threads: false },
    6 << 20,
  ],
  [
    "several blocks",
    xz("-T2", "--block-size=100000", "--lzma2=dict=4096"),
    { check: "crc64", dictionary: 0, x86: false, threads: true },
    4096,
  ],
];
for (const [what, file, settings, dictionary] of FILES) {
  test(`readXzFile() reads ${what}`, () => {
    const read = readXzFile(file);
    assert.deepEqual(read, { settings, expandedBytes: CONTENT.length });
    assert.equal(dictionaryBytes(settings), dictionary);
  });
}

const REJECTED: readonly (readonly [what: string, file: Buffer])[] = [
  ["nothing", Buffer.alloc(0)],
  ["other bytes", CONTENT],
  ["the start of a file", MODULE.subarray(0, 30)],
  ["a file that ends early", MODULE.subarray(0, -1)],
  ["two streams", Buffer.concat([MODULE, MODULE])],
  ["padding after the stream", Buffer.concat([MODULE, Buffer.alloc(4)])],
  ["a dictionary that takes much memory", xz("--lzma2=dict=64MiB")],
  ["the filter of another processor", xz("--arm", "--lzma2")],
  ["an x86 filter with a place to start", xz("--x86=start=4096", "--lzma2")],
  ["three filters", xz("--x86", "--delta", "--lzma2")],
  ["a stream without blocks", execFileSync("xz", ["-c"], { input: "" })],
  ["a check that is not known", patched(7, 9)],
  ["an index beyond the file", patched(-6, 0xff)],
  ["an index that is none", patched(-8, MODULE.at(-8) === 1 ? 2 : 1)],
  ["reserved flags of a block", patched(13, 0xc4)],
];
for (const [what, file] of REJECTED) {
  test(`readXzFile() leaves alone ${what}`, () => assert.equal(readXzFile(file), undefined));
}

test("readXzFile() reads any damage as another file or none", () => {
  for (let at = 0; at < MODULE.length; at += 1) for (const byte of [0, 0x7f, 0xff]) readXzFile(patched(at, byte));
});
