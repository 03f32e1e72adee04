/** runWords(): a command as it is typed, on the host of a test; what it printed comes back. */
import type { Host } from "../host/host.ts";
import type { Command } from "./command.ts";
import { runProgram } from "./run-command.ts";

export interface Printed {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export interface TypedOptions {
  readonly stdin?: string;
  /** Answers questions at a terminal. */
  readonly ask?: (question: string) => string;
  readonly stdinIsTerminal?: boolean;
}

export async function runWords(
  host: Host,
  commands: readonly Command[],
  words: readonly string[],
  options: TypedOptions = {},
): Promise<Printed> {
  let out = "";
  let err = "";
  const status = await runProgram(words, commands, {
    host,
    signal: new AbortController().signal,
    version: "0",
    terminal: {
      stdout: (text) => void (out += text),
      stderr: (text) => void (err += text),
      stdoutIsTerminal: false,
      stdinIsTerminal: options.stdinIsTerminal ?? false,
      stderrColumns: undefined,
      readStdin: () => Promise.resolve(options.stdin ?? ""),
      ask: (question) => Promise.resolve(options.ask?.(question) ?? ""),
    },
  });
  return { status, out, err };
}
