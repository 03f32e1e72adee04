/**
 * startVm(), openVm(): a virtual machine as a value, for commands, tests and the tour.
 *
 * A machine belongs to its state directory, not to the process that started it: whoever opens it by name can enter and stop it.
 * Nothing here ends a process but the machine's own QEMU, checked by its pid file and command line just before.
 */
import { Failure } from "../core/failure.ts";
import type { ExecResult, Host } from "../host/host.ts";
import { asString } from "../core/json.ts";
import { detectAccelerator } from "./accelerator.ts";
import { consoleMark, consoleTail, consoleText } from "./console.ts";
import { detectFormat, launch } from "./launch.ts";
import { GUEST_SSH_PORT, type VmPaths } from "./qemu-argv.ts";
import { monitorCommand, parseForwards, runQmp } from "./qmp.ts";
import type { Accelerator, DirectKernel, Firmware, PortForward, VmSpec } from "./spec.ts";
import { quoteWord, sshArgv } from "./ssh.ts";
import { pathsOf, readVmSpec, runningPid } from "./state.ts";
import { type SshOptions, type WaitOptions, waitForSsh } from "./wait.ts";

export interface VmOptions {
  readonly name: string;
  /** Paths; the first is what boots. raw or qcow2, by their first bytes. */
  readonly disks: readonly string[];
  readonly memoryMib?: number;
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
export interface Vm extends AsyncDisposable {
  readonly name: string;
  readonly spec: VmSpec;
  readonly directory: string;
  /** undefined when it does not run. */
  pid(): number | undefined;
  /** The port on 127.0.0.1 that leads to the machine's sshd. */
  sshPort(): Promise<number>;
  /** Host port of each forwarded guest port. */
  forwards(): Promise<ReadonlyMap<number, number>>;
  /** Runs a command: a string for the remote shell, or words. */
  ssh(command: string | readonly string[], options: SshOptions): Promise<ExecResult>;
  /** Failure "check-failed" when the machine ends or the time is over first. */
  waitForSsh(options: WaitOptions): Promise<void>;
  waitForConsole(pattern: RegExp, options: { timeoutMs: number; since?: number }): Promise<RegExpExecArray>;
  waitForPowerOff(timeoutMs: number): Promise<void>;
  /** `systemctl reboot`, then ssh of the new boot. Returns the new boot id. */
  reboot(options: WaitOptions): Promise<string>;
  bootId(options: SshOptions): Promise<string>;
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
/** Saving writes all of the machine's memory. */
const SNAPSHOT_TIMEOUT_MS = 300_000;

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

export function createSpec(host: Host, options: VmOptions): VmSpec {
  const { directory } = pathsOf(host, options.name);
  const throwAway = options.throwAway ?? false;
  return {
    name: options.name,
    disks: options.disks.map((disk, index) => {
      const format = detectFormat(host, disk);
      const path = host.files.realpath(disk);
      return { path, format, overlay: throwAway ? `${directory}/disk${index}.qcow2` : undefined };
    }),
    memoryMib: options.memoryMib ?? 2048,
    cpus: options.cpus ?? 2,
    firmware: options.firmware ?? "uefi",
    kernel: options.kernel,
    accelerator: options.accelerator ?? detectAccelerator(host),
    ports: options.ports ?? [],
    throwAway,
  };
}

export function createVm(host: Host, spec: VmSpec, signal: AbortSignal): Vm {
  const { name } = spec;
  const paths = pathsOf(host, name);
  const pid = (): number | undefined => runningPid(host, name);
  const forwards = async (): Promise<ReadonlyMap<number, number>> =>
    parseForwards(await monitor(host, paths, { line: "info usernet", signal }));
  const sshPort = async (): Promise<number> => {
    requireRunning(host, name);
    const port = (await forwards()).get(GUEST_SSH_PORT);
    if (port === undefined) throw new Failure("io", `Cannot reach VM "${name}": QEMU forwards no port to its sshd`);
    return port;
  };
  const ssh = async (command: string | readonly string[], options: SshOptions): Promise<ExecResult> => {
    const line = typeof command === "string" ? command : command.map(quoteWord).join(" ");
    const argv = sshArgv({ port: await sshPort(), user: options.user ?? "root", key: options.key }, line);
    return host.exec(argv, {
      timeoutMs: options.timeoutMs,
      signal,
      ...(options.check !== undefined && { check: options.check }),
      ...(options.stdin !== undefined && { stdin: options.stdin }),
    });
  };
  const bootId = async (options: SshOptions): Promise<string> =>
    (await ssh("cat /proc/sys/kernel/random/boot_id", options)).stdout.toString("utf8").trim();
  const mark = (): number => consoleMark(host, paths);
  const wait = (options: WaitOptions): Promise<void> =>
    waitForSsh({ host, name, paths, sshPort, ssh, signal }, options);
  const waitForPowerOff = (timeoutMs: number): Promise<void> =>
    waitUntil(host, signal, { timeoutMs, what: `VM "${name}" to power off`, done: () => pid() === undefined });
  const kill = async (): Promise<void> => {
    const found = pid();
    if (found !== undefined) host.kill(found, "SIGKILL");
    await waitForPowerOff(10_000);
  };
  return {
    name,
    spec,
    directory: paths.directory,
    pid,
    sshPort,
    forwards,
    ssh,
    bootId,
    mark,
    waitForSsh: wait,
    waitForPowerOff,
    kill,
    console: (since = 0) => consoleText(host, paths, since),
    waitForConsole: (pattern, options) => waitForConsole(host, { name, paths, pattern, signal, ...options }),
    reboot: async (options) => {
      const login = {
        timeoutMs: 30_000,
        ...(options.user !== undefined && { user: options.user }),
        ...(options.key !== undefined && { key: options.key }),
      };
      const before = await bootId(login);
      const since = mark();
      await ssh("systemctl reboot", { ...login, check: false });
      let after = before;
      await waitForSsh(
        { host, name, paths, sshPort, ssh, signal },
        {
          ...options,
          since,
          accept: async () => {
            after = await bootId(login);
            return after !== before;
          },
        },
      );
      return after;
    },
    powerOff: async (timeoutMs) => {
      if (pid() === undefined) return;
      await runQmp(host, paths.qmp, { timeoutMs: QMP_TIMEOUT_MS, signal, commands: [{ execute: "system_powerdown" }] });
      await waitForPowerOff(timeoutMs);
    },
    snapshot: async (tag) => {
      requireSnapshots(spec);
      await monitorQuietly(host, paths, { line: `savevm ${checkTag(tag)}`, signal });
    },
    restore: async (tag) => {
      requireSnapshots(spec);
      if (pid() === undefined) await launch(host, spec, { paths, signal, loadSnapshot: checkTag(tag) });
      else await monitorQuietly(host, paths, { line: `loadvm ${checkTag(tag)}`, signal });
    },
    start: (options = {}) => launch(host, spec, { paths, signal, ...options }),
    async [Symbol.asyncDispose]() {
      await kill();
      if (spec.throwAway) removeVm(host, name);
    },
  };
}

function requireRunning(host: Host, name: string): void {
  if (runningPid(host, name) !== undefined) return;
  throw new Failure("not-found", `Cannot reach VM "${name}": it is not running`, {
    hint: `berth vm run --name ${name}`,
  });
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

interface MonitorOptions {
  readonly line: string;
  readonly signal: AbortSignal;
}

async function monitor(host: Host, paths: VmPaths, options: MonitorOptions): Promise<string> {
  const [answer] = await runQmp(host, paths.qmp, {
    timeoutMs: SNAPSHOT_TIMEOUT_MS,
    signal: options.signal,
    commands: [monitorCommand(options.line)],
  });
  return asString(answer, "QMP answer");
}

/** For monitor commands that answer only to complain. */
async function monitorQuietly(host: Host, paths: VmPaths, options: MonitorOptions): Promise<void> {
  const complaint = (await monitor(host, paths, options)).trim();
  if (complaint !== "") throw new Failure("exec-failed", `Cannot run QEMU command "${options.line}": ${complaint}`);
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
