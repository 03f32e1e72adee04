import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost, type FakeHost, type FakeHostOptions } from "../../host/fake.ts";
import { addFixtureImage } from "../../store/testing.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { formatVmSpec, type VmSpec } from "../../vm/spec.ts";
import { type Printed, runWords } from "../testing.ts";
import { diskCommand } from "./disk.ts";
import { vmConsoleCommand } from "./vm-console.ts";
import { vmListCommand } from "./vm-list.ts";
import { vmRemoveCommand } from "./vm-remove.ts";
import { vmRunCommand } from "./vm-run.ts";
import { vmRestoreCommand, vmSnapshotCommand } from "./vm-snapshot.ts";
import { vmSshCommand } from "./vm-ssh.ts";
import { vmStopCommand } from "./vm-stop.ts";
import { vmWaitCommand } from "./vm-wait.ts";

const commands = [
  diskCommand,
  vmConsoleCommand,
  vmListCommand,
  vmRemoveCommand,
  vmRunCommand,
  vmRestoreCommand,
  vmSnapshotCommand,
  vmSshCommand,
  vmStopCommand,
  vmWaitCommand,
];
const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvb2JhcmJhemZvb2JhcmJhemZvb2JhcmJhemZvb2Jh me@here\n";
const tools = {
  mke2fs: () => undefined,
  debugfs: () => undefined,
  "mkfs.vfat": () => undefined,
  mcopy: () => undefined,
  "qemu-img": () => undefined,
};
const spec: VmSpec = {
  name: "web",
  memoryMib: 512,
  cpus: 1,
  firmware: "bios",
  kernel: undefined,
  accelerator: "tcg",
  ports: [],
  throwAway: false,
  disks: [{ path: "/d.raw", format: "raw", overlay: undefined }],
};

async function run(
  words: readonly string[],
  options: FakeHostOptions = {},
): Promise<Printed & { readonly host: FakeHost }> {
  const host = createFakeHost({ user: { uid: 0, gid: 0 }, programs: tools, ...options });
  return { host, ...(await runWords(host, commands, words)) };
}

const vmFiles = { "/run/berth/vm/web/vm.json": formatVmSpec(spec), "/run/berth/vm/web/console.log": "hello\r\n" };

const bad: readonly (readonly [words: string, files: Record<string, string>, status: number, message: RegExp])[] = [
  ["disk", {}, 2, /IMAGE is missing/],
  ["disk os --type vmdk", {}, 2, /--type "vmdk"/],
  ["disk os --size huge", {}, 2, /--size "huge"/],
  ["disk os --user Root", {}, 2, /Cannot add user "Root"/],
  ["disk os --user ann::/none.pub", {}, 1, /"\/none\.pub": there is no such file/],
  [
    "disk os --root-ssh-authorized-keys /k",
    { "/k": "-----BEGIN OPENSSH PRIVATE KEY-----\n" },
    1,
    /it is a private key[\s\S]*\.pub/,
  ],
  ["disk os --hostname a_b", {}, 2, /host name "a_b"/],
  ["disk os --karg composefs=1", {}, 2, /berth sets it itself/],
  ["disk os --uuid 5", {}, 2, /UUID "5"/],
  ["disk os -o /out", { "/out/disk.raw": "old" }, 1, /"\/out\/disk\.raw": it exists[\s\S]*--force/],
  ["disk os -o /out", {}, 1, /image "os": it is not in the store[\s\S]*berth images/],
  ["disk os -o /out/file", { "/out/file": "text" }, 1, /disk to "\/out\/file": it is a file, wanted a folder/],
  ["disk os -o /out/file --dry-run", { "/out/file": "text" }, 1, /it is a file, wanted a folder/],
  ["disk os --source x", {}, 2, /Cannot follow --source "x": .*it names no registry/],
  ["disk os --user ann --user ann:sudo", {}, 2, /Cannot add user "ann" twice/],
  ["disk os --size -1", {}, 2, /--size: its value is missing before "-1"/],
  ["vm run", {}, 2, /neither --disk nor --name/],
  ["vm run --name web", {}, 1, /Cannot find VM "web"/],
  ["vm run --disk /none", {}, 1, /disk "\/none": there is no such file/],
  ["vm run --disk /folder", { "/folder/x": "" }, 1, /disk "\/folder": it is neither a file nor a block device/],
  ["vm run --disk /empty", { "/empty": "" }, 1, /disk "\/empty": it is empty, wanted a disk image\n.*berth disk/],
  ["vm run --disk /zeros", { "/zeros": "\0".repeat(70_000) }, 1, /disk "\/zeros": it begins with zeros/],
  ["vm run --disk /d --disk /zeros", { "/d": "x", "/zeros": "\0" }, 1, /qemu-system-x86_64 not found/],
  ["vm run --disk /d --disk /empty", { "/d": "x", "/empty": "" }, 1, /disk "\/empty": it is empty/],
  ["vm run --disk /d --disk /d", { "/d": "x" }, 2, /Cannot use disk "\/d" twice/],
  ["vm run --disk /d --uefi --bios", { "/d": "x" }, 2, /--uefi and --bios at once/],
  ["vm run --disk /d --memory much", { "/d": "x" }, 2, /memory "much"/],
  ["vm run --disk /d --cpus 0", { "/d": "x" }, 2, /"0" CPUs/],
  ["vm run --disk /d --cpus 1000", { "/d": "x" }, 2, /"1000" CPUs: wanted 1 to 999/],
  ["vm run --disk /d --port 80", { "/d": "x" }, 2, /port "80"/],
  ["vm run --disk /d --name ../x", { "/d": "x" }, 2, /name a VM "\.\.\/x"/],
  ["vm run --disk /d", { "/d": "x" }, 1, /qemu-system-x86_64 not found[\s\S]*apt-get install/],
  ["vm ssh web", {}, 1, /Cannot find VM "web"/],
  ["vm ssh web", vmFiles, 1, /"web": it is not running/],
  ["vm ssh web --timeout soon", vmFiles, 2, /"soon" seconds/],
  ["vm wait web --for coffee", vmFiles, 2, /--for "coffee"/],
  ["vm console web", vmFiles, 1, /it is not running[\s\S]*--log/],
  ["vm snapshot web", vmFiles, 1, /it is not running/],
  ["vm restore web", vmFiles, 1, /writes to the raw disk "\/d\.raw"/],
  ["vm stop db", vmFiles, 1, /Cannot find VM "db"/],
];
for (const [words, files, status, message] of bad) {
  test(`berth ${words} ends with one error and changes nothing${Object.keys(files).length > 0 ? " (there are files)" : ""}`, async () => {
    const result = await run(words.split(" "), { files });
    assert.match(result.err, message);
    assert.equal(result.status, status, result.err);
    assert.equal(result.out, "");
    for (const [path, text] of Object.entries(files)) assert.equal(result.host.files.readText(path), text);
  });
}

test("berth disk calls an image of several names as the user did", async () => {
  const host = createFakeHost({ user: { uid: 0, gid: 0 }, programs: tools });
  {
    using store = openWorkstationStore(host);
    const { digest } = await addFixtureImage(store, [], "localhost/a:1");
    store.tag("localhost/os:1", digest);
  }
  const { err } = await runWords(host, commands, ["disk", "localhost/os:1"]);
  assert.match(err, /Cannot make a disk of image "localhost\/os:1": it lacks the label/);
});

test("berth disk wants root", async () => {
  const { status, err } = await run(["disk", "os"], { user: { uid: 1000, gid: 1000 } });
  assert.equal(status, 1);
  assert.match(err, /root user/);
});

test("berth disk names the tools that are missing, with their packages", async () => {
  const { err } = await run(["disk", "os", "--root-ssh-authorized-keys", "/k"], {
    files: { "/k": KEY },
    programs: { mke2fs: () => undefined },
  });
  assert.match(err, /debugfs, mkfs\.vfat, mcopy not found[\s\S]*apt-get install e2fsprogs dosfstools mtools/);
});

test("berth vm list shows what there is, as a table and as JSON", async () => {
  const table = await run(["vm", "list"], { files: vmFiles });
  assert.equal(
    table.out,
    "NAME  STATE    SSH PORT  FIRMWARE  MEMORY  CPUS  DISKS\nweb   stopped  -         bios      512M    1     /d.raw\n",
  );
  const json: unknown = JSON.parse((await run(["vm", "list", "--json"], { files: vmFiles })).out);
  assert.deepEqual(json, [
    {
      name: "web",
      state: "stopped",
      ports: [],
      firmware: "bios",
      accelerator: "tcg",
      memoryMib: 512,
      cpus: 1,
      throwAway: false,
      disks: ["/d.raw"],
      directory: "/run/berth/vm/web",
    },
  ]);
  assert.equal((await run(["vm", "list", "--running", "--json"], { files: vmFiles })).out, "[]\n");
});

test("berth vm list tells of a damaged machine and shows the others", async () => {
  const files = { ...vmFiles, "/run/berth/vm/odd/vm.json": "{" };
  const { status, out, err } = await run(["vm", "list"], { files });
  assert.equal(status, 0, err);
  assert.match(err, /^Cannot read VM "odd": its description "\/run\/berth\/vm\/odd\/vm.json" is damaged$/m);
  assert.match(out, /^web {3}stopped/m);
});

for (const [name, spec] of [
  ["a new machine", undefined],
  ["a machine that is there", vmFiles["/run/berth/vm/web/vm.json"]],
] as const) {
  test(`berth vm run of ${name} that does not start leaves everything as it was`, async () => {
    const files = { "/d": "x", "/other": "x", ...(spec !== undefined && { "/run/berth/vm/web/vm.json": spec }) };
    const qemu = (): { exitCode: number; stderr: string } => ({
      exitCode: 1,
      stderr: 'qemu: Failed to get "write" lock\nIs another process using the image?\n',
    });
    const programs = { ...tools, "qemu-system-x86_64": qemu };
    const words = ["vm", "run", "--bios", "--accel", "tcg", "--name", "web", "--disk", "/other"];
    const { host, status, err } = await run(words, { files, programs });
    assert.equal(status, 1);
    assert.match(err, /Cannot start VM "web": one of its disks is in use by another VM/);
    assert.equal(host.files.readTextIfAny("/run/berth/vm/web/vm.json"), spec);
    assert.equal(host.files.exists("/run/berth/vm/web"), spec !== undefined);
  });
}

test("berth vm run says that a machine of this name is being started", async () => {
  const host = createFakeHost({ files: { "/d": "x" }, programs: { ...tools, "qemu-system-x86_64": () => undefined } });
  host.files.makeDirectory("/run/berth/vm/web");
  using _other = host.files.lock("/run/berth/vm/web", "exclusive", { wait: false });
  const { status, err } = await runWords(host, commands, ["vm", "run", "--bios", "--name", "web", "--disk", "/d"]);
  assert.equal(status, 1);
  assert.match(err, /^error: Cannot start VM "web": it is just being started\nhint: berth vm list\n$/);
});

test("berth vm console --log prints what the console showed; vm stop and vm remove of a stopped machine do no harm", async () => {
  assert.equal((await run(["vm", "console", "--log", "web"], { files: vmFiles })).out, "hello\n");
  const stopped = await run(["vm", "stop", "web"], { files: vmFiles });
  assert.equal(stopped.status, 0);
  assert.match(stopped.err, /VM web does not run/);
  const removed = await run(["vm", "remove", "web"], { files: vmFiles });
  assert.equal(removed.status, 0);
  assert.equal(removed.host.files.exists("/run/berth/vm/web"), false);
});
