/**
 * Containers: made, found, started, stopped, removed. What one container does while it runs is supervise.ts.
 */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { programArgv } from "../host/program.ts";
import type { RunConfig } from "../oci/config.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { isInitCommand } from "./bundle.ts";
import { CRUN_STATE, crunArgv } from "./crun.ts";
import { containerName } from "./names.ts";
import { closeNetwork } from "./network.ts";
import type { PublishedPort } from "./parse-options.ts";
import {
  type ContainerRecord,
  type ContainerState,
  containersDirectory,
  isAlive,
  listRecords,
  readState,
  runDirectory,
  writeRecord,
} from "./record.ts";
import type { BundleMount } from "./run-process.ts";
import { parseSignal, SIGKILL, SIGRTMIN_3, SIGTERM } from "./signals.ts";

export interface CreateOptions {
  readonly image: StoredImage;
  /** As the user wrote it. */
  readonly imageName: string;
  readonly name: string | undefined;
  /** Words after the image: they take the place of the image's command. */
  readonly args: readonly string[];
  readonly entrypoint: readonly string[] | undefined;
  readonly env: readonly string[];
  readonly cwd: string | undefined;
  readonly user: string | undefined;
  readonly hostname: string | undefined;
  readonly network: ContainerRecord["network"];
  readonly ports: readonly PublishedPort[];
  readonly mounts: readonly BundleMount[];
  readonly readOnly: boolean;
  readonly terminal: boolean;
  readonly interactive: boolean;
  readonly autoRemove: boolean;
}

export interface Container {
  readonly record: ContainerRecord;
  readonly state: ContainerState;
}

/** Checks and writes the record; nothing runs yet. Failure "already-exists" for a name that is taken, "usage" without a command. */
export function createContainer(host: Host, store: Store, options: CreateOptions): ContainerRecord {
  const { files } = host;
  const config = options.image.config.config;
  const args = commandOf(config, options);
  if (options.image.config.architecture !== host.architecture) {
    const wanted = options.image.config.architecture;
    throw new Failure(
      "unsupported",
      `Cannot run image "${options.imageName}": it is for ${wanted}, this machine is ${host.architecture}`,
    );
  }
  const systemd = isInitCommand(args);
  const stopSignal =
    config.StopSignal === undefined ? (systemd ? SIGRTMIN_3 : SIGTERM) : parseSignal(config.StopSignal);
  const directory = containersDirectory(store.path);
  files.makeDirectory(directory, { mode: 0o700 });
  const mountedImage = store.imageId(options.image, "raw");
  const id = Buffer.from(host.random(32)).toString("hex");
  using lock = files.lock(`${directory}/.lock`, "exclusive", { wait: true });
  const taken = new Map(listRecords(files, directory).map((record) => [record.name, record.id]));
  const other = options.name === undefined ? undefined : taken.get(options.name);
  if (other !== undefined) {
    throw new Failure(
      "already-exists",
      `Cannot make container "${options.name}": ${other.slice(0, 12)} has this name`,
      {
        hint: `remove it with berth rm ${options.name}, or choose another name`,
        exitCode: 125,
      },
    );
  }
  const record: ContainerRecord = {
    id,
    name: options.name ?? freeName(host, taken),
    imageName: options.imageName,
    imageDigest: options.image.digest,
    mountedImage,
    createdMs: host.clock.now(),
    args,
    env: mergeEnvironment(config.Env ?? [], options.env),
    cwd: options.cwd ?? (config.WorkingDir || "/"),
    user: options.user ?? config.User ?? "",
    hostname: options.hostname ?? id.slice(0, 12),
    network: options.network,
    ports: options.ports,
    mounts: options.mounts,
    readOnly: options.readOnly,
    systemd,
    terminal: options.terminal,
    interactive: options.interactive,
    stopSignal,
    autoRemove: options.autoRemove,
  };
  writeRecord(files, directory, record);
  lock.release();
  return record;
}

/** Newest first. */
export function listContainers(host: Host, store: Pick<Store, "path">): Container[] {
  const directory = containersDirectory(store.path);
  return listRecords(host.files, directory).map((record) => ({ record, state: readState(host, directory, record.id) }));
}

/** Images (by the id of what is mounted) that containers stand on: garbage collection must leave them. */
export function imagesInUse(host: Host, store: Pick<Store, "path">): string[] {
  return [...new Set(listRecords(host.files, containersDirectory(store.path)).map((record) => record.mountedImage))];
}

/** By name, or by a prefix of the id that only one has. Failure "not-found". */
export function findContainer(host: Host, store: Pick<Store, "path">, text: string): Container {
  const all = listContainers(host, store);
  const named = all.find(({ record }) => record.name === text || record.id === text);
  const byId = /^[0-9a-f]+$/.test(text) ? all.filter(({ record }) => record.id.startsWith(text)) : [];
  const found = named ?? (byId.length === 1 ? byId[0] : undefined);
  if (found !== undefined) return found;
  const why = byId.length > 1 ? "several have an id that starts so" : "there is none of this name or id";
  throw new Failure("not-found", `Cannot find container "${text}": ${why}`, { hint: "berth ps -a lists them" });
}

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 20;

/** Starts the process that supervises the container, and waits until the container runs. Failure when it does not. */
export async function startDetached(
  host: Host,
  store: Pick<Store, "path">,
  record: ContainerRecord,
): Promise<ContainerState> {
  const directory = containersDirectory(store.path);
  const log = { file: `${directory}/${record.id}/supervisor.log` };
  const child = host.spawn([...programArgv(), "internal", "supervise", record.id], {
    stdin: "ignore",
    stdout: log,
    stderr: log,
    detached: true,
    cwd: "/",
  });
  let over = false;
  child.ended.then(
    () => (over = true),
    () => (over = true),
  );
  const until = host.clock.elapsed() + START_TIMEOUT_MS;
  while (host.clock.elapsed() < until) {
    const done = over;
    const state = readState(host, directory, record.id);
    if (state.error !== undefined) throw startFailure(record, state);
    if (state.status !== "created") return state;
    // It may have run, ended and been removed between two looks.
    if (done && !host.files.exists(`${directory}/${record.id}`)) return { ...state, status: "exited" };
    if (done) break;
    await host.clock.sleep(POLL_MS);
  }
  const said = host.files.readTextIfAny(log.file)?.trim().split("\n").at(-1) ?? "";
  throw new Failure(
    "exec-failed",
    `Cannot start container "${record.name}": ${said === "" ? "its supervisor says nothing" : said}`,
    {
      exitCode: 125,
    },
  );
}

function startFailure(record: ContainerRecord, state: ContainerState): Failure {
  return new Failure("exec-failed", `Cannot start container "${record.name}": ${state.error}`, {
    exitCode: state.exitCode ?? 125,
  });
}

/** Asks it to end with its stop signal, kills it after `timeoutMs`. One that does not run is fine. */
export async function stopContainer(
  host: Host,
  store: Pick<Store, "path">,
  container: Container,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<void> {
  signalContainer(host, container, container.record.stopSignal);
  if (await hasEnded(host, store, container, options)) return;
  signalContainer(host, container, SIGKILL);
  if (await hasEnded(host, store, container, { ...options, timeoutMs: 10_000 })) return;
  throw new Failure("busy", `Cannot stop container "${container.record.name}": it does not end, not even when killed`);
}

/** false when it does not run. */
export function signalContainer(host: Host, { state }: Container, signal: number): boolean {
  if (state.process === undefined || !isAlive(host.files, state, state.process)) return false;
  return host.kill(state.process.pid, signal);
}

/** True once the container has ended and its supervisor has taken everything down. */
async function hasEnded(
  host: Host,
  store: Pick<Store, "path">,
  { record }: Container,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<boolean> {
  const directory = containersDirectory(store.path);
  const until = host.clock.elapsed() + options.timeoutMs;
  for (;;) {
    if (!host.files.exists(`${directory}/${record.id}/container.json`)) return true;
    const state = readState(host, directory, record.id);
    if (state.status !== "running" && !isAlive(host.files, state, state.supervisor)) return true;
    if (host.clock.elapsed() >= until) return false;
    await host.clock.sleep(POLL_MS, options.signal);
  }
}

/** Failure "busy" for one that runs. Takes away what a killed supervisor left, too. */
export async function removeContainer(
  host: Host,
  store: Pick<Store, "path">,
  { record, state }: Container,
): Promise<void> {
  if (state.status === "running") {
    throw new Failure("busy", `Cannot remove container "${record.name}": it is running`, {
      hint: `stop it with berth stop ${record.name}, or use berth rm --force`,
    });
  }
  await closeNetwork(host, record.id);
  if (host.files.exists(`${CRUN_STATE}/${record.id}`)) {
    const argv = crunArgv(host, { logPath: "/dev/null", cgroup: true }, ["delete", "--force", record.id]);
    await host.exec(argv, { timeoutMs: 20_000, check: false });
    host.files.remove(`${CRUN_STATE}/${record.id}`);
  }
  host.files.remove(runDirectory(record.id));
  host.files.remove(`${containersDirectory(store.path)}/${record.id}`);
}

/** Entrypoint and command of the image, with what the user gives in their place: an entrypoint of one's own drops the image's command. */
function commandOf(config: RunConfig, options: Pick<CreateOptions, "args" | "entrypoint" | "imageName">): string[] {
  const entrypoint = options.entrypoint ?? config.Entrypoint ?? [];
  const command = options.args.length > 0 || options.entrypoint !== undefined ? options.args : (config.Cmd ?? []);
  const args = [...entrypoint, ...command];
  if (args.length > 0) return args;
  if (config.Labels?.["containers.bootc"] === "1") return ["/sbin/init"];
  throw new Failure(
    "usage",
    `Cannot run image "${options.imageName}": it has no command of its own, and none was given`,
    { exitCode: 125 },
  );
}

/** Later entries win, each name keeps its first place. */
function mergeEnvironment(base: readonly string[], more: readonly string[]): string[] {
  const merged = new Map<string, string>();
  for (const entry of [...base, ...more]) merged.set(entry.split("=", 1)[0] ?? "", entry);
  return [...merged.values()];
}

function freeName(host: Host, taken: ReadonlyMap<string, string>): string {
  for (let i = 0; ; i += 1) {
    const name = `${containerName(host.random(2))}${i < 50 ? "" : `_${i}`}`;
    if (!taken.has(name)) return name;
  }
}
