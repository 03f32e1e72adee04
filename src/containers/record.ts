/**
 * Records of containers, on disk below the store: what a container is (written once) and how it is (written by its supervisor).
 *
 *   <store>/containers/<id>/container.json   what it is
 *   <store>/containers/<id>/state.json       how it is
 *   <store>/containers/<id>/{upper,work}     what it wrote
 *   <store>/containers/<id>/log              output of a detached container
 *   /run/berth/containers/<id>/              mount points, config.json, pid: gone after a reboot
 *
 * A state that says "running" is believed only while the process that it names lives, in the boot that it names.
 */
import { parseDigest, type Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { Files, Host } from "../host/host.ts";
import { asArray, asObject, asString, optional, parseJsonObject } from "../core/json.ts";
import type { PublishedPort } from "./parse-options.ts";
import type { BundleMount } from "./run-process.ts";

export interface ContainerRecord {
  readonly id: string;
  readonly name: string;
  /** As it was asked for. */
  readonly imageName: string;
  readonly imageDigest: Digest;
  /** Of the image in the store that is mounted: must stay while the record is there. */
  readonly mountedImage: string;
  /** Milliseconds since the epoch. */
  readonly createdMs: number;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly hostname: string;
  readonly network: "private" | "host" | "none";
  readonly ports: readonly PublishedPort[];
  readonly mounts: readonly BundleMount[];
  readonly readOnly: boolean;
  readonly systemd: boolean;
  readonly terminal: boolean;
  readonly interactive: boolean;
  readonly stopSignal: number;
  readonly autoRemove: boolean;
}

export interface ContainerState {
  readonly status: "created" | "running" | "exited";
  readonly bootId: string;
  readonly supervisor: ProcessName | undefined;
  /** The container's first process. */
  readonly process: ProcessName | undefined;
  readonly startedMs: number | undefined;
  readonly finishedMs: number | undefined;
  readonly exitCode: number | undefined;
  readonly address: string | undefined;
  /** With the ports that were chosen for 0. */
  readonly ports: readonly PublishedPort[];
  /** Why it could not start. */
  readonly error: string | undefined;
}

/** A pid may be used again; together with the time of its start it is not. */
export interface ProcessName {
  readonly pid: number;
  /** Clock ticks since boot. */
  readonly start: string;
}

/** `storePath`: the repository's directory; the containers are beside it. */
export function containersDirectory(storePath: string): string {
  return `${storePath.slice(0, storePath.lastIndexOf("/"))}/containers`;
}

export function runDirectory(id: string): string {
  return `/run/berth/containers/${id}`;
}

/** On disk, whole, or not at all: a torn record would stand in the way of every other container. */
export function writeRecord(files: Files, directory: string, record: ContainerRecord): void {
  const own = `${directory}/${record.id}`;
  files.makeDirectory(own, { mode: 0o700 });
  try {
    files.replace(`${own}/container.json`, JSON.stringify(record), { mode: 0o600 });
  } catch (error) {
    files.remove(own);
    throw error;
  }
}

export function readRecord(files: Files, directory: string, id: string): ContainerRecord | undefined {
  const text = files.readTextIfAny(`${directory}/${id}/container.json`);
  return text === undefined ? undefined : parseRecord(text, id);
}

/** Newest first. Directories without a record (a creation that was cut off) are left out. */
export function listRecords(files: Files, directory: string): ContainerRecord[] {
  return files
    .listIfAny(directory)
    .map((id) => readRecord(files, directory, id))
    .filter((record) => record !== undefined)
    .sort((left, right) => right.createdMs - left.createdMs);
}

/** Whole for every reader, but not synced: after a power cut the container does not run anyway, and an empty state says so. */
export function writeState(files: Files, directory: string, id: string, state: ContainerState): void {
  files.write(`${directory}/${id}/state.json.new`, JSON.stringify(state), { mode: 0o600 });
  files.rename(`${directory}/${id}/state.json.new`, `${directory}/${id}/state.json`);
}

/** The state as it is now: what a crash or a reboot left behind is "exited". */
export function readState(host: Pick<Host, "files">, directory: string, id: string): ContainerState {
  const text = host.files.readTextIfAny(`${directory}/${id}/state.json`);
  if (text === undefined || text === "") return initialState(bootId(host.files));
  const state = parseState(text, id);
  if (
    state.status !== "running" ||
    isAlive(host.files, state, state.process) ||
    isAlive(host.files, state, state.supervisor)
  )
    return state;
  return { ...state, status: "exited", exitCode: state.exitCode ?? LOST_EXIT_CODE };
}

/** Of a container whose end nobody saw. */
const LOST_EXIT_CODE = 255;

export function initialState(boot: string): ContainerState {
  return {
    status: "created",
    bootId: boot,
    supervisor: undefined,
    process: undefined,
    startedMs: undefined,
    finishedMs: undefined,
    exitCode: undefined,
    address: undefined,
    ports: [],
    error: undefined,
  };
}

export function bootId(files: Pick<Files, "readTextIfAny">): string {
  return files.readTextIfAny("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

/** undefined when there is no such process. */
export function nameProcess(files: Pick<Files, "readTextIfAny">, pid: number): ProcessName | undefined {
  const stat = files.readTextIfAny(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, which may hold anything.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [status, start] = [fields?.[0], fields?.[19]];
  return start === undefined || status === "Z" || status === "X" ? undefined : { pid, start };
}

export function isAlive(
  files: Pick<Files, "readTextIfAny">,
  state: ContainerState,
  process: ProcessName | undefined,
): boolean {
  return (
    process !== undefined && state.bootId === bootId(files) && nameProcess(files, process.pid)?.start === process.start
  );
}

function parseRecord(text: string, id: string): ContainerRecord {
  try {
    const value = parseJsonObject(text, "container.json");
    const strings = (key: string): string[] => asArray(value[key], key).map((entry) => asString(entry, key));
    return {
      id: asString(value["id"], "id"),
      name: asString(value["name"], "name"),
      imageName: asString(value["imageName"], "imageName"),
      imageDigest: parseDigest(asString(value["imageDigest"], "imageDigest")),
      mountedImage: asString(value["mountedImage"], "mountedImage"),
      createdMs: asNumber(value["createdMs"]),
      args: strings("args"),
      env: strings("env"),
      cwd: asString(value["cwd"], "cwd"),
      user: asString(value["user"], "user"),
      hostname: asString(value["hostname"], "hostname"),
      network: asNetwork(asString(value["network"], "network")),
      ports: asArray(value["ports"], "ports").map(parsePort),
      mounts: asArray(value["mounts"], "mounts").map(parseMount),
      readOnly: value["readOnly"] === true,
      systemd: value["systemd"] === true,
      terminal: value["terminal"] === true,
      interactive: value["interactive"] === true,
      stopSignal: asNumber(value["stopSignal"]),
      autoRemove: value["autoRemove"] === true,
    };
  } catch (cause) {
    throw new Failure("corrupt", `Cannot read container "${id}": its container.json is damaged`, {
      cause,
      hint: `remove the directory of ${id}`,
    });
  }
}

function parseState(text: string, id: string): ContainerState {
  try {
    const value = parseJsonObject(text, "state.json");
    const number = (key: string): number | undefined => optional(value[key], key, asNumber);
    return {
      status: asStatus(asString(value["status"], "status")),
      bootId: asString(value["bootId"], "bootId"),
      supervisor: optional(value["supervisor"], "supervisor", parseProcess),
      process: optional(value["process"], "process", parseProcess),
      startedMs: number("startedMs"),
      finishedMs: number("finishedMs"),
      exitCode: number("exitCode"),
      address: optional(value["address"], "address", asString),
      ports: asArray(value["ports"], "ports").map(parsePort),
      error: optional(value["error"], "error", asString),
    };
  } catch (cause) {
    throw new Failure("corrupt", `Cannot read the state of container "${id}": its state.json is damaged`, { cause });
  }
}

function asNumber(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value))
    throw new SyntaxError("Cannot parse number: wanted a whole number");
  return value;
}

function asNetwork(text: string): ContainerRecord["network"] {
  if (text === "private" || text === "host" || text === "none") return text;
  throw new SyntaxError(`Cannot parse network ${JSON.stringify(text)}: wanted private, host or none`);
}

function asStatus(text: string): ContainerState["status"] {
  if (text === "created" || text === "running" || text === "exited") return text;
  throw new SyntaxError(`Cannot parse status ${JSON.stringify(text)}: wanted created, running or exited`);
}

function parseProcess(value: unknown): ProcessName {
  const object = asObject(value, "process");
  return { pid: asNumber(object["pid"]), start: asString(object["start"], "process.start") };
}

function parsePort(value: unknown): PublishedPort {
  const object = asObject(value, "port");
  return {
    address: asString(object["address"], "port.address"),
    hostPort: asNumber(object["hostPort"]),
    containerPort: asNumber(object["containerPort"]),
  };
}

function parseMount(value: unknown): BundleMount {
  const object = asObject(value, "mount");
  return {
    kind: "bind",
    source: asString(object["source"], "mount.source"),
    target: asString(object["target"], "mount.target"),
    readOnly: object["readOnly"] === true,
  };
}
