import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { condition, formatCondition } from "./condition.ts";

test("formatCondition() says whether the machine runs and where its processors are", () => {
  const registers =
    "\r\nCPU#0\r\nRAX=0000000000000000 RBX=0000000000000001\r\nRIP=ffffffff81e0b3c4 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n" +
    "\r\nCPU#1\r\nEAX=00000000 EBX=00000000\r\nEIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\r\n";
  assert.equal(
    formatCondition("VM status: running\r\n", registers),
    "running, CPU 0 halted at 0xffffffff81e0b3c4, CPU 1 runs at 0x0000fff0",
  );
  assert.equal(formatCondition("VM status: paused (io-error)\r\n", ""), "paused (io-error)");
});

test("condition() of a QEMU that is gone says so", async () => {
  assert.equal(
    await condition(createFakeHost(), "/run/berth/vm/web/qmp.sock", new AbortController().signal),
    "QEMU does not answer",
  );
});
