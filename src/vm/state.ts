/**
 * State of the machines: one directory each under <state>/vm, named like the machine. A machine runs when the process of its pid file
 * is a QEMU that was started with that very pid file; everything else is left over from a process that is gone.
 */
import { Failure, isFailure } from "../core/failure.ts";
import { textToByteName } from "../core/bytes.ts";
import type { Host } from "../host/host.ts";
import { type VmPaths, vmPaths } from "./qemu-argv.ts";
import { parseVmName, parseVmSpec, type VmSpec } from "./spec.ts";

type World = Pick<Host, "files" | "env">;

const STATE = "/run/berth";
/** sun_path of a Unix socket, with its final NUL. */
const SOCKET_PATH_MAX = 108;

/** `BERTH_STATE` names another directory than /run/berth. */
export function vmsDirectory(host: Pick<Host, "env">): string {
  return `${textToByteName(host.env["BERTH_STATE"] ?? STATE)}/vm`;
}

/** Failure "usage" for a bad name, "unsupported" when the directory is too deep for a socket. */
export function pathsOf(host: Pick<Host, "env">, name: string): VmPaths {
  const paths = vmPaths(`${vmsDirectory(host)}/${parseVmName(name)}`);
  if (paths.console.length >= SOCKET_PATH_MAX) {
    throw new Failure(
      "unsupported",
      `Cannot keep a VM in "${paths.directory}": its sockets' paths would be longer than ${SOCKET_PATH_MAX - 1} bytes`,
      {
        hint: "set BERTH_STATE to a shorter path",
      },
    );
  }
  return paths;
}

/** undefined when there is no machine of this name. Failure "corrupt" for a damaged description. */
export function readVmSpec(host: World, name: string): VmSpec | undefined {
  const { spec } = pathsOf(host, name);
  const text = host.files.readTextIfAny(spec);
  if (text === undefined) return undefined;
  try {
    return parseVmSpec(text);
  } catch (cause) {
    throw new Failure("corrupt", `Cannot read VM "${name}": its description "${spec}" is damaged`, {
      cause,
      hint: `berth vm remove ${name}`,
    });
  }
}

/** Process id of the machine's QEMU, undefined when it does not run. */
export function runningPid(host: World, name: string): number | undefined {
  const { pid: pidFile } = pathsOf(host, name);
  const pid = Number(host.files.readTextIfAny(pidFile)?.trim() || Number.NaN);
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  const argv = readCommandLine(host, pid);
  const at = argv.indexOf("-pidfile");
  return at >= 0 && argv[at + 1] === pidFile ? pid : undefined;
}

export interface VmListing {
  readonly name: string;
  readonly running: boolean;
  readonly pid: number | undefined;
}

/** Every machine with a description that we may read, by name. */
export function listVms(host: World): readonly VmListing[] {
  const directory = vmsDirectory(host);
  const names = host.files.listIfAny(directory).filter((name) => mayRead(host, vmPaths(`${directory}/${name}`).spec));
  return names.map((name) => {
    const pid = runningPid(host, name);
    return { name, running: pid !== undefined, pid };
  });
}

/** The first of vm1, vm2, … that nobody's machine has. */
export function freeVmName(host: World): string {
  const taken = new Set(host.files.listIfAny(vmsDirectory(host)));
  for (let number = 1; ; number++) if (!taken.has(`vm${number}`)) return `vm${number}`;
}

/** Another user's machine is not ours to see. */
function mayRead(host: World, path: string): boolean {
  try {
    return host.files.exists(path);
  } catch (error) {
    if (isFailure(error, "denied")) return false;
    throw error;
  }
}

/** Empty for a process that is gone: a zombie has no command line either. */
function readCommandLine(host: World, pid: number): string[] {
  return (host.files.readTextIfAny(`/proc/${pid}/cmdline`) ?? "").split("\0");
}
