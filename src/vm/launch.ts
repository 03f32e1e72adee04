/**
 * Starting QEMU: the state directory made ready (description, firmware variables, overlays), then one QEMU that daemonises once its
 * devices are up, so that what is wrong with them comes back as an error here.
 */
import { byteNameToText } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { lockAlone } from "../host/lock-alone.ts";
import { qemuArgv, type VmPaths } from "./qemu-argv.ts";
import type { DiskFormat, VmSpec } from "./spec.ts";
import { formatVmSpec } from "./spec.ts";
import { endSharedConnections } from "./ssh.ts";
import { runningPid } from "./state.ts";

const PROGRAM = "qemu-system-x86_64";
const FIRMWARE_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const FIRMWARE_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd";
const START_TIMEOUT_MS = 60_000;

export interface LaunchOptions {
  readonly signal: AbortSignal;
  /** Starts from this snapshot, on the overlays that are there. */
  readonly loadSnapshot?: string;
}

/**
 * Starts the machine. Failure "already-exists" when it runs, "busy" when it is being started or a disk is in use, "missing-tool" without
 * QEMU. One that did not start leaves the machine's description as it was, and no machine where there was none.
 */
export async function launch(host: Host, spec: VmSpec, options: LaunchOptions & { paths: VmPaths }): Promise<void> {
  const { paths } = options;
  const tools = findTools(host, spec);
  host.files.makeDirectory(paths.directory, { mode: 0o700 });
  const starting = `Cannot start VM "${spec.name}": it is just being started`;
  using _lock = lockAlone(host.files, paths.directory, starting, "berth vm list");
  if (runningPid(host, spec.name) !== undefined) {
    throw new Failure("already-exists", `Cannot start VM "${spec.name}": it is running`, {
      hint: `berth vm stop ${spec.name}`,
    });
  }
  const before = host.files.readTextIfAny(paths.spec);
  try {
    await startQemu(host, spec, { ...options, tools });
  } catch (error) {
    if (before === undefined) host.files.remove(paths.directory);
    else host.files.replace(paths.spec, before, { mode: 0o600 });
    throw error;
  }
}

interface Tools {
  readonly qemu: string;
  readonly image: string;
}

async function startQemu(
  host: Host,
  spec: VmSpec,
  options: LaunchOptions & { paths: VmPaths; tools: Tools },
): Promise<void> {
  const { paths, tools } = options;
  await endSharedConnections(host, paths.directory, options);
  for (const stale of [paths.pid, paths.qmp, paths.console]) host.files.remove(stale);
  host.files.replace(paths.spec, formatVmSpec(spec), { mode: 0o600 });
  await makeVariables(host, spec, { paths, image: tools.image, signal: options.signal });
  if (options.loadSnapshot === undefined)
    await makeOverlays(host, spec, { image: tools.image, signal: options.signal });
  const argv = qemuArgv(spec, {
    program: tools.qemu,
    paths,
    firmwareCode: FIRMWARE_CODE,
    ...(options.loadSnapshot !== undefined && { loadSnapshot: options.loadSnapshot }),
  });
  const result = await host.exec(argv.map(byteNameToText), {
    timeoutMs: START_TIMEOUT_MS,
    signal: options.signal,
    check: false,
  });
  if (result.exitCode !== 0) throw startFailure(spec, result.stderr.toString("utf8"));
}

/** What a machine needs on this host. Failure "missing-tool". */
function findTools(host: Pick<Host, "which" | "files" | "architecture">, spec: VmSpec): Tools {
  if (host.architecture !== "amd64")
    throw new Failure("unsupported", `Cannot run a VM on ${host.architecture}: amd64 hosts only`);
  const qemu = host.which(PROGRAM);
  if (qemu === undefined)
    throw new Failure("missing-tool", `Cannot run a VM: ${PROGRAM} not found`, {
      hint: "apt-get install qemu-system-x86",
    });
  const image = host.which("qemu-img");
  if (image === undefined)
    throw new Failure("missing-tool", "Cannot run a VM: qemu-img not found", { hint: "apt-get install qemu-utils" });
  if (spec.firmware === "uefi" && !(host.files.exists(FIRMWARE_CODE) && host.files.exists(FIRMWARE_VARIABLES))) {
    throw new Failure("missing-tool", `Cannot run a VM by UEFI: no firmware at ${FIRMWARE_CODE}`, {
      hint: "apt-get install ovmf, or use --bios",
    });
  }
  return { qemu, image };
}

interface ImageTool {
  readonly image: string;
  readonly signal: AbortSignal;
}

/** The machine's own NVRAM, kept over its restarts; qcow2 because a snapshot covers it, too. */
async function makeVariables(host: Host, spec: VmSpec, options: ImageTool & { paths: VmPaths }): Promise<void> {
  const { variables } = options.paths;
  if (spec.firmware !== "uefi" || host.files.exists(variables)) return;
  const partial = `${variables}.new`;
  await runImageTool(host, ["convert", "-f", "raw", "-O", "qcow2", FIRMWARE_VARIABLES, partial], options);
  host.files.rename(partial, variables);
}

/** A throw-away machine starts from the disks as they are: what it wrote last time is gone. */
async function makeOverlays(host: Host, spec: VmSpec, options: ImageTool): Promise<void> {
  for (const disk of spec.disks) {
    if (disk.overlay === undefined) continue;
    host.files.remove(disk.overlay);
    await runImageTool(
      host,
      ["create", "-q", "-f", "qcow2", "-F", disk.format, "-b", disk.path, disk.overlay],
      options,
    );
  }
}

async function runImageTool(host: Host, words: readonly string[], options: ImageTool): Promise<void> {
  await host.exec([options.image, ...words].map(byteNameToText), {
    timeoutMs: START_TIMEOUT_MS,
    signal: options.signal,
  });
}

/** Where a boot sector, a partition table or a file system would begin. */
const START_BYTES = 64 * 1024;

/**
 * By its first bytes. QEMU never guesses: a guest could write a qcow2 header into its raw disk. Failure "not-found", or "bad-input" for
 * what is no disk, is empty, or is to boot (`boots`) and holds nothing.
 */
export function detectFormat(host: Pick<Host, "files">, path: string, { boots }: { boots: boolean }): DiskFormat {
  const cannot = `Cannot use disk "${byteNameToText(path)}"`;
  const kind = host.files.stat(path)?.kind ?? "file";
  if (kind !== "file" && kind !== "block")
    throw new Failure("bad-input", `${cannot}: it is neither a file nor a block device`);
  const start = Buffer.alloc(START_BYTES);
  let count: number;
  try {
    using disk = host.files.open(path, "read");
    count = disk.read(start, 0);
  } catch (error) {
    if (isFailure(error, "not-found")) throw new Failure("not-found", `${cannot}: there is no such file`);
    throw error;
  }
  const hint = "berth disk makes one that boots";
  if (count === 0) throw new Failure("bad-input", `${cannot}: it is empty, wanted a disk image`, { hint });
  if (boots && start.every((byte) => byte === 0))
    throw new Failure("bad-input", `${cannot}: it begins with zeros, wanted a disk that boots`, { hint });
  return start.subarray(0, 4).equals(Buffer.from("QFI\xfb", "latin1")) ? "qcow2" : "raw";
}

function startFailure(spec: VmSpec, stderr: string): Failure {
  const reason = stderr
    .trim()
    .split("\n")
    .filter((line) => !line.includes("warning:"))
    .join(" | ")
    .slice(-600);
  if (/Failed to get (?:shared )?"?write"? lock/.test(stderr)) {
    return new Failure("busy", `Cannot start VM "${spec.name}": one of its disks is in use by another VM`, {
      hint: "berth vm list",
      cause: new Error(reason),
    });
  }
  if (/Could not set up host forwarding rule/.test(stderr)) {
    return new Failure("busy", `Cannot start VM "${spec.name}": a port to forward is in use`, {
      cause: new Error(reason),
    });
  }
  return new Failure("exec-failed", `Cannot start VM "${spec.name}": QEMU says: ${reason}`);
}
