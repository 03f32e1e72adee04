import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { formatVmSpec, parseCpus, parseMemory, parsePort, parseVmName, parseVmSpec, type VmSpec } from "./spec.ts";

const usage = (error: unknown): boolean => isFailure(error, "usage");
const spec: VmSpec = {
  name: "web",
  memoryMib: 1024,
  cpus: 1,
  firmware: "bios",
  accelerator: "tcg",
  throwAway: true,
  kernel: { kernel: "/k", initrd: "/i", commandLine: "c" },
  ports: [{ hostPort: 0, guestPort: 80 }],
  disks: [{ path: "/d", format: "raw", overlay: "/o" }],
};

test("parseVmSpec() gives back what formatVmSpec() wrote", () => {
  assert.deepEqual(parseVmSpec(formatVmSpec(spec)), spec);
  const plain: VmSpec = {
    ...spec,
    kernel: undefined,
    throwAway: false,
    disks: [{ path: "/d", format: "qcow2", overlay: undefined }],
  };
  assert.deepEqual(parseVmSpec(formatVmSpec(plain)), plain);
});

test("parseVmSpec() rejects damaged descriptions, naming the field", () => {
  const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ name: 5 }, /vm\.json\.name/],
    [{ firmware: "coreboot" }, /vm\.json\.firmware/],
    [{ disks: [{}] }, /vm\.json\.disks\[0\]\.path/],
    [{ ports: [{ hostPort: -1 }] }, /ports\[0\]\.hostPort/],
    [{ cpus: "2" }, /vm\.json\.cpus/],
    [{ disks: "x" }, /vm\.json\.disks/],
  ];
  for (const [change, message] of cases)
    assert.throws(() => parseVmSpec(JSON.stringify({ ...spec, ...change })), message);
  for (const text of ["", "[]", "{", "null"]) assert.throws(() => parseVmSpec(text), SyntaxError);
});

test("parsePort(), parseMemory(), parseCpus(), parseVmName() take good values", () => {
  assert.deepEqual(parsePort("8080:80"), { hostPort: 8080, guestPort: 80 });
  assert.deepEqual(parsePort("0:443"), { hostPort: 0, guestPort: 443 });
  assert.deepEqual(["2048", "2048M", "2G", "2GiB", "64"].map(parseMemory), [2048, 2048, 2048, 2048, 64]);
  assert.equal(parseCpus("4"), 4);
  assert.equal(parseVmName("web-1.test"), "web-1.test");
});

test("parsePort(), parseMemory(), parseCpus(), parseVmName() reject the rest", () => {
  for (const text of ["", "80", "a:b", "80:0", "70000:80", "80:70000", "1:2:3", "-1:80", "8080:80/udp"])
    assert.throws(() => parsePort(text), usage, text);
  for (const text of ["", "0", "63", "1T", "-1", "2.5G", "G", "2048 "])
    assert.throws(() => parseMemory(text), usage, text);
  for (const text of ["", "0", "-1", "1.5", "1000", "two"]) assert.throws(() => parseCpus(text), usage, text);
  for (const text of ["", ".", "..", "a/b", "-a", "a-", "a b", "../x", "x".repeat(65)])
    assert.throws(() => parseVmName(text), usage, text);
});
