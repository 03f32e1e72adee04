/** Whole disks of a small image, made as root and judged by the tools that own the formats. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { addTinyImage } from "../../test/disk/tiny-image.ts";
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { readGpt } from "../format/gpt/gpt.ts";
import { verityDigest } from "../format/verity/verity.ts";
import type { Host } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { openWorkstationStore } from "../store/workstation.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { applyDiskPlan, type DiskResult } from "./apply.ts";
import { readDiskFacts } from "./image-facts.ts";
import { planLayout } from "./layout.ts";
import { type DiskPlan, planDisk } from "./plan.ts";
import type { DiskRequest } from "./request.ts";
import { createRawDisk, writeEsp } from "./write-disk.ts";

const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvb2JhcmJhemZvb2JhcmJhemZvb2JhcmJhemZvb2Jh me@here\n";
const request: DiskRequest = {
  type: "raw",
  sizeBytes: 2 ** 30,
  kargs: ["console=ttyS0"],
  rootAuthorizedKeys: KEY,
  users: [{ name: "ann", groups: ["sudo"], authorizedKeys: KEY }],
  hostname: "tiny",
  source: "registry.example.com/tiny:1",
  uuid: undefined,
};

let work: string;
let host: Host;
let store: Store;
let image: StoredImage;
let plan: DiskPlan;
let disk: DiskResult;

before(async () => {
  work = mkdtempSync(join(tmpdir(), "berth-disk-"));
  host = {
    ...createLinuxHost(),
    env: { ...process.env, BERTH_STORE: join(work, "store"), SOURCE_DATE_EPOCH: "1767323045" },
  };
  store = openWorkstationStore(host);
  image = await addTinyImage(store);
  ({ plan, disk } = await make(request, join(work, "out")));
});

after(() => {
  store?.[Symbol.dispose]();
  rmSync(work, { recursive: true });
});

async function make(
  wanted: DiskRequest,
  output: string,
  { replace } = { replace: true },
): Promise<{ plan: DiskPlan; disk: DiskResult }> {
  const facts = await readDiskFacts(host, store, image);
  const plan = planDisk("tiny", wanted, facts);
  const options = {
    store,
    image,
    request: wanted,
    shell: facts.shell,
    output,
    replace,
    progress: silent,
    signal: AbortSignal.timeout(120_000),
  };
  return { plan, disk: await applyDiskPlan(host, plan, options) };
}

function root(): string {
  return `${disk.path}?offset=${plan.layout.root.offsetBytes}`;
}

function debugfs(command: string): string {
  return execFileSync("debugfs", ["-R", command, root()], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 2 ** 28,
  });
}

function esp(): string {
  return `${disk.path}@@${plan.layout.esp.offsetBytes}`;
}

function objectsOnDisk(): string[] {
  const fans = debugfs("ls -p /composefs/objects").matchAll(/^\/\d+\/\d+\/\d+\/\d+\/([0-9a-f]{2})\//gm);
  return [...fans].flatMap(([, fan]) =>
    [...debugfs(`ls -p /composefs/objects/${fan}`).matchAll(/\/([0-9a-f]{126})\//g)].map(
      ([, rest]) => `${fan}/${rest}`,
    ),
  );
}

test("the partition table passes sfdisk and sgdisk and reads back as planned", () => {
  assert.match(execFileSync("sfdisk", ["--verify", disk.path], { encoding: "utf8" }), /No errors detected/);
  assert.match(execFileSync("sgdisk", ["--verify", disk.path], { encoding: "utf8" }), /No problems found/);
  const start = Buffer.alloc(34 * 512);
  using file = host.files.open(disk.path, "read");
  file.read(start, 0);
  assert.deepEqual(readGpt(start), plan.layout.gpt);
});

test("the boot sector and the core image are GRUB's, and the table is not overwritten", () => {
  const start = Buffer.alloc(512);
  using file = host.files.open(disk.path, "read");
  file.read(start, 0);
  assert.ok(start.includes("GRUB"));
  assert.equal(start.readUInt16LE(510), 0xaa55);
  assert.equal(start.readBigUInt64LE(0x5c), 2048n);
});

test("the root passes e2fsck and has the planned UUID, label and the verity feature", () => {
  const check = spawnSync("e2fsck", ["-fn", root()], { encoding: "utf8" });
  assert.equal(check.status, 0, check.stdout);
  const header = execFileSync("dumpe2fs", ["-h", root()], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  assert.match(header, new RegExp(`Filesystem UUID:\\s+${plan.layout.root.uuid}`));
  assert.match(header, /Filesystem volume name:\s+root/);
  assert.match(header, /Filesystem features:.*\bverity\b/);
});

test("every object has the verity flag, its content under its digest, and a tail whose digest is its name", () => {
  const objects = objectsOnDisk();
  assert.ok(objects.length >= plan.objectCount, `${objects.length} objects`);
  const dump = join(work, "dump");
  for (const object of objects) {
    const stat = debugfs(`stat /composefs/objects/${object}`);
    assert.match(stat, /Flags: 0x180000/, object);
    const size = Number(/Size: (\d+)/.exec(stat)?.[1]);
    debugfs(`dump /composefs/objects/${object} ${dump}`);
    const content = readFileSync(dump);
    assert.equal(content.length, size);
    const id = object.replace("/", "");
    assert.equal(verityDigest(content, "sha512"), id);
    assert.equal(createHash("sha512").update(descriptorOf(stat)).digest("hex"), id, "the descriptor on the disk");
  }
});

/** The descriptor lies in the last block of the file's last extent. */
function descriptorOf(stat: string): Buffer {
  const lastExtent = stat.slice(stat.indexOf("EXTENTS:")).trim().split(", ").at(-1) ?? "";
  const block = Number(/(\d+)$/.exec(lastExtent)?.[1]);
  const bytes = Buffer.alloc(4096);
  using file = host.files.open(disk.path, "read");
  file.read(bytes, plan.layout.root.offsetBytes + block * 4096);
  assert.equal(bytes.readUInt32LE(4092), 256);
  return bytes.subarray(0, 256);
}

test("the image's link leads to an object, the deployment and its origin are there", () => {
  assert.match(debugfs(`stat /composefs/images/${plan.id}`), /Type: symlink[\s\S]*Size: 140\n/);
  assert.match(debugfs(`cat /state/deploy/${plan.id}/${plan.id}.origin`), /registry\.example\.com\/tiny:1/);
  assert.match(debugfs(`stat /state/deploy/${plan.id}/var`), /Type: symlink/);
  assert.match(debugfs("stat /composefs"), /Mode: {2}0700/);
});

test("users, keys and host name are in place with the right owners", () => {
  const etc = `/state/deploy/${plan.id}/etc`;
  assert.equal(debugfs(`cat ${etc}/hostname`), "tiny\n");
  assert.match(debugfs(`cat ${etc}/passwd`), /^ann:x:1000:1000::\/home\/ann:\/bin\/bash$/m);
  assert.equal(debugfs("cat /state/os/default/var/roothome/.ssh/authorized_keys"), KEY);
  const keys = debugfs("stat /state/os/default/var/home/ann/.ssh/authorized_keys");
  assert.match(keys, /Mode: {2}0600/);
  assert.match(keys, /User: {2}1000 {3}Group: {2}1000/);
});

test("the ESP holds both loaders' files and passes fsck.vfat", () => {
  const listing = execFileSync("mdir", ["-b", "-/", "-i", esp(), "::/"], { encoding: "utf8" });
  for (const path of [
    "EFI/BOOT/BOOTX64.EFI",
    "EFI/systemd/systemd-bootx64.efi",
    "loader/loader.conf",
    "loader/entries/grub.cfg",
    `EFI/Linux/bootc_composefs-${plan.id}/vmlinuz`,
  ]) {
    assert.ok(listing.includes(`::/${path}`), `${path} in ${listing}`);
  }
  const image = join(work, "esp.img");
  execFileSync("dd", [
    `if=${disk.path}`,
    `of=${image}`,
    "bs=1M",
    `skip=${plan.layout.esp.offsetBytes / 2 ** 20}`,
    `count=${plan.layout.esp.sizeBytes / 2 ** 20}`,
    "conv=sparse",
    "status=none",
  ]);
  execFileSync("fsck.vfat", ["-n", image]);
  rmSync(image);
});

test("the ESP of a large disk is FAT32 for mtools, too", async () => {
  const layout = planLayout({ sizeBytes: 64 * 2 ** 30, architecture: "amd64", identity: "large" });
  const path = join(work, "large.raw");
  const tree = join(work, "large");
  host.files.makeDirectory(`${tree}/loader`);
  host.files.write(`${tree}/loader/loader.conf`, "timeout 0\n");
  createRawDisk(host, path, layout);
  await writeEsp(host, path, {
    layout,
    tree,
    scratch: join(work, "scratch"),
    epoch: 1_767_323_045,
    signal: AbortSignal.timeout(60_000),
  });
  assert.equal(
    execFileSync("mtype", ["-i", `${path}@@${layout.esp.offsetBytes}`, "::/loader/loader.conf"], { encoding: "utf8" }),
    "timeout 0\n",
  );
  rmSync(path);
});

test("the same request gives the same bytes, and nothing else is left in the folder", async () => {
  const again = await make(request, textToByteName(join(work, "agäin")));
  execFileSync("cmp", [disk.path, byteNameToText(again.disk.path)]);
  assert.deepEqual(readdirSync(join(work, "agäin")), ["disk.raw"]);
});

test("while a disk is made no other is made in the same folder, and one that appeared meanwhile stays", async () => {
  const output = join(work, "shared");
  mkdirSync(output);
  {
    using _other = host.files.lock(textToByteName(output), "exclusive", { wait: false });
    await assert.rejects(make(request, output), (error) => isFailure(error, "busy") && /-o/.test(error.hint ?? ""));
  }
  writeFileSync(join(output, "disk.raw"), "theirs");
  await assert.rejects(make(request, output, { replace: false }), (error) => isFailure(error, "already-exists"));
  assert.deepEqual(readdirSync(output), ["disk.raw"]);
  assert.equal(readFileSync(join(output, "disk.raw"), "utf8"), "theirs");
});

test("a qcow2 disk holds the same bytes as the raw one", async () => {
  const { disk: qcow2 } = await make({ ...request, type: "qcow2" }, join(work, "qcow2"));
  execFileSync("qemu-img", ["compare", "-q", "-f", "raw", "-F", "qcow2", disk.path, qcow2.path]);
  assert.deepEqual(readdirSync(join(work, "qcow2")), ["disk.qcow2"]);
});

test("a damaged object in the store never reaches a disk, and no file is left", async () => {
  const victim = store.objectPath(verityDigest(Buffer.from("y".repeat(5000)), "sha512"));
  const good = readFileSync(victim);
  const bad = Buffer.from(good);
  bad[0] = (bad[0] ?? 0) ^ 1;
  host.files.write(victim, bad);
  try {
    await assert.rejects(make(request, join(work, "damaged")), (error) => isFailure(error, "corrupt"));
    assert.deepEqual(readdirSync(join(work, "damaged")), []);
  } finally {
    host.files.write(victim, good);
  }
});

test("an image that is not bootable is refused before anything is written", async () => {
  const cases: readonly (readonly [Parameters<typeof addTinyImage>[1], RegExp])[] = [
    [{ labels: {} }, /containers\.bootc=1/],
    [{ files: { "usr/lib/systemd/boot/efi/systemd-bootx64.efi": undefined } }, /systemd-bootx64\.efi/],
    [{ files: { "usr/lib/modules/6.1.0-tiny/initramfs.img": undefined } }, /initramfs/],
    [{ files: { "usr/lib/modules/6.1.0-tiny/vmlinuz": undefined } }, /vmlinuz/],
  ];
  for (const [options, message] of cases) {
    const other = await addTinyImage(store, options);
    await assert.rejects(readDiskFacts(host, store, other), message);
  }
  await addTinyImage(store);
});

test("too little space is told before anything is written", async () => {
  const full: Host = { ...host, files: { ...host.files, space: () => ({ freeBytes: 1000, totalBytes: 2 ** 40 }) } };
  const facts = await readDiskFacts(host, store, image);
  const output = join(work, "full");
  const options = {
    store,
    image,
    request,
    shell: facts.shell,
    output,
    replace: true,
    progress: silent,
    signal: AbortSignal.timeout(60_000),
  };
  await assert.rejects(applyDiskPlan(full, planDisk("tiny", request, facts), options), (error) =>
    isFailure(error, "no-space"),
  );
  assert.ok(!existsSync(output));
});
