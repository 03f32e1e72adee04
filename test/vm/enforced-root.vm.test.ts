/**
 * One real disk in real machines: the root is what the command line's digest says, and whatever was changed on
 * the disk behind its back is refused: a changed object when it is read, a changed, swapped or unsealed image when it is booted.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { silent } from "../../src/core/progress.ts";
import { applyDiskPlan } from "../../src/disk/apply.ts";
import { readDiskFacts } from "../../src/disk/image-facts.ts";
import { type DiskPlan, planDisk } from "../../src/disk/plan.ts";
import type { DiskRequest } from "../../src/disk/request.ts";
import { readDeploymentTree } from "../../src/deploy/deployment-tree.ts";
import type { Host } from "../../src/host/host.ts";
import { createLinuxHost } from "../../src/host/linux.ts";
import { openWorkstationStore } from "../../src/store/workstation.ts";
import { resolve } from "../../src/tree/walk.ts";
import { startVm, type Vm } from "../../src/vm/machine.ts";
import type { Firmware } from "../../src/vm/spec.ts";

const berth = path.join(import.meta.dirname, "../../berth");
const IMAGE = "localhost/debian-bootc:12";
/** Nothing that boots reads it. */
const VICTIM = "usr/share/common-licenses/GPL-3";
const BOOT_MS = 900_000;
const never = new AbortController().signal;

let work: string;
let host: Host;
let plan: DiskPlan;
let disk: string;
let key: string;
let victimObject: string;

before(async () => {
  work = mkdtempSync(path.join(tmpdir(), "berth-vm-"));
  host = { ...createLinuxHost(), env: { ...process.env, BERTH_STATE: path.join(work, "state") } };
  key = path.join(work, "key");
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  execFileSync(berth, ["--no-install", "base", "build", "--suite", "bookworm", "-t", IMAGE], { stdio: "inherit" });
  using store = openWorkstationStore(host);
  const image = store.image(IMAGE);
  assert.ok(image !== undefined);
  const request: DiskRequest = {
    type: "raw",
    sizeBytes: 4 * 2 ** 30,
    kargs: ["console=ttyS0", "net.ifnames=0", "lsm=", "mitigations=off", "audit=0"],
    hostname: "enforced",
    uuid: undefined,
    rootAuthorizedKeys: host.files.readText(`${key}.pub`),
    users: [{ name: "ann", groups: ["sudo"], authorizedKeys: host.files.readText(`${key}.pub`) }],
    source: "registry.example.com/os:12",
  };
  const facts = await readDiskFacts(host, store, image);
  plan = planDisk(IMAGE, request, facts);
  const options = {
    store,
    image,
    request,
    shell: facts.shell,
    output: path.join(work, "out"),
    replace: true,
    progress: silent,
    signal: never,
  };
  disk = (await applyDiskPlan(host, plan, options)).path;
  const victim = resolve(readDeploymentTree(store, plan.id), VICTIM);
  assert.ok(victim?.kind === "file" && victim.content.kind === "external" && victim.content.objectId !== undefined);
  victimObject = objectPath(victim.content.objectId);
});

after(() => {
  rmSync(work, { recursive: true });
});

function objectPath(id: string): string {
  return `/composefs/objects/${id.slice(0, 2)}/${id.slice(2)}`;
}

function debugfs(...commands: readonly string[]): string {
  const script = path.join(work, "script");
  writeFileSync(script, `${commands.join("\n")}\n`);
  return execFileSync("debugfs", ["-w", "-f", script, `${disk}?offset=${plan.layout.root.offsetBytes}`], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Flips a bit of a file on the disk, as nobody would notice who trusts the file system. Doing it again undoes it. */
function flip(file: string, offsetBytes: number): void {
  const block = Number(
    /^(\d+)/m.exec(
      debugfs(`bmap ${file} ${Math.floor(offsetBytes / 4096)}`)
        .replace(/^debugfs.*$/gm, "")
        .trim(),
    )?.[1],
  );
  assert.ok(block > 0, `a block of ${file}`);
  using bytes = host.files.open(disk, "read-write");
  const at = plan.layout.root.offsetBytes + block * 4096 + (offsetBytes % 4096);
  const byte = Buffer.alloc(1);
  bytes.read(byte, at);
  byte[0] = (byte[0] ?? 0) ^ 1;
  bytes.write(byte, at);
}

function boot(firmware: Firmware): Promise<Vm> {
  return startVm(host, { name: "enforced", disks: [disk], firmware, throwAway: true, signal: never });
}

async function output(vm: Vm, command: string): Promise<string> {
  const result = await vm.ssh(command, { key, timeoutMs: 120_000, check: false });
  return `${result.stdout.toString("utf8")}${result.stderr.toString("utf8")}`;
}

async function assertEnforced(vm: Vm): Promise<void> {
  const root = await output(vm, "findmnt -no SOURCE,FSTYPE,OPTIONS /");
  assert.match(root, new RegExp(`^composefs:${plan.id}\\s+overlay\\s+ro,`));
  assert.match(root, /verity=require/);
  assert.match(await output(vm, "cat /proc/cmdline"), new RegExp(`composefs=${plan.id}`));
  assert.match(await output(vm, "touch /usr/x; touch /x"), /Read-only file system[\s\S]*Read-only file system/);
}

test("by UEFI the machine lets in, its root is verified, and a changed object is an I/O error", async () => {
  flip(victimObject, 5000);
  try {
    await using vm = await boot("uefi");
    await vm.waitForSsh({ key, timeoutMs: BOOT_MS });
    await assertEnforced(vm);
    assert.match(await output(vm, `sha256sum /${VICTIM}`), /Input\/output error/);
    assert.match(await output(vm, "dmesg"), /FILE CORRUPTED/);
    assert.match(await output(vm, "sha256sum /usr/share/common-licenses/GPL-2"), /^[0-9a-f]{64} /);
    assert.match(
      await output(vm, "hostname; id ann"),
      /^enforced\nuid=1000\(ann\) gid=1000\(ann\) groups=1000\(ann\),27\(sudo\)/,
    );
    const asAnn = await vm.ssh(["sudo", "-n", "id", "-u"], { user: "ann", key, timeoutMs: 120_000 });
    assert.equal(asAnn.stdout.toString("utf8"), "0\n");
    assert.equal((await vm.ssh("exit 7", { key, timeoutMs: 60_000, check: false })).exitCode, 7);

    await output(vm, "echo before > /var/mark");
    await vm.snapshot("ready");
    await output(vm, "echo after > /var/mark");
    await vm.restore("ready");
    assert.equal(await output(vm, "cat /var/mark"), "before\n");

    await vm.powerOff(120_000);
    assert.equal(vm.pid(), undefined);
    await vm.restore("ready");
    assert.equal(await output(vm, "cat /var/mark"), "before\n");
  } finally {
    flip(victimObject, 5000);
  }
});

const link = (): string => `/composefs/images/${plan.id}`;
const refused: readonly (readonly [string, () => void, RegExp])[] = [
  ["a changed image", () => flip(objectPath(plan.id), 1030), /image [0-9a-f]{128} is no EROFS file system/],
  [
    "another file in the image's place",
    () => debugfs(`rm ${link()}`, `symlink ${link()} ../objects/${victimObject.slice("/composefs/objects/".length)}`),
    /is not itself: it measures/,
  ],
  [
    "a copy of the image without fs-verity",
    () => {
      const copy = path.join(work, "copy");
      debugfs(
        `dump ${objectPath(plan.id)} ${copy}`,
        `rm ${link()}`,
        "cd /composefs/images",
        `write ${copy} ${plan.id}`,
      );
    },
    /has no fs-verity digest to check/,
  ],
];
for (const [what, change, message] of refused) {
  test(`${what} is refused at boot`, async () => {
    const good = path.join(work, "good.raw");
    host.files.copy(disk, good);
    try {
      change();
      await using vm = await boot("bios");
      await vm.waitForConsole(message, { timeoutMs: 180_000 });
      // It starts over instead of hanging: a machine with a fallback entry would get there by itself.
      await vm.waitForConsole(/reboot: Restarting system|Linux version[\s\S]*Linux version/, { timeoutMs: 120_000 });
    } finally {
      host.files.rename(good, disk);
    }
  });
}
