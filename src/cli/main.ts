/**
 * The program's entry: connects argv, the terminal and signals to the commands. The first Ctrl-C aborts and unwinds, the second
 * exits; so do SIGTERM and SIGHUP. With `bootc` as its name it is the same program.
 */
import { constants } from "node:os";
import { createInterface } from "node:readline/promises";
import { addAbortSignal, Writable } from "node:stream";
import { Failure } from "../core/failure.ts";
import { createLinuxHost } from "../host/linux.ts";
import { commands } from "./commands.ts";
import { runProgram, type Terminal } from "./run-command.ts";
import { VERSION } from "./version.ts";

/** Signals closer together than this are one. */
const REPEAT_MS = 1000;

async function main(): Promise<void> {
  const controller = new AbortController();
  let firstMs = 0;
  // SIGHUP: the terminal was closed.
  for (const name of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      // The terminal and a parent of ours may both send the first one.
      if (controller.signal.aborted && performance.now() - firstMs > REPEAT_MS) process.exit(statusAfter(name));
      if (!controller.signal.aborted) firstMs = performance.now();
      controller.abort(interruption(name));
    });
  }
  const output = watchOutput(controller);
  const host = createLinuxHost();
  const status = await runProgram(process.argv.slice(2), commands, {
    host,
    terminal: createTerminal(controller.signal),
    signal: controller.signal,
    version: VERSION,
  });
  process.exitCode = output.failed ? 1 : status;
}

/** The reason of the abort is how the program ends. */
function interruption(name: NodeJS.Signals): Failure {
  return new Failure("aborted", "interrupted", { exitCode: statusAfter(name) });
}

/** As shells say it. */
function statusAfter(name: NodeJS.Signals): number {
  return 128 + constants.signals[name];
}

/**
 * Nobody reads any more, or the disk is full: what runs is unwound as after Ctrl-C, so that no mount and no process stays. A reader
 * that went away after the work was done (`berth images | head -1`) is no error.
 */
function watchOutput(controller: AbortController): { readonly failed: boolean } {
  const output = { failed: false };
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && !output.failed) {
      output.failed = true;
      process.exitCode = 1;
      process.stderr.write(`error: Cannot write to standard output: ${error.code ?? error.message}\n`);
    }
    controller.abort(interruption("SIGPIPE"));
  });
  // Without a reader of our talk the work goes on.
  process.stderr.on("error", () => undefined);
  return output;
}

function createTerminal(signal: AbortSignal): Terminal {
  return {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    stdoutIsTerminal: process.stdout.isTTY === true,
    stdinIsTerminal: process.stdin.isTTY === true,
    stderrColumns: process.stderr.isTTY === true ? (process.stderr.columns ?? 80) : undefined,
    async readStdin() {
      const chunks: Buffer[] = [];
      for await (const chunk of addAbortSignal(signal, process.stdin)) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks).toString("utf8");
    },
    ask: (question, { hidden = false } = {}) => ask(question, { hidden, signal }),
  };
}

async function ask(question: string, { hidden, signal }: { hidden: boolean; signal: AbortSignal }): Promise<string> {
  const cannot = `Cannot ask "${question.trim()}"`;
  if (process.stdin.isTTY !== true) {
    throw new Failure("usage", `${cannot}: standard input is no terminal`, {
      hint: "--help says how to give the answer without one",
    });
  }
  const quiet = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: hidden ? quiet : process.stderr, terminal: true });
  const left = new AbortController();
  lines.once("close", () => left.abort());
  // While lines are edited the terminal sends no signal for the key.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  if (hidden) process.stderr.write(question);
  try {
    return await lines.question(hidden ? "" : question, { signal: AbortSignal.any([signal, left.signal]) });
  } catch (cause) {
    if (!left.signal.aborted) throw cause;
    throw new Failure("aborted", `${cannot}: the input ended, wanted an answer`);
  } finally {
    lines.close();
    if (hidden) process.stderr.write("\n");
  }
}

await main();
