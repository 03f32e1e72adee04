/** A root file system of everything that a staged tree can hold, read back by debugfs and e2fsck. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { type DiskLayout, planLayout } from "./layout.ts";
import { createRawDisk } from "./write-disk.ts";
import { writeRoot } from "./write-root.ts";

const host = createLinuxHost();
const EPOCH = 1_767_323_045;
let work: string;
let layout: DiskLayout;
let disk: string;

before(async () => {
  work = mkdtempSync(join(tmpdir(), "berth-root-"));
  const tree = join(work, "tree");
  mkdirSync(join(tree, "composefs/objects"), { recursive: true });
  mkdirSync(join(tree, "etc/a b"), { recursive: true });
  writeFileSync(join(tree, "etc/a b/<5>"), "odd name");
  writeFileSync(join(tree, "etc/suid"), "x");
  writeFileSync(join(tree, "etc/Főtanúsítvány"), "y");
  writeFileSync(join(tree, "etc/sparse"), "");
  host.files.truncate(join(tree, "etc/sparse"), 50 * 2 ** 20);
  symlinkSync("x".repeat(1000), join(tree, "etc/long-link"));
  host.files.chown(join(tree, "etc/suid"), 70_000, 65_534);
  host.files.setXattr(
    join(tree, "etc/suid"),
    "system.posix_acl_access",
    acl([
      [0x01, 7, -1],
      [0x02, 4, 1],
      [0x04, 5, -1],
      [0x10, 5, -1],
      [0x20, 5, -1],
    ]),
  );
  host.files.chmod(join(tree, "etc/suid"), 0o6755);
  host.files.setXattr(join(tree, "etc/suid"), "user.note", Buffer.from("text"));
  host.files.setXattr(
    join(tree, "etc/suid"),
    "security.capability",
    Buffer.from("0100000200040000000000000000000000000000", "hex"),
  );
  host.files.link(join(tree, "etc/suid"), join(tree, "etc/twin"));
  host.files.makeNode(join(tree, "etc/null"), "char", 0o666, (1 << 8) | 3);
  host.files.makeNode(join(tree, "etc/pipe"), "fifo", 0o600, 0);
  host.files.setTimes(join(tree, "etc/a b"), 1_000_000, 0);
  layout = planLayout({ sizeBytes: 2 ** 30, architecture: "amd64", identity: "everything" });
  disk = join(work, "disk.raw");
  createRawDisk(host, disk, layout);
  const scratch = join(work, "scratch");
  mkdirSync(scratch);
  await writeRoot(host, disk, {
    layout,
    tree,
    scratch,
    objects: "/composefs/objects",
    algorithm: "sha512",
    epoch: EPOCH,
    progress: silent,
    signal: AbortSignal.timeout(60_000),
  });
});

after(() => {
  rmSync(work, { recursive: true });
});

/** As the kernel takes it: version 2, then tag, permissions and id of each entry. */
function acl(entries: readonly (readonly [tag: number, permissions: number, id: number])[]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2);
  for (const [index, [tag, permissions, id]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * index);
    bytes.writeUInt16LE(permissions, 6 + 8 * index);
    bytes.writeInt32LE(id, 8 + 8 * index);
  }
  return bytes;
}

function debugfs(command: string): string {
  const argv = ["-R", command, `${disk}?offset=${layout.root.offsetBytes}`];
  return execFileSync("debugfs", argv, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}

test("e2fsck finds nothing to mend", () => {
  const check = spawnSync("e2fsck", ["-fn", `${disk}?offset=${layout.root.offsetBytes}`], { encoding: "utf8" });
  assert.equal(check.status, 0, check.stdout);
});

test("owners beyond 16 bits, set-id bits, hard links and attributes are kept", () => {
  const stat = debugfs("stat /etc/suid");
  assert.match(stat, /Mode: {2}06755/);
  assert.match(stat, /User: 70000 {3}Group: 65534/);
  assert.match(stat, /Links: 2/);
  assert.equal(debugfs("stat /etc/twin"), stat);
  assert.match(debugfs("ea_get /etc/suid user.note"), /text/);
  assert.match(debugfs("ea_get -x /etc/suid security.capability"), /01 ?00 ?00 ?02 ?00 ?04/);
  assert.match(debugfs("ea_list /etc/suid"), /system\.posix_acl_access/);
});

test("devices, pipes, long links, sparse files and odd names are kept", () => {
  assert.match(debugfs("stat /etc/null"), /Type: character special[\s\S]*Mode: {2}0666[\s\S]*01:03/);
  assert.match(debugfs("stat /etc/pipe"), /Type: FIFO[\s\S]*Mode: {2}0600/);
  assert.match(debugfs("stat /etc/long-link"), /Type: symlink[\s\S]*Size: 1000/);
  assert.match(debugfs("stat /etc/sparse"), /Size: 52428800[\s\S]*Blockcount: 0\n/);
  assert.equal(debugfs('cat "/etc/a b/<5>"'), "odd name");
  assert.equal(debugfs("cat /etc/Főtanúsítvány"), "y");
});

test("older times stay, newer ones become the disk's", () => {
  assert.match(debugfs('stat "/etc/a b"'), /mtime: 0x000f4240/);
  assert.match(debugfs("stat /etc/suid"), new RegExp(`mtime: 0x${EPOCH.toString(16)}`));
  assert.match(debugfs("stat /"), new RegExp(`ctime: 0x${EPOCH.toString(16)}[\\s\\S]*mtime: 0x${EPOCH.toString(16)}`));
});
