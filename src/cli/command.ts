/**
 * Command: what one verb of the program is, as data. The parser, `--help`, man pages and completion all read this table.
 *
 * `run` returns a value; `view` prints it for people and `--json` prints the value itself. stdout is data, stderr is talk.
 */
import type { Progress } from "../core/progress.ts";
import type { Host } from "../host/host.ts";

export type FlagType = "boolean" | "string" | "list";

export interface Flag {
  readonly type: FlagType;
  /** One letter. */
  readonly short?: string;
  /** What a value is called in help, e.g. "FILE". */
  readonly value?: string;
  readonly summary: string;
  readonly default?: string | boolean;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  /** Left out of help. */
  readonly hidden?: boolean;
}

export interface Operand {
  readonly name: string;
  readonly summary: string;
  readonly optional?: boolean;
  /** The only words allowed. */
  readonly choices?: readonly string[];
  /** Takes all the rest; only on the last operand. */
  readonly many?: boolean;
}

export type Flags = Readonly<Record<string, Flag>>;

/** The value of each flag, by its type. */
export type FlagValues<F extends Flags> = {
  readonly [Name in keyof F]: F[Name]["type"] extends "boolean"
    ? boolean
    : F[Name]["type"] extends "list"
      ? readonly string[]
      : F[Name] extends { readonly default: string }
        ? string
        : string | undefined;
};

export interface Context {
  readonly host: Host;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Writes to stdout as is: for commands whose output flows (build steps, a container's output). */
  readonly print: (text: string) => void;
  readonly stdoutIsTerminal: boolean;
  readonly stdinIsTerminal: boolean;
  readonly json: boolean;
  readonly dryRun: boolean;
  /** All of standard input, as text. */
  readonly readStdin: () => Promise<string>;
  /** Asks on the terminal; `hidden` for passwords. Failure "usage" when there is no terminal. */
  readonly ask: (question: string, options?: { hidden?: boolean }) => Promise<string>;
}

export interface CommandSpec<F extends Flags, Value> {
  /** Words after `berth`, e.g. "registry serve". */
  readonly name: string;
  readonly aliases?: readonly string[];
  /** One line, no final period. */
  readonly summary: string;
  /** Paragraphs for --help and the man page. */
  readonly description?: string;
  /** Pairs of command line and what it does. */
  readonly examples?: readonly (readonly [line: string, what: string])[];
  readonly flags: F;
  readonly operands?: readonly Operand[];
  /** Words after the first operand belong to it untouched (`berth run IMAGE cmd --flag`). */
  readonly passthrough?: boolean;
  /** Accepts --dry-run. */
  readonly plans?: boolean;
  /** Refuses to run without uid 0, before anything else. */
  readonly needsRoot?: boolean;
  readonly hidden?: boolean;
  readonly run: (values: FlagValues<F>, operands: readonly string[], context: Context) => Promise<Value>;
  /** Text for stdout; nothing is printed when absent or undefined. */
  readonly view?: (value: Value, context: Context) => string | undefined;
  /** What --json prints when it is not the value itself. */
  readonly json?: (value: Value) => unknown;
}

/** A command whose flags and value types are hidden, as the table holds it. */
export type Command = CommandSpec<Flags, unknown>;

/** Checks the types of one command and forgets them. */
export function command<const F extends Flags, Value>(spec: CommandSpec<F, Value>): Command {
  return spec as unknown as Command;
}
