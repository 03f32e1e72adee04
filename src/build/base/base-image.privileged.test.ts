/**
 * Builds Debian 12 for real, into the store that the other tests of this tier share: from the cache when the packages, the program
 * and the mirror are those of an earlier build, and then once more without it, which must give the same bytes.
 */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { silent } from "../../core/progress.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import type { Directory, Node } from "../../tree/node.ts";
import { type BaseRequest, type BuiltBase, buildBase } from "./base-image.ts";
import { findSuite } from "./suites.ts";

const host = createLinuxHost();
const REQUEST: BaseRequest = {
  suite: findSuite("bookworm"),
  name: "localhost/debian-bootc:12",
  packages: [],
  kernel: "generic",
  useCache: true,
};

async function build(request: BaseRequest): Promise<BuiltBase> {
  using store = openWorkstationStore(host);
  return await buildBase({ host, store, progress: silent }, request);
}

let built: BuiltBase;
let tree: Directory;
before(async () => {
  built = await build(REQUEST);
  using store = openWorkstationStore(host);
  const image = store.image(built.name);
  assert.ok(image);
  tree = store.readTree(image.config.rootfs.diff_ids);
});

function at(path: string): Node | undefined {
  let node: Node | undefined = tree;
  for (const name of path.split("/")) {
    node = node?.kind === "directory" ? [...node.children].find(([child]) => child === name)?.[1] : undefined;
  }
  return node;
}

function names(path: string): string[] {
  const node = at(path);
  assert.ok(node?.kind === "directory", `${path} is a directory`);
  return [...node.children.keys()];
}

function target(path: string): string | undefined {
  const node = at(path);
  return node?.kind === "symlink" ? node.target : undefined;
}

test("a base image has kernel, initramfs, boot loaders, berth and what its users need", () => {
  const files = [
    `usr/lib/modules/${built.kernelVersion}/vmlinuz`,
    `usr/lib/modules/${built.kernelVersion}/initramfs.img`,
    "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
    "usr/lib/grub/i386-pc/boot.img",
    "usr/bin/berth",
    "usr/sbin/sshd",
    "usr/bin/sudo",
    "usr/bin/fsverity",
    "usr/bin/busybox",
    "usr/lib/systemd/system/berth-finalize-staged.service",
    "usr/lib/dpkg-db/status",
  ];
  for (const path of files) assert.equal(at(path)?.kind, "file", path);
  assert.equal(target("usr/bin/bootc"), "berth");
  assert.match(built.kernelVersion, /^6\.1[2-9]/);
  assert.equal(names("usr/lib/modules").length, 1);
});

test("a base image is laid out for image mode", () => {
  const links = [
    "bin",
    "sbin",
    "lib",
    "lib64",
    "home",
    "root",
    "srv",
    "opt",
    "mnt",
    "media",
    "usr/local",
    "var/lib/dpkg",
  ];
  assert.deepEqual(Object.fromEntries(links.map((link) => [link, target(link)])), {
    bin: "usr/bin",
    sbin: "usr/sbin",
    lib: "usr/lib",
    lib64: "usr/lib64",
    home: "var/home",
    root: "var/roothome",
    srv: "var/srv",
    opt: "var/opt",
    mnt: "var/mnt",
    media: "var/media",
    "usr/local": "../var/usrlocal",
    "var/lib/dpkg": "../../usr/lib/dpkg-db",
  });
  for (const path of ["boot", "dev", "proc", "run", "sys", "sysroot", "tmp"]) assert.deepEqual(names(path), [], path);
});

test("a base image has nothing of the machine that made it", () => {
  for (const path of ["etc/hostname", "etc/resolv.conf", "var/lib/dbus/machine-id"])
    assert.equal(at(path), undefined, path);
  const machineId = at("etc/machine-id");
  assert.ok(machineId?.kind === "file" && machineId.size === 0);
  assert.deepEqual(
    names("etc/ssh").filter((name) => name.startsWith("ssh_host")),
    [],
  );
  assert.deepEqual(names("var/lib/apt/lists"), ["partial"]);
});

test("a base image starts network, SSH and its host keys, and no package manager's timers", () => {
  const wanted = names("etc/systemd/system/multi-user.target.wants");
  for (const unit of ["ssh.service", "ssh-host-keys.service", "systemd-networkd.service"])
    assert.ok(wanted.includes(unit), unit);
  assert.ok(!names("etc/systemd/system/timers.target.wants").some((name) => name.startsWith("apt-")));
  assert.equal(at("usr/lib/systemd/system/tmp.mount")?.kind, "file");
});

test("a base image says what it is", () => {
  using store = openWorkstationStore(host);
  const config = store.image(built.name)?.config.config;
  assert.equal(config?.Labels?.["containers.bootc"], "1");
  assert.match(config?.Labels?.["org.opencontainers.image.version"] ?? "", /^12\.20\d{6}\.0$/);
  assert.deepEqual(config?.Cmd, ["/sbin/init"]);
  assert.equal(config?.StopSignal, "SIGRTMIN+3");
});

test("two builds of the same packages give the same digest", async () => {
  const again = await build({ ...REQUEST, useCache: false });
  const digests = (base: BuiltBase): (readonly string[])[] => base.layers.map((layer) => [layer.name, layer.digest]);
  assert.deepEqual(digests(again), digests(built));
  assert.equal(again.digest, built.digest);
});
