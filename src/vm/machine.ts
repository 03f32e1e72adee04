/**
 * startVm(), openVm(): a virtual machine as a value, for commands, tests and the tour.
 *
 * A machine belongs to its state directory, not to the process that started it: whoever opens it by name can enter and stop it.
 * Nothing here ends a process but the machine's own QEMU, checked by its pid file and command line just before.
 */
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { detectAccelerator } from "./accelerator.ts";
import { createAccess, type VmAccess } from "./access.ts";
import { consoleMark, consoleTail, consoleText } from "./console.ts";
import { detectFormat, launch } from "./launch.ts";
import { monitorQuietly } from "./monitor.ts";
import type { VmPaths } from "./qemu-argv.ts";
import { runQmp } from "./qmp.ts";
import type { Accelerator, DirectKernel, Firmware, PortForward, VmSpec } from "./spec.ts";
import { endSharedConnections } from "./ssh.ts";
import { pathsOf, readVmSpec, runningPid } from "./state.ts";

export interface VmOptions {
  readonly name: string;
  /** Paths; the first is what boots. raw or qcow2, by their first bytes. */
  readonly disks: readonly string[];
  readonly memoryMib?: number;
  /** DEFAULT_CPUS when absent. */
  readonly cpus?: number;
  readonly firmware?: Firmware;
  readonly kernel?: DirectKernel;
  readonly ports?: readonly PortForward[];
  /** Writes go to an overlay that ends with the machine. */
  readonly throwAway?: boolean;
  /** Detected when absent. */
  readonly accelerator?: Accelerator;
  readonly signal: AbortSignal;
}

/** Disposal kills what still runs and, for a throw-away machine, removes its state. */
export interface Vm extends VmAccess, AsyncDisposable {
  readonly name: string;
  readonly spec: VmSpec;
  readonly directory: string;
  /** undefined when it does not run. */
  pid(): number | undefined;
  waitForConsole(pattern: RegExp, options: { timeoutMs: number; since?: number }): Promise<RegExpExecArray>;
  waitForPowerOff(timeoutMs: number): Promise<void>;
  /** The console so far, or since a mark. */
  console(since?: number): string;
  mark(): number;
  /** The power button, then waits. */
  powerOff(timeoutMs: number): Promise<void>;
  /** SIGKILL: what a power cut is. */
  kill(): Promise<void>;
  snapshot(tag: string): Promise<void>;
  restore(tag: string): Promise<void>;
  /** Starts it again after it ended. */
  start(options?: { loadSnapshot?: string }): Promise<void>;
}

const QMP_TIMEOUT_MS = 30_000;
/**
 * Emulated processors are threads that wait for each other, longest on a busy host: seen there were a kernel that panicked at boot and
 * firmware that did not come back from a reset. With one, two machines at once boot on two cores in three quarters of the time.
 */
const DEFAULT_CPUS: Readonly<Record<Accelerator, number>> = { kvm: 2, tcg: 1 };

export async function startVm(host: Host, options: VmOptions): Promise<Vm> {
  const vm = createVm(host, createSpec(host, options), options.signal);
  await vm.start();
  return vm;
}

/** A machine with a state directory, running or not. Failure "not-found". */
export function openVm(host: Host, name: string, signal: AbortSignal): Vm {
  const spec = readVmSpec(host, name);
  if (spec === undefined)
    throw new Failure("not-found", `Cannot find VM "${name}": there is none of this name`, { hint: "berth vm list" });
  return createVm(host, spec, signal);
}

/** Removes the state of a machine that does not run. Failure "busy" when it does. */
export function removeVm(host: Host, name: string): void {
  if (runningPid(host, name) !== undefined) {
    throw new Failure("busy", `Cannot remove VM "${name}": it is running`, { hint: `berth vm stop ${name}` });
  }
  host.files.remove(pathsOf(host, name).directory);
}

/** Failure "usage" for a disk that is named twice, and those of detectFormat(). */
export function createSpec(host: Host, options: VmOptions): VmSpec {
  const { directory } = pathsOf(host, options.name);
  const throwAway = options.throwAway ?? false;
  const disks = options.disks.map((disk, index) => {
    const format = detectFormat(host, disk, { boots: index === 0 && options.kernel === undefined });
    const path = host.files.realpath(disk);
    return { path, format, overlay: throwAway ? `${directory}/disk${index}.qcow2` : undefined };
  });
  const paths = disks.map(({ path }) => path);
  const twice = paths.find((path, index) => paths.indexOf(path) !== index);
  if (twice !== undefined)
    throw new Failure("usage", `Cannot use disk "${byteNameToText(twice)}" twice: wanted each disk once`);
  const accelerator = options.accelerator ?? detectAccelerator(host);
  return {
    name: options.name,
    disks,
    memoryMib: options.memoryMib ?? 2048,
    cpus: options.cpus ?? DEFAULT_CPUS[accelerator],
    firmware: options.firmware ?? "uefi",
    kernel: options.kernel,
    accelerator,
    ports: options.ports ?? [],
    throwAway,
  };
}

export function createVm(host: Host, spec: VmSpec, signal: AbortSignal): Vm {
  const { name } = spec;
  const paths = pathsOf(host, name);
  const pid = (): number | undefined => runningPid(host, name);
  const waitForPowerOff = (timeoutMs: number): Promise<void> =>
    waitUntil(host, signal, { timeoutMs, what: `VM "${name}" to power off`, done: () => pid() === undefined });
  const kill = async (): Promise<void> => {
    const found = pid();
    if (found !== undefined) host.kill(found, "SIGKILL");
    await waitForPowerOff(10_000);
  };
  return {
    ...createAccess(host, name, { paths, signal }),
    name,
    spec,
    directory: paths.directory,
    pid,
    waitForPowerOff,
    kill,
    mark: () => consoleMark(host, paths),
    console: (since = 0) => consoleText(host, paths, since),
    waitForConsole: (pattern, options) => waitForConsole(host, { name, paths, pattern, signal, ...options }),
    async powerOff(timeoutMs) {
      if (pid() === undefined) return;
      await runQmp(host, paths.qmp, { timeoutMs: QMP_TIMEOUT_MS, signal, commands: [{ execute: "system_powerdown" }] });
      await waitForPowerOff(timeoutMs);
    },
    async snapshot(tag) {
      requireSnapshots(spec);
      await monitorQuietly(host, paths.qmp, { line: `savevm ${checkTag(tag)}`, signal });
    },
    async restore(tag) {
      requireSnapshots(spec);
      if (pid() === undefined) return launch(host, spec, { paths, signal, loadSnapshot: checkTag(tag) });
      await endSharedConnections(host, paths.directory, { signal });
      await monitorQuietly(host, paths.qmp, { line: `loadvm ${checkTag(tag)}`, signal });
    },
    start: (options = {}) => launch(host, spec, { paths, signal, ...options }),
    async [Symbol.asyncDispose]() {
      await kill();
      if (spec.throwAway) removeVm(host, name);
    },
  };
}

/** Snapshots live in qcow2: every disk that the machine writes to must be one. */
function requireSnapshots(spec: VmSpec): void {
  const raw = spec.disks.find((disk) => disk.overlay === undefined && disk.format === "raw");
  if (raw === undefined) return;
  throw new Failure("unsupported", `Cannot snapshot VM "${spec.name}": it writes to the raw disk "${raw.path}"`, {
    hint: "start it with --snapshot, or make the disk with --type qcow2",
  });
}

function checkTag(tag: string): string {
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,31}$/.test(tag)) {
    throw new Failure(
      "usage",
      `Cannot name a snapshot ${JSON.stringify(tag)}: wanted a letter, then letters, digits, _ and -, at most 32`,
    );
  }
  return tag;
}

async function waitForConsole(
  host: Host,
  options: { name: string; paths: VmPaths; pattern: RegExp; timeoutMs: number; since?: number; signal: AbortSignal },
): Promise<RegExpExecArray> {
  let found: RegExpExecArray | null = null;
  let ended = false;
  await waitUntil(host, options.signal, {
    timeoutMs: options.timeoutMs,
    what: `console of VM "${options.name}" to show ${options.pattern}`,
    tail: () => consoleText(host, options.paths, options.since),
    done: () => {
      // Asked in this order, a line written just before the end is not missed.
      ended = runningPid(host, options.name) === undefined;
      found = options.pattern.exec(consoleText(host, options.paths, options.since));
      return found !== null || ended;
    },
  });
  if (found === null)
    throw new Failure("check-failed", `Cannot wait for ${options.pattern} on VM "${options.name}": it ended`);
  return found;
}

async function waitUntil(
  host: Pick<Host, "clock">,
  signal: AbortSignal,
  options: { timeoutMs: number; what: string; done: () => boolean; tail?: () => string },
): Promise<void> {
  const startedMs = host.clock.elapsed();
  while (!options.done()) {
    if (host.clock.elapsed() - startedMs > options.timeoutMs) {
      const tail = options.tail === undefined ? "" : `; it shows: ${consoleTail(options.tail())}`;
      throw new Failure(
        "check-failed",
        `Cannot wait longer for ${options.what}: ${options.timeoutMs / 1000} s are over${tail}`,
      );
    }
    await host.clock.sleep(200, signal);
  }
}
