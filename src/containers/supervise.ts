/**
 * supervise(): runs one container from start to end, and is there as long as it runs: it holds the mounts, the network and the
 * published ports, records how the container is, and takes everything down when it ends. `berth run` does it itself; `berth run -d`
 * starts a process that does.
 *
 * Mounts are made in a mount namespace of our own (the caller has called `isolate()`), so that nothing stays mounted whatever
 * happens to us.
 */
import { byteNameToText } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { Child, Forward, Host } from "../host/host.ts";
import type { Store } from "../store/store.ts";
import { ociSpec } from "./bundle.ts";
import { grantableCapabilities } from "./capabilities.ts";
import { CRUN_STATE, crunArgv, crunError } from "./crun.ts";
import { makeMountPoints } from "./mount-points.ts";
import { type ContainerNetwork, openNetwork } from "./network.ts";
import type { PublishedPort } from "./parse-options.ts";
import {
  bootId,
  type ContainerRecord,
  type ContainerState,
  containersDirectory,
  initialState,
  nameProcess,
  runDirectory,
  writeState,
} from "./record.ts";
import { type BundleMount, KERNEL_MOUNT_POINTS, toMountPoint, toSpecMount, writeNameFiles } from "./run-process.ts";
import { SIGINT, SIGKILL } from "./signals.ts";
import { resolveUser } from "./user.ts";

export interface SuperviseOptions {
  /** Output goes to the container's log instead of ours. */
  readonly detached: boolean;
  readonly openStore: () => Store;
  readonly pid: number;
  readonly signal: AbortSignal;
}

/** Returns the exit status: the container's, or 125 to 127 as podman. Failure when it could not be made. */
export async function supervise(host: Host, record: ContainerRecord, options: SuperviseOptions): Promise<number> {
  const { files } = host;
  const run = runDirectory(record.id);
  await using resources = new AsyncDisposableStack();
  files.makeDirectory(CRUN_STATE, { mode: 0o700 });
  files.remove(run);
  files.makeDirectory(`${run}/rootfs`, { mode: 0o700 });
  resources.defer(() => files.remove(run));
  const directory = mountRootfs(host, record, options, resources);
  const network = await connectNetwork(host, record, resources);
  const ports = await publishPorts(host, record, network, resources);
  prepareBundle(host, record, network, resources);
  let state: ContainerState = {
    ...initialState(bootId(files)),
    supervisor: nameProcess(files, options.pid),
    address: network?.address,
    ports,
  };
  const update = (change: Partial<ContainerState>): void => {
    state = { ...state, ...change };
    try {
      writeState(files, directory, record.id, state);
    } catch (full) {
      // The container may have filled the disk: it is watched over all the same, and what it answers counts.
      if (!isFailure(full, "no-space")) throw full;
    }
  };
  const child = startCrun(host, record, { run, directory, detached: options.detached });
  const pid = await waitForPid(host, `${run}/pid`, child);
  if (pid !== undefined) {
    update({ status: "running", process: nameProcess(files, pid), startedMs: host.clock.now() });
  }
  using ending = endOnAbort(host, pid, options.signal);
  const { exitCode } = await child.ended;
  const error = exitCode === 0 ? undefined : crunError(files.readTextIfAny(`${run}/log`));
  const status = error?.exitCode ?? exitCode;
  update({ status: "exited", finishedMs: host.clock.now(), exitCode: status, error: error?.message });
  ending.done();
  return status;
}

/** The image below, what the container wrote above. Returns the directory of the records. */
function mountRootfs(
  host: Host,
  record: ContainerRecord,
  options: SuperviseOptions,
  resources: AsyncDisposableStack,
): string {
  using store = options.openStore();
  const directory = containersDirectory(store.path);
  const [upper, work] = [`${directory}/${record.id}/upper`, `${directory}/${record.id}/work`];
  for (const path of [upper, work]) host.files.makeDirectory(path, { mode: 0o755 });
  const mount = store.mountImage(record.mountedImage, `${runDirectory(record.id)}/rootfs`, { upper, work });
  resources.defer(() => mount.unmount());
  return directory;
}

async function connectNetwork(
  host: Host,
  record: ContainerRecord,
  resources: AsyncDisposableStack,
): Promise<ContainerNetwork | undefined> {
  if (record.network !== "private") return undefined;
  const network = await openNetwork(host, record.id);
  resources.defer(() => network.close());
  return network;
}

async function publishPorts(
  host: Host,
  record: ContainerRecord,
  network: ContainerNetwork | undefined,
  resources: AsyncDisposableStack,
): Promise<PublishedPort[]> {
  const open: PublishedPort[] = [];
  for (const port of network === undefined ? [] : record.ports) {
    const forward: Forward = await host.network.forward(
      { host: port.address, port: port.hostPort },
      { host: network?.address ?? "", port: port.containerPort },
    );
    resources.defer(() => forward.close());
    open.push({ ...port, hostPort: forward.port });
  }
  return open;
}

/** config.json beside the root file system, and the mount points in it. */
function prepareBundle(
  host: Host,
  record: ContainerRecord,
  network: ContainerNetwork | undefined,
  resources: AsyncDisposableStack,
): void {
  const { files } = host;
  const run = runDirectory(record.id);
  const rootfs = `${run}/rootfs`;
  writeNameFiles(files, run, { network: record.network, hostname: record.hostname, address: network?.address });
  const mounts: readonly BundleMount[] = [
    ...record.mounts,
    { kind: "bind", source: `${run}/resolv.conf`, target: "/etc/resolv.conf" },
    { kind: "bind", source: `${run}/hosts`, target: "/etc/hosts" },
  ];
  const points = makeMountPoints(files, rootfs, [
    ...KERNEL_MOUNT_POINTS,
    ...mounts.map((mount) => toMountPoint(files, mount)),
  ]);
  resources.use(points);
  const user = resolveUser(files, rootfs, record.user);
  const spec = ociSpec({
    rootfs: byteNameToText(rootfs),
    args: record.args,
    env: record.env,
    cwd: record.cwd,
    user,
    hostname: record.hostname,
    terminal: record.terminal,
    readOnly: record.readOnly,
    capabilities: grantableCapabilities(files),
    network: record.network === "host" ? "host" : network === undefined ? "new" : { path: network.path },
    mounts: mounts.map((mount, i) =>
      toSpecMount(mount, points.targets[KERNEL_MOUNT_POINTS.length + i] ?? mount.target),
    ),
    systemd: record.systemd ? { uuid: record.id.slice(0, 32) } : undefined,
    cgroupPath: `/berth/${record.id}`,
  });
  files.write(`${run}/config.json`, JSON.stringify(spec), { mode: 0o600 });
}

function startCrun(
  host: Host,
  record: ContainerRecord,
  where: { run: string; directory: string; detached: boolean },
): Child {
  const argv = crunArgv(host, { logPath: `${where.run}/log`, cgroup: true }, [
    "run",
    `--bundle=${where.run}`,
    `--pid-file=${where.run}/pid`,
    record.id,
  ]);
  const output = where.detached ? { file: `${where.directory}/${record.id}/log` } : ("inherit" as const);
  return host.spawn(
    // Ctrl-C goes to every process of the terminal's group: crun must not end before the container does.
    record.terminal ? argv : ["setsid", ...argv],
    { stdin: record.interactive ? "inherit" : "ignore", stdout: output, stderr: output },
  );
}

const POLL_MS = 5;

/** The container's first process, once it runs; undefined when crun ended before. */
async function waitForPid(host: Host, path: string, child: Child): Promise<number | undefined> {
  let ended = false;
  child.ended.then(
    () => (ended = true),
    () => (ended = true),
  );
  for (;;) {
    const text = host.files.readTextIfAny(path)?.trim() ?? "";
    if (/^\d+$/.test(text)) return Number(text);
    if (ended) return undefined;
    await host.clock.sleep(POLL_MS);
  }
}

const GRACE_MS = 5000;

/** An interrupt asks the container's first process to end, and kills it when it does not. */
function endOnAbort(host: Host, pid: number | undefined, signal: AbortSignal): Disposable & { done(): void } {
  const finished = new AbortController();
  const onAbort = (): void => {
    if (pid === undefined) return;
    host.kill(pid, SIGINT);
    host.clock.sleep(GRACE_MS, finished.signal).then(
      () => host.kill(pid, SIGKILL),
      () => undefined,
    );
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  const done = (): void => {
    finished.abort();
    signal.removeEventListener("abort", onAbort);
  };
  return { done, [Symbol.dispose]: done };
}

/** For the state of a container that could not be made. */
export function failedState(host: Host, error: unknown): ContainerState {
  const message = error instanceof Failure ? error.message : String(error);
  return {
    ...initialState(bootId(host.files)),
    status: "exited",
    finishedMs: host.clock.now(),
    exitCode: 125,
    error: message,
  };
}
