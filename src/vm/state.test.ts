import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { systemFailure } from "../host/errors.ts";
import { createFakeHost, type FakeEntry, type FakeHost } from "../host/fake.ts";
import { detectAccelerator } from "./accelerator.ts";
import { detectFormat } from "./launch.ts";
import { createSpec, createVm, openVm, removeVm, type VmOptions } from "./machine.ts";
import { formatVmSpec, type VmSpec } from "./spec.ts";
import { endSharedConnections, quoteWord, sshArgv } from "./ssh.ts";
import { freeVmName, listVms, pathsOf, runningPid } from "./state.ts";

const spec: VmSpec = {
  name: "web",
  memoryMib: 512,
  cpus: 1,
  firmware: "bios",
  kernel: undefined,
  accelerator: "tcg",
  ports: [],
  throwAway: false,
  disks: [],
};
const signal = new AbortController().signal;
const ours = "qemu-system-x86_64\0-name\0guest=web\0-pidfile\0/run/berth/vm/web/qemu.pid\0-daemonize\0";

function world(files: Readonly<Record<string, FakeEntry>>): FakeHost {
  return createFakeHost({
    files: { "/run/berth/vm/web/vm.json": formatVmSpec(spec), "/run/berth/vm/web/qemu.pid": "77\n", ...files },
    processes: [77],
  });
}

test("createSpec() gives an emulated machine one processor, and any machine what was asked for", () => {
  const host = createFakeHost({ files: { "/d.raw": "disk" } });
  const cpus = (options: Partial<VmOptions>): number =>
    createSpec(host, { name: "web", disks: ["/d.raw"], signal, ...options }).cpus;
  assert.equal(cpus({ accelerator: "kvm" }), 2);
  assert.equal(cpus({ accelerator: "tcg" }), 1);
  assert.equal(cpus({}), 1, "detected");
  assert.equal(cpus({ accelerator: "tcg", cpus: 4 }), 4);
});

test("runningPid() believes a pid file only when its process is that machine's QEMU", () => {
  assert.equal(runningPid(world({ "/proc/77/cmdline": ours }), "web"), 77);
  assert.equal(runningPid(world({}), "web"), undefined, "the process is gone");
  assert.equal(
    runningPid(world({ "/proc/77/cmdline": "vim\0-pidfile\0" }), "web"),
    undefined,
    "the pid is another program's now",
  );
  assert.equal(
    runningPid(world({ "/proc/77/cmdline": ours.replaceAll("web", "db") }), "web"),
    undefined,
    "another machine's",
  );
  for (const text of ["", "x", "1", "0", "-5"])
    assert.equal(runningPid(world({ "/run/berth/vm/web/qemu.pid": text }), "web"), undefined, text);
});

test("kill() ends nothing but the machine's own QEMU", async () => {
  const stranger = world({ "/proc/77/cmdline": "vim\0" });
  await createVm(stranger, spec, signal).kill();
  assert.deepEqual(stranger.killed, []);
});

test("listVms() lists what has a description, running or not", () => {
  const host = world({
    "/proc/77/cmdline": ours,
    "/run/berth/vm/db/vm.json": formatVmSpec({ ...spec, name: "db" }),
    "/run/berth/vm/junk/x": "",
  });
  assert.deepEqual(
    listVms(host).map((vm) => [vm.name, vm.running]),
    [
      ["db", false],
      ["web", true],
    ],
  );
  assert.deepEqual(listVms(createFakeHost()), []);
});

test("listVms() leaves out machines that only others may read; freeVmName() does not take their names", () => {
  const host = world({ "/run/berth/vm/vm1/vm.json": formatVmSpec({ ...spec, name: "vm1" }) });
  const exists = (path: string): boolean => {
    if (path.startsWith("/run/berth/vm/vm1/")) throw systemFailure({ call: "stat", path }, "EACCES");
    return host.files.exists(path);
  };
  const user = { ...host, files: { ...host.files, exists } };
  assert.deepEqual(
    listVms(user).map(({ name }) => name),
    ["web"],
  );
  assert.equal(freeVmName(user), "vm2");
});

test("openVm() tells an unknown machine from a damaged one", () => {
  assert.throws(
    () => openVm(createFakeHost(), "web", signal),
    (error) => isFailure(error, "not-found"),
  );
  assert.throws(
    () => openVm(world({ "/run/berth/vm/web/vm.json": "{" }), "web", signal),
    (error) => isFailure(error, "corrupt"),
  );
  assert.throws(
    () => openVm(createFakeHost(), "../etc", signal),
    (error) => isFailure(error, "usage"),
  );
});

test("removeVm() refuses a running machine and forgets a stopped one", () => {
  assert.throws(
    () => removeVm(world({ "/proc/77/cmdline": ours }), "web"),
    (error) => isFailure(error, "busy"),
  );
  const stopped = world({});
  removeVm(stopped, "web");
  assert.deepEqual(listVms(stopped), []);
});

test("sshPort() of a stopped machine and snapshot() of a raw disk are refused", async () => {
  await assert.rejects(createVm(world({}), spec, signal).sshPort(), (error) => isFailure(error, "not-found"));
  const raw: VmSpec = { ...spec, disks: [{ path: "/d", format: "raw", overlay: undefined }] };
  await assert.rejects(createVm(world({}), raw, signal).snapshot("ready"), (error) => isFailure(error, "unsupported"));
  for (const tag of ["", "1a", "a b", "a\nquit", "x".repeat(33)]) {
    await assert.rejects(createVm(world({}), spec, signal).snapshot(tag), (error) => isFailure(error, "usage"), tag);
  }
});

test("pathsOf() keeps sockets within what the kernel takes", () => {
  assert.equal(pathsOf(createFakeHost({ env: { BERTH_STATE: "/s" } }), "web").qmp, "/s/vm/web/qmp.sock");
  assert.throws(
    () => pathsOf(createFakeHost({ env: { BERTH_STATE: `/${"d".repeat(90)}` } }), "web"),
    (error) => isFailure(error, "unsupported"),
  );
});

test("detectFormat() reads the first bytes; what is missing, empty, or cannot boot is an error", () => {
  const zeros = Buffer.alloc(200_000);
  const host = createFakeHost({
    files: { "/q": Buffer.from("514649fb00000003", "hex"), "/r": "raw", "/empty": "", "/zeros": zeros },
  });
  const boots = { boots: true };
  assert.equal(detectFormat(host, "/q", boots), "qcow2");
  assert.equal(detectFormat(host, "/r", boots), "raw");
  assert.equal(detectFormat(host, "/zeros", { boots: false }), "raw", "a disk to be formatted by the machine");
  for (const [path, code] of [
    ["/none", "not-found"],
    ["/empty", "bad-input"],
    ["/zeros", "bad-input"],
  ] as const) {
    assert.throws(
      () => detectFormat(host, path, boots),
      (error) => isFailure(error, code),
    );
  }
});

test("detectAccelerator() wants both the device and a processor with the extensions", () => {
  const cpu = (flags: string): FakeEntry => `processor\t: 0\nflags\t\t: fpu ${flags} sse\n`;
  assert.equal(detectAccelerator(createFakeHost({ files: { "/dev/kvm": "", "/proc/cpuinfo": cpu("vmx") } })), "kvm");
  assert.equal(detectAccelerator(createFakeHost({ files: { "/dev/kvm": "", "/proc/cpuinfo": cpu("svm") } })), "kvm");
  assert.equal(detectAccelerator(createFakeHost({ files: { "/dev/kvm": "", "/proc/cpuinfo": cpu("vmxnet") } })), "tcg");
  assert.equal(detectAccelerator(createFakeHost({ files: { "/proc/cpuinfo": cpu("vmx") } })), "tcg");
  assert.equal(detectAccelerator(createFakeHost()), "tcg");
});

test("sshArgv() names host, port, user and key, and quoteWord() quotes for the remote shell", () => {
  const argv = sshArgv({ port: 2222, user: "root", key: "/k" }, "uptime; id");
  assert.deepEqual(argv.slice(-4), ["/k", "root@127.0.0.1", "--", "uptime; id"]);
  assert.ok(argv.includes("IdentitiesOnly=yes"));
  assert.equal(sshArgv({ port: 2222, user: "ann", key: undefined }, undefined).at(-1), "ann@127.0.0.1");
  const shared = (key: string): string =>
    sshArgv({ port: 2222, user: "root", key, share: "/s" }, "id").find((word) => word.startsWith("ControlPath=/s/")) ??
    "";
  assert.notEqual(shared("/a"), "");
  assert.notEqual(shared("/a"), shared("/b"), "another key never shares a connection");
  assert.deepEqual(["a-b.c", "a b", "it's", "$x", ""].map(quoteWord), ["a-b.c", "'a b'", "'it'\\''s'", "'$x'", "''"]);
});

test("endSharedConnections() asks each kept connection to end, and leaves no socket to be found", async () => {
  const asked: string[] = [];
  const host = createFakeHost({
    files: { "/run/vm/ssh-0123abcd": "", "/run/vm/ssh-ffff0000": "", "/run/vm/vm.json": "{}" },
    programs: {
      ssh: ({ argv }) => {
        asked.push(argv.slice(-5).join(" "));
        return { exitCode: 255, stderr: "Control socket connect: Connection refused" };
      },
    },
  });
  await endSharedConnections(host, "/run/vm", { signal: new AbortController().signal });
  assert.deepEqual(asked, [
    "-o ControlPath=/run/vm/ssh-0123abcd -O exit 127.0.0.1",
    "-o ControlPath=/run/vm/ssh-ffff0000 -O exit 127.0.0.1",
  ]);
  assert.deepEqual(host.files.list("/run/vm"), ["vm.json"]);
  await endSharedConnections(host, "/run/none", { signal: new AbortController().signal });
});
