/**
 * attachConsole(): the machine's serial console on our terminal, until Ctrl-] or until the machine ends.
 *
 * The terminal is put into raw mode by stty, and `cat` reads it, because a child can be ended while it waits for a key; a read of our
 * own could not.
 */
import type { Child, Connection, Host } from "../host/host.ts";
import { consoleText } from "./console.ts";
import { pathsOf } from "./state.ts";

/** Ctrl-] */
const ESCAPE = 0x1d;

export interface AttachOptions {
  readonly print: (text: string) => void;
  /** Without a terminal the console is only shown. */
  readonly stdinIsTerminal: boolean;
  /** Show what was logged before. */
  readonly history: boolean;
  readonly signal: AbortSignal;
}

/** detached: the user left. ended: the machine did. */
export async function attachConsole(host: Host, name: string, options: AttachOptions): Promise<"detached" | "ended"> {
  const paths = pathsOf(host, name);
  const before = options.history ? consoleText(host, paths) : "";
  using connection = await host.network.connect({ unix: paths.console }, { signal: options.signal });
  options.print(before);
  if (!options.stdinIsTerminal) {
    await show(connection, options);
    return "ended";
  }
  const saved = await terminalMode(host, ["-g"]);
  await terminalMode(host, ["raw", "-echo"]);
  const keyboard = host.spawn(["cat"], { stdin: "inherit", stdout: "pipe" });
  try {
    const typed = send(keyboard, connection).then(() => "detached" as const);
    const shown = show(connection, options).then(() => "ended" as const);
    return await Promise.race([typed, shown]);
  } finally {
    keyboard.kill("SIGKILL");
    await keyboard.ended;
    await terminalMode(host, [saved]);
  }
}

async function show(connection: Connection, options: AttachOptions): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of connection.input) options.print(decoder.decode(chunk, { stream: true }));
}

/** Resolves when the escape was typed or the terminal is gone. */
async function send(keyboard: Child, connection: Connection): Promise<void> {
  for await (const chunk of keyboard.stdout ?? []) {
    const end = chunk.indexOf(ESCAPE);
    if (end !== 0) await connection.write(end < 0 ? chunk : chunk.subarray(0, end));
    if (end >= 0) return;
  }
}

/** Runs stty on our terminal; returns what it prints. */
async function terminalMode(host: Host, words: readonly string[]): Promise<string> {
  const stty = host.spawn(["stty", ...words], { stdin: "inherit", stdout: "pipe" });
  const chunks: Uint8Array[] = [];
  for await (const chunk of stty.stdout ?? []) chunks.push(chunk);
  await stty.ended;
  return Buffer.concat(chunks).toString("utf8").trim();
}
