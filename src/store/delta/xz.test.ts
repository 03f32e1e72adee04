/** Many files through the real xz at once, the good beside the bad. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { GROUP_BYTES_MAX } from "../../format/delta/delta-index.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { SCRATCH } from "../../host/scratch.ts";
import { noise } from "../testing.ts";
import { cutRuns, expandXz, packXz, readXz } from "./xz.ts";

const host = createLinuxHost();
const SETTINGS = { check: "crc32", dictionary: 16, x86: false, threads: true } as const;
const bytesOf = (name: string): Buffer => Buffer.from(noise(20_000, name).toString("hex"));
const xz = (bytes: Buffer): Buffer =>
  execFileSync("xz", ["-c", "--check=crc32", "--lzma2=dict=1MiB", "-T2"], { input: bytes });
const damaged = (file: Buffer, at: number): Buffer => {
  const copy = Buffer.from(file);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return copy;
};
const withCheck = (bytes: readonly number[]): Buffer => {
  const checked = Buffer.alloc(bytes.length + 4);
  checked.set(bytes);
  checked.writeUInt32LE(crc32(checked.subarray(0, bytes.length)), bytes.length);
  return checked;
};
/** Zeros whose index says that there are three. */
const bomb = (): Buffer => {
  const file = xz(Buffer.alloc(3_000_000));
  const index = file.subarray(file.lastIndexOf(Buffer.from([0, 1]), -16), -12);
  const lying = withCheck([0, 1, ...index.subarray(2, 4), 3, 0, 0, 0]);
  const footer = withCheck([lying.length / 4 - 1, 0, 0, 0, 0, 1]);
  return Buffer.concat([
    file.subarray(0, file.length - 12 - index.length),
    lying,
    footer.subarray(-4),
    footer.subarray(0, 6),
    Buffer.from("YZ"),
  ]);
};

test("expandXz() expands the whole files among damaged ones and such that are none", async () => {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-xz-test-`);
  const put = (name: string, bytes: Buffer): string => {
    host.files.write(`${directory.path}/${name}`, bytes);
    return `${directory.path}/${name}`;
  };
  const good = ["a", "b", "c"].map((name) => put(name, xz(bytesOf(name))));
  const bad = [
    put("damaged", damaged(xz(bytesOf("d")), 500)),
    put("none", bytesOf("e")),
    put("empty", Buffer.alloc(0)),
  ];
  const [first = "", ...others] = good;
  const expanded = await expandXz(host, [first, ...bad, ...others, first]);
  assert.deepEqual([...expanded.keys()], good);
  for (const [i, path] of good.entries()) assert.deepEqual(expanded.get(path), bytesOf("abc"[i] ?? ""));
});

test("expandXz() takes no more than the file says", async () => {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-xz-test-`);
  const path = `${directory.path}/bomb`;
  host.files.write(path, bomb());
  assert.equal(readXz(host.files, path)?.expandedBytes, 3);
  assert.deepEqual(await expandXz(host, [path]), new Map());
});

test("packXz() packs as another xz did, whatever the environment says", async () => {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-xz-test-`);
  const files = ["a", "b"].map((name) => ({ path: `${directory.path}/${name}`, bytes: bytesOf(name) }));
  for (const { path, bytes } of files) host.files.write(path, bytes);
  const wanted = files.map(({ bytes }) => xz(bytes));
  const sizes = wanted.map(({ length }) => length);
  const paths = files.map(({ path }) => path);
  process.env["XZ_OPT"] = "-0";
  try {
    assert.deepEqual(await packXz(host, paths, { settings: SETTINGS, sizes }), wanted);
  } finally {
    delete process.env["XZ_OPT"];
  }
  const [first = 0, ...others] = sizes;
  for (const wrong of [first - 1, first + 1])
    assert.equal(await packXz(host, paths, { settings: SETTINGS, sizes: [wrong, ...others] }), undefined);
});

test("cutRuns() cuts by bytes and by count, and leaves a large file alone", () => {
  const half = GROUP_BYTES_MAX / 2;
  const cut = (sizes: readonly number[]): number[] => cutRuns(sizes, (size) => size).map(({ length }) => length);
  assert.deepEqual(cut([]), []);
  assert.deepEqual(cut([half, half, 1, 3 * half, 1]), [2, 1, 1, 1]);
  assert.deepEqual(cut(Array.from({ length: 300 }, () => 1)), [256, 44]);
});
