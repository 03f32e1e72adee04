/**
 * ociSpec(): what a container is, as the runtime's config.json. Pure: the same options give the same text.
 *
 * Two things are left out on purpose. `linux.resources`: on machines whose cgroups are in hybrid mode no controller is there to set.
 * `process.rlimits`: a container inherits ours, and asking for a higher hard limit than our own fails.
 *
 * @see OCI runtime-spec config.md, config-linux.md
 */
import { SECCOMP_PROFILE, type SeccompProfile } from "./seccomp.ts";
import type { ContainerUser } from "./user.ts";

export interface SpecMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface SpecOptions {
  readonly rootfs: string;
  readonly args: readonly string[];
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: ContainerUser;
  readonly hostname: string;
  readonly terminal: boolean;
  readonly readOnly: boolean;
  readonly capabilities: readonly string[];
  /** host: no network namespace. A path: the namespace that is there. new: one with nothing but a loopback device. */
  readonly network: "host" | "new" | { readonly path: string };
  readonly mounts: readonly SpecMount[];
  /** The command is an init system: it gets its own cgroup to manage and the tmpfs that it expects. */
  readonly systemd: { readonly uuid: string } | undefined;
  /** Absolute, below the cgroup root; without it the runtime makes none. */
  readonly cgroupPath: string | undefined;
}

export interface OciSpec {
  readonly ociVersion: string;
  readonly process: {
    readonly terminal: boolean;
    readonly user: {
      readonly uid: number;
      readonly gid: number;
      readonly additionalGids: readonly number[];
      readonly umask: number;
    };
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly cwd: string;
    readonly capabilities: Readonly<Record<"bounding" | "effective" | "permitted", readonly string[]>>;
    readonly noNewPrivileges: boolean;
  };
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly SpecMount[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
    readonly cgroupsPath?: string;
    readonly seccomp: SeccompProfile;
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
  };
}

export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function ociSpec(options: SpecOptions): OciSpec {
  const { uid, gid, additionalGids } = options.user;
  // Someone else than root starts without privileges, and can gain those of the bounding set by set-id programs.
  const active = uid === 0 ? options.capabilities : [];
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: options.terminal,
      user: { uid, gid, additionalGids, umask: 0o022 },
      args: options.args,
      env: environment(options),
      cwd: options.cwd,
      capabilities: { bounding: options.capabilities, effective: active, permitted: active },
      noNewPrivileges: false,
    },
    root: { path: options.rootfs, readonly: options.readOnly },
    hostname: options.hostname,
    mounts: [...baseMounts(options), ...options.mounts],
    linux: {
      namespaces: namespaces(options),
      ...(options.cgroupPath !== undefined && { cgroupsPath: options.cgroupPath }),
      seccomp: SECCOMP_PROFILE,
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READ_ONLY_PATHS,
    },
  };
}

/** A command that is an init system by its name, as podman tells it. */
export function isInitCommand(args: readonly string[]): boolean {
  return /^(?:\/(?:usr\/)?(?:local\/)?s?bin\/(?:init|systemd)|\/(?:usr\/)?lib\/systemd\/systemd|systemd)$/.test(
    args[0] ?? "",
  );
}

function environment(options: SpecOptions): string[] {
  const has = (name: string): boolean => options.env.some((entry) => entry.startsWith(`${name}=`));
  return [
    ...(has("PATH") ? [] : [`PATH=${DEFAULT_PATH}`]),
    ...(has("HOME") ? [] : [`HOME=${options.user.home}`]),
    ...(has("TERM") || !options.terminal ? [] : ["TERM=xterm"]),
    ...(has("container") ? [] : ["container=oci"]),
    ...(options.systemd === undefined || has("container_uuid") ? [] : [`container_uuid=${options.systemd.uuid}`]),
    ...options.env,
  ];
}

function namespaces(options: SpecOptions): { type: string; path?: string }[] {
  const { network } = options;
  return [
    ...["pid", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type })),
    ...(network === "host"
      ? []
      : network === "new"
        ? [{ type: "network" }]
        : [{ type: "network", path: network.path }]),
  ];
}

function baseMounts(options: SpecOptions): SpecMount[] {
  const cgroup = options.systemd === undefined ? "ro" : "rw";
  return [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    sysMount(options),
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: ["nosuid", "noexec", "nodev", "relatime", cgroup],
    },
    ...(options.systemd === undefined ? [] : systemdMounts()),
  ];
}

/** The kernel gives a new sysfs only to the owner of the network namespace; with the host's network it is the host's. */
function sysMount(options: SpecOptions): SpecMount {
  const readOnly = ["nosuid", "noexec", "nodev", "ro"];
  return options.network === "host"
    ? { destination: "/sys", type: "bind", source: "/sys", options: ["rbind", ...readOnly] }
    : { destination: "/sys", type: "sysfs", source: "sysfs", options: readOnly };
}

function systemdMounts(): SpecMount[] {
  const tmpfs = (destination: string, ...more: string[]): SpecMount => ({
    destination,
    type: "tmpfs",
    source: "tmpfs",
    options: ["rw", "nosuid", "nodev", ...more],
  });
  return [
    tmpfs("/run", "mode=755"),
    tmpfs("/run/lock", "mode=755"),
    tmpfs("/tmp", "mode=1777"),
    tmpfs("/var/log/journal", "mode=755"),
  ];
}

const MASKED_PATHS = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/dev/block",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
  "/sys/fs/selinux",
];

const READ_ONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
