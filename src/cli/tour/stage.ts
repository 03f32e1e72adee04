/**
 * Stage: what the tour plays on. It runs real commands as a person would type them, shows each with its output, checks what the
 * story promises of it, and keeps the time. The first broken promise ends the tour.
 */
import { Failure } from "../../core/failure.ts";
import { formatDuration } from "../../core/units.ts";
import type { Host } from "../../host/host.ts";
import { programArgv } from "../../host/program.ts";

export interface StageOptions {
  /** Writes to the audience. */
  readonly print: (text: string) => void;
  readonly signal: AbortSignal;
  /** Working folder of the commands. */
  readonly folder: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly stdin?: string;
  /** What the output (stdout and stderr) must match. */
  readonly expect?: RegExp | readonly RegExp[];
  /** Must not match. */
  readonly refuse?: RegExp;
  /** The exit statuses that are right; default 0. */
  readonly exitCodes?: readonly number[];
  /** What is shown in place of the words, when they are long or hold a secret. */
  readonly shown?: string;
  /** What stands before the words; default "$ ". */
  readonly prompt?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Lines of output shown as they come; of the rest the last few, the others are counted. Default: all. */
  readonly showLines?: number;
}

export interface Timing {
  readonly part: string;
  readonly durationMs: number;
}

export interface Stage {
  readonly host: Host;
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly timings: readonly Timing[];
  /** One part of the story: a heading, and a row in the table of times. */
  part<T>(title: string, play: () => Promise<T>): Promise<T>;
  say(text: string): void;
  /** Runs a command; `berth` as its first word is this very program. Returns stdout and stderr together, as they came. */
  run(argv: readonly string[], options?: CommandOptions): Promise<string>;
  /** The same without showing it. */
  quietly(argv: readonly string[], options?: CommandOptions): Promise<string>;
  check(promise: string, kept: boolean): void;
  /** Runs a command that undoes something: also after an interrupt, and whatever it says. */
  cleanUp(argv: readonly string[]): Promise<void>;
}

const COMMAND_TIMEOUT_MS = 20 * 60_000;

export function createStage(host: Host, options: StageOptions): Stage {
  const timings: Timing[] = [];
  const perform = async (argv: readonly string[], how: CommandOptions, show: boolean): Promise<string> => {
    const output = new Output(how.showLines, show ? options.print : () => {});
    if (show) options.print(`${how.prompt ?? "$ "}${how.shown ?? argv.map(quoteWord).join(" ")}\n`);
    const result = await host.exec(programWords(argv), {
      timeoutMs: how.timeoutMs ?? COMMAND_TIMEOUT_MS,
      signal: options.signal,
      cwd: how.cwd ?? options.folder,
      check: false,
      env: { ...definedOnly(host.env), ...how.env },
      ...(how.stdin !== undefined && { stdin: how.stdin }),
      onStdout: (chunk) => output.add(chunk),
      onStderr: (chunk) => output.add(chunk),
    });
    output.end();
    const words = how.shown ?? argv.map(quoteWord).join(" ");
    const wanted = how.exitCodes ?? [0];
    if (!wanted.includes(result.exitCode)) {
      throw new Failure(
        "check-failed",
        `The tour stops at "${words}": it ended with ${result.exitCode}, wanted ${wanted.join(" or ")}`,
        {
          hint: show ? "its output is above" : `it said: ${output.text.slice(-400).trim()}`,
        },
      );
    }
    for (const pattern of [how.expect ?? []].flat()) {
      if (!pattern.test(output.text)) {
        throw new Failure("check-failed", `The tour stops at "${words}": its output lacks ${pattern}`, {
          hint: `it said: ${output.text.slice(-400).trim()}`,
        });
      }
    }
    if (how.refuse?.test(output.text)) {
      throw new Failure("check-failed", `The tour stops at "${words}": its output has ${how.refuse}`);
    }
    return output.text;
  };
  return {
    host,
    folder: options.folder,
    signal: options.signal,
    timings,
    async part(title, play) {
      const startedMs = host.clock.elapsed();
      options.print(`\n== ${title}\n`);
      const result = await play();
      const durationMs = host.clock.elapsed() - startedMs;
      timings.push({ part: title, durationMs });
      options.print(`== ${title}: ${formatDuration(durationMs)}\n`);
      return result;
    },
    say: (text) => options.print(`${text}\n`),
    run: (argv, how = {}) => perform(argv, how, true),
    quietly: (argv, how = {}) => perform(argv, how, false),
    async cleanUp(argv) {
      await host.exec(programWords(argv), { timeoutMs: 60_000, check: false });
    },
    check(promise, kept) {
      if (!kept) throw new Failure("check-failed", `The tour stops: ${promise} is not true`);
    },
  };
}

/** `berth …` as the words that start this very program. */
export function programWords(argv: readonly string[]): string[] {
  return argv[0] === "berth" ? [...programArgv(), ...argv.slice(1)] : [...argv];
}

export function formatTimings(timings: readonly Timing[]): string {
  const width = Math.max(...timings.map(({ part }) => part.length), 5) + 2;
  const total = timings.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const row = (part: string, durationMs: number): string =>
    `${part.padEnd(width)}${formatDuration(durationMs).padStart(8)}`;
  return [
    ...timings.map(({ part, durationMs }) => row(part, durationMs)),
    "-".repeat(width + 8),
    row("total", total),
  ].join("\n");
}

/** Runs `attempt` until it succeeds, once a second. */
export async function retry<T>(stage: Stage, times: number, attempt: () => Promise<T>): Promise<T> {
  for (let i = 1; ; i += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (i >= times || stage.signal.aborted) throw error;
      await stage.host.clock.sleep(1000, stage.signal);
    }
  }
}

/** Lines that are shown at the end of an output that was cut: where a command says what came of it. */
const LAST_LINES = 6;

/** Collects all output and shows its first lines as they come, and the last ones. */
class Output {
  text = "";
  readonly #limit: number;
  readonly #print: (text: string) => void;
  #lines = 0;

  constructor(limit: number | undefined, print: (text: string) => void) {
    this.#limit = limit ?? Number.POSITIVE_INFINITY;
    this.#print = print;
  }

  add(chunk: Uint8Array): void {
    const text = Buffer.from(chunk).toString("utf8");
    this.text += text;
    for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
      if (this.#lines < this.#limit) this.#print(line);
      if (line.endsWith("\n")) this.#lines += 1;
    }
  }

  end(): void {
    if (this.text !== "" && !this.text.endsWith("\n") && this.#lines < this.#limit) this.#print("\n");
    const held = this.text.replace(/\n$/, "").split("\n").slice(this.#limit);
    if (held.length > LAST_LINES) this.#print(`… ${held.length - LAST_LINES} more lines\n`);
    for (const line of held.slice(-LAST_LINES)) this.#print(`${line}\n`);
  }
}

function quoteWord(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
