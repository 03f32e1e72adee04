/**
 * VmSpec: what a virtual machine is made of, as kept in its state directory. JSON, so that another berth process can find, enter and
 * stop the machine.
 */
import { Failure } from "../core/failure.ts";
import { asArray, asCount, asObject, asString, optional, parseJsonObject } from "../core/json.ts";

export type Firmware = "uefi" | "bios";
export type Accelerator = "kvm" | "tcg";
export type DiskFormat = "raw" | "qcow2";

export interface VmDisk {
  /** Absolute. What the user named. */
  readonly path: string;
  readonly format: DiskFormat;
  /** Throw-away machines write here (qcow2 over `path`); undefined when the machine writes to `path` itself. */
  readonly overlay: string | undefined;
}

export interface PortForward {
  /** On 127.0.0.1; 0 picks a free one. */
  readonly hostPort: number;
  readonly guestPort: number;
}

/** A kernel that QEMU loads itself, without firmware or boot loader. */
export interface DirectKernel {
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
}

export interface VmSpec {
  readonly name: string;
  readonly disks: readonly VmDisk[];
  readonly memoryMib: number;
  readonly cpus: number;
  readonly firmware: Firmware;
  readonly kernel: DirectKernel | undefined;
  readonly accelerator: Accelerator;
  readonly ports: readonly PortForward[];
  /** Writes are thrown away with the machine, and need not survive a crash of the host. */
  readonly throwAway: boolean;
}

/** Failure "usage". */
export function parseVmName(text: string): string {
  if (!/^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/i.test(text)) {
    throw new Failure(
      "usage",
      `Cannot name a VM ${JSON.stringify(text)}: wanted letters, digits, and . _ - between them, at most 64`,
    );
  }
  return text;
}

/** `HOST:GUEST`. Failure "usage". */
export function parsePort(text: string): PortForward {
  const match = /^([0-9]{1,5}):([0-9]{1,5})$/.exec(text);
  const hostPort = Number(match?.[1] ?? Number.NaN);
  const guestPort = Number(match?.[2] ?? Number.NaN);
  if (!(hostPort >= 0 && hostPort <= 65535 && guestPort >= 1 && guestPort <= 65535)) {
    throw new Failure("usage", `Cannot forward port ${JSON.stringify(text)}: wanted HOST:GUEST, e.g. 8080:80`);
  }
  return { hostPort, guestPort };
}

/** MiB of `2048`, `2048M`, `2G`. Failure "usage". */
export function parseMemory(text: string): number {
  const match = /^([1-9][0-9]{0,7})([MG]?)(?:i?B)?$/i.exec(text);
  const memoryMib = Number(match?.[1] ?? Number.NaN) * (match?.[2]?.toUpperCase() === "G" ? 1024 : 1);
  if (!(memoryMib >= 64))
    throw new Failure("usage", `Cannot give a VM memory ${JSON.stringify(text)}: wanted MiB or e.g. 2G, at least 64`);
  return memoryMib;
}

/** Failure "usage". */
export function parseCpus(text: string): number {
  if (!/^[1-9][0-9]{0,2}$/.test(text))
    throw new Failure("usage", `Cannot give a VM ${JSON.stringify(text)} CPUs: wanted 1 to 999`);
  return Number(text);
}

export function formatVmSpec(spec: VmSpec): string {
  return `${JSON.stringify(spec, undefined, 2)}\n`;
}

/** Throws SyntaxError naming the field. */
export function parseVmSpec(text: string): VmSpec {
  const object = parseJsonObject(text, "vm.json");
  return {
    name: asString(object["name"], "vm.json.name"),
    disks: asArray(object["disks"], "vm.json.disks").map(parseDisk),
    memoryMib: asCount(object["memoryMib"], "vm.json.memoryMib"),
    cpus: asCount(object["cpus"], "vm.json.cpus"),
    firmware: oneOf(object["firmware"], ["uefi", "bios"], "vm.json.firmware"),
    kernel: optional(object["kernel"], "vm.json.kernel", parseKernel),
    accelerator: oneOf(object["accelerator"], ["kvm", "tcg"], "vm.json.accelerator"),
    ports: asArray(object["ports"], "vm.json.ports").map((value, i) => {
      const port = asObject(value, `vm.json.ports[${i}]`);
      return {
        hostPort: asCount(port["hostPort"], `vm.json.ports[${i}].hostPort`),
        guestPort: asCount(port["guestPort"], `vm.json.ports[${i}].guestPort`),
      };
    }),
    throwAway: object["throwAway"] === true,
  };
}

function parseDisk(value: unknown, index: number): VmDisk {
  const what = `vm.json.disks[${index}]`;
  const disk = asObject(value, what);
  return {
    path: asString(disk["path"], `${what}.path`),
    format: oneOf(disk["format"], ["raw", "qcow2"], `${what}.format`),
    overlay: optional(disk["overlay"], `${what}.overlay`, asString),
  };
}

function parseKernel(value: unknown, what: string): DirectKernel {
  const kernel = asObject(value, what);
  return {
    kernel: asString(kernel["kernel"], `${what}.kernel`),
    initrd: asString(kernel["initrd"], `${what}.initrd`),
    commandLine: asString(kernel["commandLine"], `${what}.commandLine`),
  };
}

function oneOf<Choice extends string>(value: unknown, choices: readonly Choice[], what: string): Choice {
  const found = choices.find((choice) => choice === value);
  if (found === undefined)
    throw new SyntaxError(`Cannot read ${what}: it is ${JSON.stringify(value)}, wanted ${choices.join(" or ")}`);
  return found;
}
