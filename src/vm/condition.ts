/**
 * condition(): what QEMU knows of a machine that shows nothing: whether it runs (a full disk on the host pauses it), and where each
 * processor is. It goes into the error of whoever waited in vain.
 */
import { isFailure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { monitor } from "./monitor.ts";

/** One line. Says that QEMU does not answer when it does not. */
export async function condition(host: Pick<Host, "network">, socket: string, signal: AbortSignal): Promise<string> {
  try {
    const status = await monitor(host, socket, { line: "info status", signal });
    const registers = await monitor(host, socket, { line: "info registers -a", signal });
    return formatCondition(status, registers);
  } catch (error) {
    signal.throwIfAborted();
    if (isFailure(error)) return "QEMU does not answer";
    throw error;
  }
}

export function formatCondition(status: string, registers: string): string {
  const processors = registers.matchAll(/CPU#(\d+)[\s\S]*?\b[RE]IP=([0-9a-f]+).*?\bHLT=([01])/g);
  const places = Array.from(
    processors,
    ([, cpu, address, halted]) => `CPU ${cpu} ${halted === "1" ? "halted" : "runs"} at 0x${address}`,
  );
  return [status.replace("VM status:", "").trim(), ...places].join(", ");
}
