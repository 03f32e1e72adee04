/** execInContainer(): one more process in a container that runs, with our own input and output. */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import type { Container } from "./containers.ts";
import { crunArgv, crunError } from "./crun.ts";

export interface ExecInContainer {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string | undefined;
  /** Numbers, `uid[:gid]`. */
  readonly user: string | undefined;
  readonly terminal: boolean;
  readonly interactive: boolean;
}

/** Returns the exit status, 125 to 127 as podman. Failure "conflict" when the container does not run. */
export async function execInContainer(
  host: Host,
  { record, state }: Container,
  options: ExecInContainer,
): Promise<number> {
  if (state.status !== "running") {
    throw new Failure("conflict", `Cannot run a command in container "${record.name}": it is not running`, {
      exitCode: 125,
    });
  }
  using directory = host.files.temporaryDirectory("/run/berth/exec-");
  const logPath = `${directory.path}/log`;
  const argv = crunArgv(host, { logPath, cgroup: true }, [
    "exec",
    ...(options.terminal ? ["--tty"] : []),
    ...(options.cwd === undefined ? [] : [`--cwd=${options.cwd}`]),
    ...(options.user === undefined ? [] : [`--user=${options.user}`]),
    ...[...record.env, ...options.env].map((entry) => `--env=${entry}`),
    record.id,
    ...options.args,
  ]);
  const child = host.spawn(argv, {
    stdin: options.interactive ? "inherit" : "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  const { exitCode } = await child.ended;
  const error = exitCode === 0 ? undefined : crunError(host.files.readTextIfAny(logPath));
  return error?.exitCode ?? exitCode;
}
