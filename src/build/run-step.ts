/**
 * runStep(): one RUN in a container over an overlay of the state so far; `commit` then sees what it wrote.
 */
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { BundleMount, RunBundleOptions } from "../containers/run-process.ts";
import type { Files, Host } from "../host/host.ts";
import type { BuildState } from "./build-state.ts";
import { type MountParts, prepareMounts } from "./step-mounts.ts";
import type { RunAction } from "./step.ts";

/** As runBundle() of containers/. */
export type RunProcess = (host: Host, options: RunBundleOptions) => Promise<{ readonly exitCode: number }>;

export interface RunParts extends MountParts {
  readonly runProcess: RunProcess;
  readonly proxies: ReadonlyMap<string, string>;
  readonly onStdout: (chunk: Uint8Array) => void;
  readonly onStderr: (chunk: Uint8Array) => void;
  readonly signal: AbortSignal | undefined;
}

const SCRIPT = "/run/berth-script";

export interface Written {
  /** The overlay's upper directory: what changed. It stays after the step. */
  readonly upper: string;
  /** The whole tree, mounted until `commit` returns. */
  readonly merged: string;
}

/** Failure "exec-failed" when the command says no. */
export async function runStep<Result>(
  parts: RunParts,
  action: RunAction,
  state: BuildState,
  commit: (written: Written) => Promise<Result>,
): Promise<Result> {
  const { host } = parts;
  const [upper, work, merged] = [parts.newDirectory(), parts.newDirectory(), parts.newDirectory()];
  copyMetadata(host.files, state.view(), upper);
  using prepared = prepareMounts(parts, action.mounts);
  const script = action.script === undefined ? [] : [scriptMount(parts, action.script)];
  const overlay = host.mounts.overlay({ source: "berth-build", ...state.layers(), upper, work }, merged);
  try {
    const { exitCode } = await parts.runProcess(host, {
      rootfs: merged,
      args: action.script === undefined ? action.argv : [SCRIPT],
      env: [...action.env, ...prepared.env, ...proxyEnvironment(parts.proxies, action.env)],
      cwd: action.workingDirectory,
      ...(action.user !== "" && { user: action.user }),
      mounts: [{ kind: "tmpfs", target: "/run", mode: 0o755 }, ...script, ...prepared.mounts],
      network: action.network,
      onStdout: parts.onStdout,
      onStderr: parts.onStderr,
      signal: parts.signal,
    });
    if (exitCode !== 0)
      throw new Failure("exec-failed", `the command ended with exit status ${exitCode}`, exitHint(exitCode));
    return await commit({ upper, merged });
  } finally {
    overlay.unmount();
  }
}

function exitHint(exitCode: number): { hint?: string } {
  if (exitCode === 127) return { hint: "127: the program, or a program that it runs, was not found in the image" };
  if (exitCode === 137) return { hint: "137: it was killed, perhaps for want of memory" };
  return {};
}

/**
 * The upper's root is the one that the container sees. Where no layer has described the root its mode is 0, which no process but root's
 * could use: everybody makes that 0755.
 */
function copyMetadata(files: Files, from: string, to: string): void {
  const stat = files.lstat(from);
  if (stat === undefined) throw new Failure("not-found", `Cannot read "${byteNameToText(from)}": it is gone`);
  files.chown(to, stat.uid, stat.gid);
  files.chmod(to, stat.mode === 0 ? 0o755 : stat.mode);
  for (const [name, value] of files.xattrs(from))
    if (!name.startsWith("trusted.overlay.")) files.setXattr(to, name, value);
  files.setTimes(to, stat.mtimeSec, stat.mtimeNsec);
}

function scriptMount(parts: MountParts, script: string): BundleMount {
  const path = `${parts.newDirectory()}/script`;
  parts.host.files.write(path, script, { mode: 0o755 });
  parts.host.files.chmod(path, 0o755);
  return { kind: "bind", source: path, target: SCRIPT, readOnly: true };
}

function proxyEnvironment(proxies: ReadonlyMap<string, string>, env: readonly string[]): string[] {
  return [...proxies]
    .filter(([name]) => !env.some((entry) => entry.startsWith(`${name}=`)))
    .map(([name, value]) => `${name}=${value}`);
}
