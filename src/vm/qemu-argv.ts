/**
 * qemuArgv(): a VmSpec as QEMU's command line. Pure; every machine gets the same devices in the same order, which is what lets a
 * snapshot be loaded by a later process.
 *
 * The serial port is a socket (for a console) that QEMU also logs to a file; QMP is a socket; the network is QEMU's own user network
 * with ports forwarded from 127.0.0.1 only. The host is 10.0.2.2 for the guest.
 *
 * @see qemu(1)
 */
import type { VmDisk, VmSpec } from "./spec.ts";

export const GUEST_SSH_PORT = 22;

/** Files of one machine in its state directory. */
export interface VmPaths {
  readonly directory: string;
  readonly spec: string;
  readonly pid: string;
  readonly qmp: string;
  readonly console: string;
  readonly consoleLog: string;
  readonly variables: string;
}

/** Serial ATA, SMBus and a PS/2 keyboard, which nobody uses here, cost each boot the loading of their drivers. */
const MACHINE = "q35,sata=off,smbus=off,i8042=off";

/**
 * All that QEMU emulates but what is slow there or for nothing. Programs that find wide vector and SHA instructions use them, and each is a
 * call into QEMU, several times slower than what they replace (sha256: 9 against 40 MB/s). Where strings are said to be fast (erms), the
 * kernel clears and copies memory by single bytes (a file written to memory: 20 against 58 MB/s). smap ends a translation block at each
 * copy to or from a program, la57 is one more level in each page walk, svm loads KVM.
 */
const EMULATED_CPU = [
  "max",
  ...["avx", "avx2", "fma", "f16c", "sha-ni", "erms", "smap", "la57", "svm"].map((feature) => `${feature}=off`),
].join(",");

export function vmPaths(directory: string): VmPaths {
  return {
    directory,
    spec: `${directory}/vm.json`,
    pid: `${directory}/qemu.pid`,
    qmp: `${directory}/qmp.sock`,
    console: `${directory}/console.sock`,
    consoleLog: `${directory}/console.log`,
    variables: `${directory}/vars.qcow2`,
  };
}

export interface ArgvOptions {
  readonly program: string;
  readonly paths: VmPaths;
  /** Firmware code, for UEFI. */
  readonly firmwareCode: string;
  /** Name of the snapshot to start from. */
  readonly loadSnapshot?: string;
}

export function qemuArgv(spec: VmSpec, options: ArgvOptions): readonly string[] {
  const { paths } = options;
  return [
    options.program,
    "-name",
    `guest=${spec.name}`,
    "-machine",
    MACHINE,
    ...(spec.accelerator === "kvm"
      ? ["-accel", "kvm", "-cpu", "host"]
      : ["-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU]),
    "-smp",
    String(spec.cpus),
    "-m",
    String(spec.memoryMib),
    "-display",
    "none",
    "-no-user-config",
    "-nodefaults",
    "-chardev",
    `socket,id=console,path=${escape(paths.console)},server=on,wait=off,logfile=${escape(paths.consoleLog)},logappend=off`,
    "-serial",
    "chardev:console",
    "-qmp",
    `unix:${escape(paths.qmp)},server=on,wait=off`,
    "-device",
    "virtio-rng-pci",
    ...firmware(spec, options),
    ...spec.disks.flatMap((disk, index) => drive(disk, index, spec.throwAway)),
    "-netdev",
    ["user,id=net0", ...[{ hostPort: 0, guestPort: GUEST_SSH_PORT }, ...spec.ports].map(forward)].join(","),
    // Without its ROM the card offers no network boot, which firmware would try for minutes on a disk that does not boot.
    "-device",
    "virtio-net-pci,netdev=net0,romfile=",
    ...(spec.kernel === undefined
      ? []
      : ["-kernel", spec.kernel.kernel, "-initrd", spec.kernel.initrd, "-append", spec.kernel.commandLine]),
    ...(options.loadSnapshot === undefined ? [] : ["-loadvm", options.loadSnapshot]),
    "-pidfile",
    paths.pid,
    "-daemonize",
  ];
}

function firmware(spec: VmSpec, options: ArgvOptions): readonly string[] {
  if (spec.firmware === "bios" || spec.kernel !== undefined) return [];
  return [
    "-drive",
    `if=pflash,format=raw,unit=0,readonly=on,file=${escape(options.firmwareCode)}`,
    "-drive",
    `if=pflash,format=qcow2,unit=1,file=${escape(options.paths.variables)}`,
  ];
}

function drive(disk: VmDisk, index: number, throwAway: boolean): readonly string[] {
  const file = escape(disk.overlay ?? disk.path);
  const format = disk.overlay === undefined ? disk.format : "qcow2";
  const cache = throwAway ? "unsafe" : "writeback";
  return [
    "-drive",
    `if=none,id=disk${index},format=${format},file=${file},cache=${cache},discard=unmap`,
    "-device",
    `virtio-blk-pci,drive=disk${index},bootindex=${index + 1}`,
  ];
}

function forward(port: { readonly hostPort: number; readonly guestPort: number }): string {
  return `hostfwd=tcp:127.0.0.1:${port.hostPort}-:${port.guestPort}`;
}

/** A comma ends an option's value unless doubled. */
function escape(value: string): string {
  return value.replaceAll(",", ",,");
}
