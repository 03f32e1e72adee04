import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../host/fake.ts";
import { pathsOf } from "./state.ts";
import { type WaitContext, waitForSsh } from "./wait.ts";

const signal = new AbortController().signal;
const KERNEL = "[    0.000000] Linux version 6.12.0\n";

function machine(consoleLog: string, options: { runs: boolean }): WaitContext {
  const host = createFakeHost({
    files: {
      "/run/berth/vm/web/console.log": consoleLog,
      "/run/berth/vm/web/qemu.pid": "77\n",
      ...(options.runs && { "/proc/77/cmdline": "qemu\0-pidfile\0/run/berth/vm/web/qemu.pid\0" }),
    },
    processes: [77],
  });
  return {
    host,
    name: "web",
    paths: pathsOf(host, "web"),
    sshPort: async () => 2222,
    ssh: async () => assert.fail("logs in"),
    condition: async () => "paused (io-error)",
    signal,
  };
}

test("waitForSsh() ends at once when the kernel panicked, with the reason", async () => {
  const panic = "[    7.8] Kernel panic - not syncing: Attempted to kill init!\n";
  await assert.rejects(waitForSsh(machine(KERNEL + panic, { runs: true }), { timeoutMs: 900_000 }), {
    message: 'Cannot wait for ssh of VM "web": its kernel panicked: Attempted to kill init!',
    hint: "what it said before: /run/berth/vm/web/console.log",
  });
});

test("waitForSsh() ends when the machine ended", async () => {
  await assert.rejects(waitForSsh(machine(KERNEL, { runs: false }), { timeoutMs: 900_000 }), {
    message: 'Cannot wait for ssh of VM "web": it ended; its console shows: [    0.000000] Linux version 6.12.0',
  });
});

test("waitForSsh() says what the machine does when the time is over", async () => {
  await assert.rejects(waitForSsh(machine(KERNEL, { runs: true }), { timeoutMs: 900 }), {
    message:
      'Cannot wait longer for ssh of VM "web": 0.9 s are over; its console shows: [    0.000000] Linux version 6.12.0',
    hint: "QEMU says: paused (io-error)",
  });
});
