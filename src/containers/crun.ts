/**
 * crun: the command line that runs it, and what its log says.
 *
 * crun refuses machines whose cgroups are in hybrid mode (version 1 beside version 2). There it runs in a mount namespace of its own
 * where /sys/fs/cgroup is the version 2 hierarchy alone; nothing of the host changes.
 */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";

/** What crun knows of containers that `berth ps` lists. */
export const CRUN_STATE = "/run/berth/crun";

export interface CrunOptions {
  /** Absolute; JSON lines. */
  readonly logPath: string;
  /** false: the container stays in our own cgroup. */
  readonly cgroup: boolean;
  /** Where crun keeps what it knows; CRUN_STATE by default. */
  readonly state?: string;
}

/** argv for `crun …words`. Failure "missing-tool" when it is not installed. */
export function crunArgv(host: Host, options: CrunOptions, words: readonly string[]): string[] {
  if (host.which("crun") === undefined) {
    throw new Failure("missing-tool", 'Cannot run a container: "crun" is not in PATH', {
      hint: "install the package crun",
    });
  }
  const crun = [
    "crun",
    `--root=${options.state ?? CRUN_STATE}`,
    `--log=file:${options.logPath}`,
    "--log-format=json",
    `--cgroup-manager=${options.cgroup ? "cgroupfs" : "disabled"}`,
    ...words,
  ];
  if (hasPureCgroups(host)) return crun;
  const script = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"';
  return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "crun", ...crun];
}

/** Why crun itself said no, with the exit status that podman has for it; undefined when the log has no error. */
export function crunError(
  log: string | undefined,
): { readonly message: string; readonly exitCode: 125 | 126 | 127 } | undefined {
  const messages = (log ?? "").split("\n").flatMap((line) => {
    const match = /^\{"msg":"((?:[^"\\]|\\.)*)","level":"error"/.exec(line);
    return match?.[1] === undefined ? [] : [String(JSON.parse(`"${match[1]}"`))];
  });
  const message = messages.at(-1);
  if (message === undefined) return undefined;
  if (/executable file `.*` not found/.test(message)) return { message, exitCode: 127 };
  if (/open executable|^exec|Exec format error|executable file/.test(message)) {
    return { message, exitCode: /No such file/.test(message) ? 127 : 126 };
  }
  return { message, exitCode: 125 };
}

function hasPureCgroups(host: Host): boolean {
  return host.mounts.list().findLast(({ target }) => target === "/sys/fs/cgroup")?.type === "cgroup2";
}
