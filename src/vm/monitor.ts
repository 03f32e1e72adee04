/** One line to QEMU's human monitor, over QMP: what QMP itself has no command for. */
import { asString } from "../core/json.ts";
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { monitorCommand, runQmp } from "./qmp.ts";

export interface MonitorOptions {
  readonly line: string;
  readonly signal: AbortSignal;
}

/** Saving a snapshot writes all of the machine's memory. */
const TIMEOUT_MS = 300_000;

/** Returns the monitor's text. */
export async function monitor(host: Pick<Host, "network">, socket: string, options: MonitorOptions): Promise<string> {
  const commands = [monitorCommand(options.line)];
  const [answer] = await runQmp(host, socket, { timeoutMs: TIMEOUT_MS, signal: options.signal, commands });
  return asString(answer, "QMP answer");
}

/** For lines that are answered only by a complaint. Failure "exec-failed" with it. */
export async function monitorQuietly(
  host: Pick<Host, "network">,
  socket: string,
  options: MonitorOptions,
): Promise<void> {
  const complaint = (await monitor(host, socket, options)).trim();
  if (complaint !== "") throw new Failure("exec-failed", `Cannot run QEMU command "${options.line}": ${complaint}`);
}
