/** Runs one invocation: checks, calls the command, prints its value. Effects come in through `Terminal`. */
import { Failure, isFailure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import type { Command, Context } from "./command.ts";
import { formatCommandHelp, formatGroup, formatOverview } from "./help.ts";
import { findCommand, type Invocation, parseInvocation } from "./parse.ts";
import { type ClosableProgress, createBarProgress, createLineProgress, createQuietProgress } from "./progress.ts";
import { EXIT_USAGE, reportError } from "./report-error.ts";

export interface Terminal {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly stdoutIsTerminal: boolean;
  readonly stdinIsTerminal: boolean;
  /** Columns of stderr when it is a terminal. */
  readonly stderrColumns: number | undefined;
  readonly readStdin: () => Promise<string>;
  readonly ask: (question: string, options?: { hidden?: boolean }) => Promise<string>;
}

/** Returns the exit status. */
export async function runProgram(
  words: readonly string[],
  commands: readonly Command[],
  environment: { host: Host; terminal: Terminal; signal: AbortSignal; version: string },
): Promise<number> {
  const { host, terminal, signal } = environment;
  const help = helpFor(words, commands);
  if (help !== undefined) {
    if (help.exitCode === 0) terminal.stdout(help.text);
    else terminal.stderr(help.text);
    return help.exitCode;
  }
  if (words[0] === "--version" || words[0] === "version") {
    terminal.stdout(`berth ${environment.version}\n`);
    return 0;
  }
  let progress: ClosableProgress | undefined;
  try {
    const invocation = parseInvocation(commands, isHelp(words[0]) ? words.slice(1) : words);
    if (invocation.global.help) {
      terminal.stdout(formatCommandHelp(invocation.command));
      return 0;
    }
    if (invocation.command.needsRoot && host.user.uid !== 0) {
      throw new Failure("not-root", "This command must be executed as the root user", {
        hint: `run it with sudo: sudo berth ${words.join(" ")}`,
      });
    }
    progress = createProgress(invocation, host, terminal);
    await execute(invocation, { host, terminal, signal, progress });
    progress.close();
    return 0;
  } catch (error) {
    progress?.close();
    // After an interrupt, whatever was thrown is a consequence of it.
    const cause = signal.aborted ? signal.reason : withRootHint(error, host, words);
    const report = reportError(cause, { debug: host.env["BERTH_DEBUG"] !== undefined });
    terminal.stderr(report.text);
    return report.exitCode;
  }
}

/** What the kernel forbids an ordinary user, root may do. */
function withRootHint(error: unknown, host: Host, words: readonly string[]): unknown {
  if (!isFailure(error, "denied") || error.hint !== undefined || error.exitCode !== undefined || host.user.uid === 0)
    return error;
  return new Failure("denied", error.message, { cause: error.cause, hint: `root may: sudo berth ${words.join(" ")}` });
}

async function execute(
  invocation: Invocation,
  parts: { host: Host; terminal: Terminal; signal: AbortSignal; progress: ClosableProgress },
): Promise<void> {
  const { terminal } = parts;
  const context: Context = {
    host: parts.host,
    progress: parts.progress,
    signal: parts.signal,
    print: terminal.stdout,
    stdoutIsTerminal: terminal.stdoutIsTerminal,
    stdinIsTerminal: terminal.stdinIsTerminal,
    json: invocation.global.json,
    dryRun: invocation.global.dryRun,
    readStdin: terminal.readStdin,
    ask: terminal.ask,
  };
  const { command } = invocation;
  // The table hides each command's own types; parseInvocation has built `values` from the same flags.
  const value = await command.run(invocation.values as never, invocation.operands, context);
  parts.progress.close();
  if (invocation.global.json) {
    const result = command.json === undefined ? value : command.json(value);
    // A container in the foreground has had the output for itself.
    if (result !== undefined) terminal.stdout(`${JSON.stringify(result, undefined, 2)}\n`);
    return;
  }
  const text = command.view?.(value, context);
  if (text !== undefined && text !== "") terminal.stdout(text.endsWith("\n") ? text : `${text}\n`);
}

function createProgress(invocation: Invocation, host: Host, terminal: Terminal): ClosableProgress {
  const columns = terminal.stderrColumns;
  const sink = { write: terminal.stderr, columns, elapsed: () => host.clock.elapsed() };
  if (invocation.global.progress === "none" || invocation.values["quiet"] === true) return createQuietProgress(sink);
  if (invocation.global.progress === "auto" && columns !== undefined) return createBarProgress({ ...sink, columns });
  return createLineProgress(sink);
}

function isHelp(word: string | undefined): boolean {
  return word === "help" || word === "--help" || word === "-h";
}

function helpFor(
  words: readonly string[],
  commands: readonly Command[],
): { text: string; exitCode: number } | undefined {
  if (words.length === 0) return { text: formatOverview(commands), exitCode: EXIT_USAGE };
  const wantsHelp = words.includes("--help") || words.includes("-h");
  if (isHelp(words[0])) {
    const topic = words.slice(1);
    if (topic.length === 0) return { text: formatOverview(commands), exitCode: 0 };
    const found = findCommand(commands, topic);
    const text = found === undefined ? formatGroup(commands, topic[0] ?? "") : formatCommandHelp(found.command);
    // What is unknown is told as for a command that is to run.
    return text === undefined ? undefined : { text, exitCode: 0 };
  }
  const group = findCommand(commands, words) === undefined ? formatGroup(commands, words[0] ?? "") : undefined;
  if (group !== undefined && (wantsHelp || words.length === 1))
    return { text: group, exitCode: wantsHelp ? 0 : EXIT_USAGE };
  return undefined;
}
