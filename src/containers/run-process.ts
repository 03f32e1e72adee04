/**
 * runBundle(): one process in a container made of a mounted root file system, to its end: what the builder's RUN steps are.
 *
 * Nothing of the container stays in the root file system except what the process itself wrote: mount points that had to be made
 * are removed again.
 *
 * @see OCI runtime-spec config.md
 */
import { byteNameToText } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { Files, Host } from "../host/host.ts";
import { ociSpec, type SpecMount } from "./bundle.ts";
import { grantableCapabilities } from "./capabilities.ts";
import { crunArgv, crunError } from "./crun.ts";
import { leashed } from "./leash.ts";
import { makeMountPoints, type MountPoint } from "./mount-points.ts";
import { hostsFile, resolvConf } from "./name-files.ts";
import { closeNetwork, type ContainerNetwork, openNetwork } from "./network.ts";
import { resolveUser } from "./user.ts";

export interface BundleMount {
  readonly kind: "bind" | "tmpfs";
  /** Absolute path on the host; for `bind` only. */
  readonly source?: string;
  /** Absolute path in the container. Missing mount points are made, and removed afterwards. */
  readonly target: string;
  readonly readOnly?: boolean;
  /** For `tmpfs`. */
  readonly sizeBytes?: number;
  readonly mode?: number;
}

export interface RunBundleOptions {
  /** Absolute path of the root file system: a mount or directory that is writable (unless `readOnly`). */
  readonly rootfs: string;
  readonly args: readonly string[];
  /** `NAME=value`, as in an image config. PATH is added when it is missing. */
  readonly env: readonly string[];
  /** Absolute path in the container; made when missing. Default `/`. */
  readonly cwd?: string;
  /** `user[:group]`, names or numbers, as in an image config; resolved in the root file system. Default root. */
  readonly user?: string;
  readonly mounts?: readonly BundleMount[];
  /** private: own network that reaches the outside. host: the host's. none: loopback only. */
  readonly network: "private" | "host" | "none";
  readonly hostname?: string;
  readonly readOnly?: boolean;
  /** Default: closed (end of file at once). */
  readonly stdin?: Uint8Array | string;
  readonly onStdout?: (chunk: Uint8Array) => void;
  readonly onStderr?: (chunk: Uint8Array) => void;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; default: none. */
  readonly timeoutMs?: number;
}

/** A RUN may take long; one that takes a day hangs. */
const DEFAULT_TIMEOUT_MS = 24 * 60 * 60 * 1000;

/**
 * A non-zero exit is a result, 128+n when a signal ended the process; 126 and 127 as a shell. A Failure is thrown when the
 * container could not be made ("exec-failed", "missing-tool") or was interrupted ("aborted").
 */
export async function runBundle(host: Host, options: RunBundleOptions): Promise<{ readonly exitCode: number }> {
  const { files } = host;
  const id = Buffer.from(host.random(16)).toString("hex");
  const user = resolveUser(files, options.rootfs, options.user ?? "");
  files.makeDirectory(BUNDLES, { mode: 0o700 });
  await removeAbandonedBundles(host);
  using bundle = openBundle(files, id);
  await using network = options.network === "private" ? await openNetworkDisposable(host, id) : undefined;
  const hostname = options.hostname ?? id.slice(0, 12);
  writeNameFiles(files, bundle.path, { network: options.network, hostname, address: network?.address });
  const mounts: readonly BundleMount[] = [
    ...(options.mounts ?? []),
    { kind: "bind", source: `${bundle.path}/resolv.conf`, target: "/etc/resolv.conf", readOnly: true },
    { kind: "bind", source: `${bundle.path}/hosts`, target: "/etc/hosts", readOnly: true },
  ];
  using points = makeMountPoints(files, options.rootfs, [
    ...KERNEL_MOUNT_POINTS,
    ...mounts.map((mount) => toMountPoint(files, mount)),
  ]);
  const spec = ociSpec({
    rootfs: byteNameToText(options.rootfs),
    args: options.args,
    env: options.env,
    cwd: options.cwd ?? "/",
    user,
    hostname,
    terminal: false,
    readOnly: options.readOnly ?? false,
    capabilities: grantableCapabilities(files),
    network: options.network === "host" ? "host" : network === undefined ? "new" : { path: network.path },
    mounts: mounts.map((mount, i) =>
      toSpecMount(mount, points.targets[KERNEL_MOUNT_POINTS.length + i] ?? mount.target),
    ),
    systemd: undefined,
    cgroupPath: undefined,
  });
  files.write(`${bundle.path}/config.json`, JSON.stringify(spec));
  return await runCrun(host, { id, bundle: bundle.path, options });
}

const BUNDLES = "/run/berth";

/** The directory of one process, locked while we live. */
function openBundle(files: Files, id: string): Disposable & { readonly path: string } {
  const path = `${BUNDLES}/bundle-${id}`;
  const lock = files.lock(`${path}.lock`, "exclusive", { wait: true });
  files.makeDirectory(path, { mode: 0o700 });
  return {
    path,
    [Symbol.dispose]: () => {
      files.remove(path);
      files.remove(`${path}.lock`);
      lock.release();
    },
  };
}

/** The process of a berth that was killed has ended with it; its network and directory go here. */
async function removeAbandonedBundles(host: Host): Promise<void> {
  const { files } = host;
  for (const name of files.listIfAny(BUNDLES)) {
    const id = /^bundle-([0-9a-f]{32})\.lock$/.exec(name)?.[1];
    if (id === undefined) continue;
    try {
      using _lock = files.lock(`${BUNDLES}/${name}`, "exclusive", { wait: false });
      await closeNetwork(host, id);
      files.remove(`${BUNDLES}/bundle-${id}`);
      files.remove(`${BUNDLES}/${name}`);
    } catch (error) {
      if (!isFailure(error, "busy") && !isFailure(error, "not-found")) throw error;
    }
  }
}

async function runCrun(
  host: Host,
  run: { id: string; bundle: string; options: RunBundleOptions },
): Promise<{ readonly exitCode: number }> {
  const { options, bundle } = run;
  const logPath = `${bundle}/log`;
  const crun = crunArgv(host, { logPath, cgroup: false, state: `${bundle}/crun` }, [
    "run",
    `--bundle=${bundle}`,
    run.id,
  ]);
  const result = await host
    .exec(leashed(crun), {
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      signal: options.signal,
      endWith: "SIGKILL",
      check: false,
      onStdout: options.onStdout ?? (() => undefined),
      onStderr: options.onStderr ?? (() => undefined),
      ...(options.stdin !== undefined && { stdin: options.stdin }),
    })
    .catch((cause: unknown) => {
      if (isFailure(cause)) throw new Failure(cause.code, `Cannot finish "${options.args.join(" ")}"`, { cause });
      throw cause;
    });
  const error = result.exitCode === 0 ? undefined : crunError(host.files.readTextIfAny(logPath));
  if (error?.exitCode === 125) throw new Failure("exec-failed", `Cannot start the container: ${error.message}`);
  return { exitCode: error?.exitCode ?? result.exitCode };
}

/** What a runtime mounts in every container. */
export const KERNEL_MOUNT_POINTS: readonly MountPoint[] = ["/proc", "/dev", "/sys"].map((target) => ({
  target,
  kind: "directory",
  hides: true,
}));

export function toMountPoint(files: Pick<Files, "stat">, mount: BundleMount): MountPoint {
  if (mount.kind === "tmpfs") return { target: mount.target, kind: "directory", hides: true };
  const stat = mount.source === undefined ? undefined : files.stat(mount.source);
  if (stat === undefined) {
    throw new Failure(
      "not-found",
      `Cannot mount "${byteNameToText(mount.source ?? "")}" in the container: there is no such file`,
    );
  }
  return { target: mount.target, kind: stat.kind === "directory" ? "directory" : "file", hides: true };
}

/** `target` has its symlinks resolved. */
export function toSpecMount(mount: BundleMount, target: string): SpecMount {
  const destination = byteNameToText(target);
  const access = mount.readOnly === true ? "ro" : "rw";
  if (mount.kind === "bind") {
    return {
      destination,
      type: "bind",
      source: byteNameToText(mount.source ?? ""),
      options: ["rbind", "rprivate", access],
    };
  }
  const size = mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`];
  const mode = `mode=${(mount.mode ?? 0o1777).toString(8)}`;
  return { destination, type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", access, mode, ...size] };
}

export function writeNameFiles(
  files: Files,
  directory: string,
  options: { network: "private" | "host" | "none"; hostname: string; address: string | undefined },
): void {
  files.write(`${directory}/resolv.conf`, resolvConf(files, options.network), { mode: 0o644 });
  files.write(`${directory}/hosts`, hostsFile(files, options), { mode: 0o644 });
}

async function openNetworkDisposable(host: Host, id: string): Promise<ContainerNetwork & AsyncDisposable> {
  const network = await openNetwork(host, id);
  return { ...network, [Symbol.asyncDispose]: () => network.close() };
}
