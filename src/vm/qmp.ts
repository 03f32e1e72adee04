/**
 * runQmp(): commands to a running QEMU over its QMP socket, one after the other; events in between are skipped.
 *
 * @see QEMU docs/interop/qmp-spec
 */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { asObject, type JsonObject, parseJsonObject } from "../core/json.ts";

export interface QmpCommand {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

export interface QmpOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The `return` of each command. Failure "network" when QEMU does not answer, "exec-failed" when it refuses a command. */
export async function runQmp(
  host: Pick<Host, "network">,
  socket: string,
  options: QmpOptions & { commands: readonly QmpCommand[] },
): Promise<readonly unknown[]> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  using connection = await host.network.connect({ unix: socket }, { signal });
  const messages = readMessages(connection.input);
  await messages.next(); // the greeting
  const answers: unknown[] = [];
  for (const command of [{ execute: "qmp_capabilities" }, ...options.commands]) {
    await connection.write(`${JSON.stringify(command)}\n`);
    answers.push(await answerTo(command, messages));
  }
  return answers.slice(1);
}

/** A line for QEMU's human monitor: what QMP has no command for. Its answer is text; complaints come as text, too. */
export function monitorCommand(line: string): QmpCommand {
  return { execute: "human-monitor-command", arguments: { "command-line": line } };
}

async function answerTo(command: QmpCommand, messages: AsyncGenerator<JsonObject, void, undefined>): Promise<unknown> {
  for await (const message of { [Symbol.asyncIterator]: () => ({ next: () => messages.next() }) }) {
    if ("return" in message) return message["return"];
    if ("error" in message) {
      const reason = asObject(message["error"], "QMP error")["desc"];
      throw new Failure("exec-failed", `Cannot run QEMU command "${command.execute}": ${String(reason)}`);
    }
  }
  throw new Failure("network", `Cannot run QEMU command "${command.execute}": QEMU closed the connection`);
}

async function* readMessages(input: AsyncIterable<Uint8Array>): AsyncGenerator<JsonObject, void, undefined> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of input) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield parseJsonObject(line, "QMP message");
  }
}

/** TCP ports that `info usernet` lists as forwarded, guest port to host port. */
export function parseForwards(usernet: string): ReadonlyMap<number, number> {
  const forwards = new Map<number, number>();
  for (const line of usernet.split("\n")) {
    const match = /^\s*TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)/.exec(line);
    if (match !== null && !forwards.has(Number(match[2]))) forwards.set(Number(match[2]), Number(match[1]));
  }
  return forwards;
}
