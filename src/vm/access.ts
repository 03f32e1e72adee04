/** How to get into a machine: its forwarded ports, commands by ssh, waiting for a login, rebooting from inside. */
import { Failure } from "../core/failure.ts";
import type { ExecResult, Host } from "../host/host.ts";
import { condition } from "./condition.ts";
import { consoleMark } from "./console.ts";
import { monitor } from "./monitor.ts";
import { GUEST_SSH_PORT, type VmPaths } from "./qemu-argv.ts";
import { parseForwards } from "./qmp.ts";
import { quoteWord, sshArgv } from "./ssh.ts";
import { runningPid } from "./state.ts";
import { type SshOptions, type WaitContext, type WaitOptions, waitForSsh } from "./wait.ts";

export interface VmAccess {
  /** Host port of each forwarded guest port. */
  forwards(): Promise<ReadonlyMap<number, number>>;
  /** The port on 127.0.0.1 that leads to the machine's sshd. Failure "not-found" when it does not run. */
  sshPort(): Promise<number>;
  /** Runs a command: a string for the remote shell, or words. */
  ssh(command: string | readonly string[], options: SshOptions): Promise<ExecResult>;
  /** For an error: does it run, and where are its processors. */
  condition(): Promise<string>;
  bootId(options: SshOptions): Promise<string>;
  /** Failure "check-failed" when the machine ends or the time is over first. */
  waitForSsh(options: WaitOptions): Promise<void>;
  /** `systemctl reboot`, then ssh of the new boot. Returns the new boot id. */
  reboot(options: WaitOptions): Promise<string>;
}

const LOGIN_TIMEOUT_MS = 30_000;

export function createAccess(host: Host, name: string, options: { paths: VmPaths; signal: AbortSignal }): VmAccess {
  const { paths, signal } = options;
  const forwards = async (): Promise<ReadonlyMap<number, number>> =>
    parseForwards(await monitor(host, paths.qmp, { line: "info usernet", signal }));
  const sshPort = async (): Promise<number> => {
    if (runningPid(host, name) === undefined) {
      throw new Failure("not-found", `Cannot reach VM "${name}": it is not running`, {
        hint: `berth vm run --name ${name}`,
      });
    }
    const port = (await forwards()).get(GUEST_SSH_PORT);
    if (port === undefined) throw new Failure("io", `Cannot reach VM "${name}": QEMU forwards no port to its sshd`);
    return port;
  };
  const ssh: VmAccess["ssh"] = async (command, sshOptions) => {
    const line = typeof command === "string" ? command : command.map(quoteWord).join(" ");
    const argv = sshArgv(
      { port: await sshPort(), user: sshOptions.user ?? "root", key: sshOptions.key, share: paths.directory },
      line,
    );
    return host.exec(argv, {
      timeoutMs: sshOptions.timeoutMs,
      signal,
      ...(sshOptions.check !== undefined && { check: sshOptions.check }),
      ...(sshOptions.stdin !== undefined && { stdin: sshOptions.stdin }),
    });
  };
  const bootId = async (sshOptions: SshOptions): Promise<string> =>
    (await ssh("cat /proc/sys/kernel/random/boot_id", sshOptions)).stdout.toString("utf8").trim();
  const describe = (): Promise<string> => condition(host, paths.qmp, signal);
  const context: WaitContext = { host, name, paths, sshPort, ssh, condition: describe, signal };
  return {
    condition: describe,
    forwards,
    sshPort,
    ssh,
    bootId,
    waitForSsh: (wait) => waitForSsh(context, wait),
    async reboot(wait) {
      const login: SshOptions = {
        timeoutMs: LOGIN_TIMEOUT_MS,
        ...(wait.user !== undefined && { user: wait.user }),
        ...(wait.key !== undefined && { key: wait.key }),
      };
      const before = await bootId(login);
      const since = consoleMark(host, paths);
      await ssh("systemctl reboot", { ...login, check: false });
      let after = before;
      const accept = async (): Promise<boolean> => {
        after = await bootId(login);
        return after !== before;
      };
      await waitForSsh(context, { ...wait, since, accept });
      return after;
    },
  };
}
