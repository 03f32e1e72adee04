/** Runs the initramfs's init itself, its absolute paths moved below a folder, with stand-ins for the programs that need a kernel. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const scratch = mkdtempSync(join(tmpdir(), "initramfs-init-"));
after(() => rmSync(scratch, { recursive: true }));
const SCRIPT = readFileSync(new URL("init", import.meta.url), "utf8");

interface Boot {
  readonly status: number | null;
  /** Program calls, in order. */
  readonly calls: readonly string[];
  readonly file: (path: string) => string;
}

/** `failing`: programs that exit 1, and the text they print. */
function boot(cmdline: string, failing: Readonly<Record<string, string>> = {}, panic = "0"): Boot {
  const root = mkdtempSync(join(scratch, "root-"));
  const write = (path: string, content: string): void => {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), content);
  };
  const log = join(root, "calls");
  write("calls", "");
  write("proc/cmdline", `${cmdline}\n`);
  write("proc/sys/kernel/panic", `${panic}\n`);
  write("proc/uptime", "1.00 1.00\n");
  write("proc/mounts", "composefs:x /sysroot overlay ro 0 0\n");
  for (const path of ["proc/sysrq-trigger", "dev/kmsg", "usr/lib/berth/modules"]) write(path, "");
  mkdirSync(join(root, "sysroot/sbin"), { recursive: true });
  write("sysroot/sbin/init", "");
  chmodSync(join(root, "sysroot/sbin/init"), 0o755);
  const programs = ["mount", "umount", "modprobe", "sleep", "reboot", "findfs", "composefs-setup", "switch_root"];
  for (const name of programs) {
    const answer = failing[name];
    const body = answer === undefined ? (name === "findfs" ? "echo /dev/root" : "exit 0") : `echo "${answer}"; exit 1`;
    write(`usr/bin/${name}`, `#!/bin/sh\necho "${name} $*" >>${log}\n${body}\n`);
    chmodSync(join(root, "usr/bin", name), 0o755);
  }
  write(
    "init",
    SCRIPT.replaceAll(/(?<![\w/$}])\/(proc|dev|run|sys|sysroot|usr)(?![\w])/g, `${root}/$1`)
      .replace(/^export PATH=(.*)$/m, "export PATH=$1:/usr/bin:/bin")
      .replace('[ -b "$device" ]', '[ -n "$device" ]'),
  );
  const result = spawnSync("/bin/sh", [join(root, "init")], { encoding: "utf8", timeout: 20_000 });
  const calls = readFileSync(log, "utf8").replaceAll(root, "").split("\n").slice(0, -1);
  return { status: result.status, calls, file: (path) => readFileSync(join(root, path), "utf8") };
}

test("init mounts the root, composes the deployment and hands over", () => {
  const { status, calls } = boot("root=UUID=12 rw quiet");
  assert.equal(status, 0);
  assert.ok(calls.includes("findfs UUID=12"));
  assert.ok(calls.includes("composefs-setup /run/berth/phys /sysroot"));
  assert.equal(calls.at(-1), "switch_root /sysroot /sbin/init");
  assert.ok(!calls.some((call) => call.startsWith("reboot")));
});

for (const [what, cmdline, failing, line] of [
  ["no root=", "rw", {}, /Cannot boot: the kernel command line has no root=/],
  ["a device that does not come", "root=UUID=12 rd.timeout=0", { findfs: "" }, /no device has root=UUID=12/],
  ["a root that cannot be mounted", "root=UUID=12", { mount: "" }, /cannot be mounted/],
  ["a deployment that cannot be composed", "root=UUID=12", { "composefs-setup": "image X is gone" }, /image X is gone/],
  ["an init that is not there", "root=UUID=12 init=/none", {}, /the deployment has no \/none/],
] as const) {
  test(`init restarts the machine on ${what}, and does nothing more, even where the reboot fails`, () => {
    const { status, calls, file } = boot(cmdline, failing);
    assert.match(file("dev/kmsg"), line);
    assert.ok(calls.includes("reboot -f"));
    assert.equal(calls.at(-1), "sleep 60", "nothing follows a failure");
    assert.equal(file("proc/sysrq-trigger"), "b\n");
    assert.equal(status, 1);
  });
}

test("a hand-over that fails is a panic, which reboots unless the command line decides otherwise", () => {
  const failed = boot("root=UUID=12", { switch_root: "no such program" });
  assert.notEqual(failed.status, 0);
  assert.equal(failed.file("proc/sys/kernel/panic"), "10\n");
  assert.equal(boot("root=UUID=12 panic=30", {}, "30").file("proc/sys/kernel/panic"), "30\n");
});
