import assert from "node:assert/strict";
import { test } from "node:test";
import { qemuArgv, vmPaths } from "./qemu-argv.ts";
import type { VmSpec } from "./spec.ts";

const spec: VmSpec = {
  name: "web",
  memoryMib: 2048,
  cpus: 2,
  firmware: "uefi",
  kernel: undefined,
  accelerator: "tcg",
  throwAway: false,
  ports: [{ hostPort: 8080, guestPort: 80 }],
  disks: [
    { path: "/d/a,b.raw", format: "raw", overlay: undefined },
    { path: "/d/c.qcow2", format: "qcow2", overlay: undefined },
  ],
};
const options = {
  program: "/usr/bin/qemu-system-x86_64",
  paths: vmPaths("/run/berth/vm/web"),
  firmwareCode: "/fw/code.fd",
};

const WANT = `\
/usr/bin/qemu-system-x86_64
-name guest=web
-machine q35,sata=off,smbus=off,i8042=off
-accel tcg,thread=multi
-cpu max,avx=off,avx2=off,fma=off,f16c=off,sha-ni=off,erms=off,smap=off,la57=off,svm=off
-smp 2
-m 2048
-display none
-no-user-config
-nodefaults
-chardev socket,id=console,path=/run/berth/vm/web/console.sock,server=on,wait=off,logfile=/run/berth/vm/web/console.log,logappend=off
-serial chardev:console
-qmp unix:/run/berth/vm/web/qmp.sock,server=on,wait=off
-device virtio-rng-pci
-drive if=pflash,format=raw,unit=0,readonly=on,file=/fw/code.fd
-drive if=pflash,format=qcow2,unit=1,file=/run/berth/vm/web/vars.qcow2
-drive if=none,id=disk0,format=raw,file=/d/a,,b.raw,cache=writeback,discard=unmap
-device virtio-blk-pci,drive=disk0,bootindex=1
-drive if=none,id=disk1,format=qcow2,file=/d/c.qcow2,cache=writeback,discard=unmap
-device virtio-blk-pci,drive=disk1,bootindex=2
-netdev user,id=net0,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:8080-:80
-device virtio-net-pci,netdev=net0,romfile=
-pidfile /run/berth/vm/web/qemu.pid
-daemonize`;

function lines(argv: readonly string[]): string {
  return argv.join(" ").replace(/ -(?=[a-z])/g, "\n-");
}

test("qemuArgv() of a UEFI machine", () => {
  assert.equal(lines(qemuArgv(spec, options)), WANT);
});

test("qemuArgv() of a throw-away BIOS machine writes to overlays and does not sync", () => {
  const disks = spec.disks.map((disk, i) => ({ ...disk, overlay: `/run/berth/vm/web/disk${i}.qcow2` }));
  const text = lines(
    qemuArgv(
      { ...spec, firmware: "bios", throwAway: true, disks, accelerator: "kvm" },
      { ...options, loadSnapshot: "ready" },
    ),
  );
  assert.ok(!text.includes("pflash"));
  assert.match(text, /-accel kvm\n-cpu host/);
  assert.match(text, /format=qcow2,file=\/run\/berth\/vm\/web\/disk0\.qcow2,cache=unsafe/);
  assert.match(text, /-loadvm ready/);
});

test("qemuArgv() of a kernel that QEMU loads itself needs no firmware", () => {
  const argv = qemuArgv({ ...spec, kernel: { kernel: "/k", initrd: "/i", commandLine: "console=ttyS0 a=b" } }, options);
  const at = argv.indexOf("-kernel");
  assert.deepEqual(argv.slice(at, at + 6), ["-kernel", "/k", "-initrd", "/i", "-append", "console=ttyS0 a=b"]);
  assert.ok(!argv.some((word) => word.includes("pflash")));
});
