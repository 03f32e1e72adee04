/**
 * Parsing of the command line: words → command, flags, operands. Pure; the table of commands is its only input.
 */
import { parseArgs } from "node:util";
import { Failure } from "../core/failure.ts";
import { suggest } from "../core/suggest.ts";
import type { Command, Flag, Flags } from "./command.ts";

export interface Invocation {
  readonly command: Command;
  readonly values: Readonly<Record<string, unknown>>;
  readonly operands: readonly string[];
  readonly global: GlobalValues;
}

export interface GlobalValues {
  readonly help: boolean;
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly progress: "auto" | "plain" | "none";
}

/** Flags that every command takes. */
export const GLOBAL_FLAGS = {
  help: { type: "boolean", short: "h", summary: "Show this help" },
  progress: {
    type: "string",
    value: "HOW",
    choices: ["auto", "plain", "none"],
    default: "auto",
    summary: "How progress is shown on stderr",
  },
} as const satisfies Flags;

export const JSON_FLAG: Flag = { type: "boolean", summary: "Print the result as JSON" };
export const DRY_RUN_FLAG: Flag = { type: "boolean", summary: "Print what would be done, and do nothing" };

/** All flags that `command` takes, the global ones last. */
export function allFlags(command: Command): Flags {
  return {
    ...command.flags,
    ...(command.view && !("json" in command.flags) ? { json: JSON_FLAG } : {}),
    ...(command.plans ? { "dry-run": DRY_RUN_FLAG } : {}),
    ...GLOBAL_FLAGS,
  };
}

/** The command whose name is the longest prefix of `words`; aliases count. */
export function findCommand(
  commands: readonly Command[],
  words: readonly string[],
): { command: Command; rest: readonly string[] } | undefined {
  let best: { command: Command; rest: readonly string[]; length: number } | undefined;
  for (const command of commands) {
    for (const name of [command.name, ...(command.aliases ?? [])]) {
      const parts = name.split(" ");
      if (parts.every((part, i) => words[i] === part) && parts.length > (best?.length ?? 0)) {
        best = { command, rest: words.slice(parts.length), length: parts.length };
      }
    }
  }
  return best;
}

/** Failure "usage" names the word that is off, and the nearest one that is not. */
export function parseInvocation(commands: readonly Command[], words: readonly string[]): Invocation {
  const found = findCommand(commands, words);
  if (found === undefined) throw unknownCommand(commands, words);
  const { command, rest } = found;
  const flags = allFlags(command);
  const split = splitWords(command, flags, rest);
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(flags)) {
    values[name] =
      split.values[name] ?? flag.default ?? (flag.type === "list" ? [] : flag.type === "boolean" ? false : undefined);
    const value = values[name];
    if (flag.choices && typeof value === "string" && !flag.choices.includes(value)) {
      throw usage(command, `Cannot use --${name} ${JSON.stringify(value)}: wanted one of ${flag.choices.join(", ")}`);
    }
  }
  const help = values["help"] === true;
  if (!help) checkOperands(command, split.operands);
  const progress = values["progress"];
  return {
    command,
    values,
    operands: split.operands,
    global: {
      help,
      json: command.view !== undefined && values["json"] === true,
      dryRun: values["dry-run"] === true,
      progress: progress === "plain" || progress === "none" ? progress : "auto",
    },
  };
}

interface SplitWords {
  readonly values: Readonly<Record<string, unknown>>;
  readonly operands: readonly string[];
}

function splitWords(command: Command, flags: Flags, words: readonly string[]): SplitWords {
  const options: Record<string, { type: "boolean" | "string"; multiple: boolean; short?: string }> = Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [
      name,
      {
        type: flag.type === "boolean" ? ("boolean" as const) : ("string" as const),
        multiple: flag.type === "list",
        ...(flag.short !== undefined && { short: flag.short }),
      },
    ]),
  );
  // node:util reads --no-cache as "cache: false" even where a flag of that very name is declared.
  const negated = Object.keys(flags).filter(
    (name) => name.startsWith("no-") && flags[name]?.type === "boolean" && !(name.slice(3) in flags),
  );
  for (const name of negated) options[name.slice(3)] = { type: "boolean", multiple: false };
  let own = [...words];
  let operandsAfter: string[] = [];
  if (command.passthrough) {
    const { tokens } = parseArgs({
      args: own,
      options,
      strict: false,
      allowPositionals: true,
      allowNegative: true,
      tokens: true,
    });
    const first = tokens.find((token) => token.kind === "positional");
    if (first !== undefined) {
      operandsAfter = own.slice(first.index);
      own = own.slice(0, first.index);
      if (own.at(-1) === "--") own.pop();
    }
  }
  try {
    const { tokens } = parseArgs({
      args: own,
      options,
      strict: false,
      allowPositionals: true,
      allowNegative: true,
      tokens: true,
    });
    for (const token of tokens) {
      if (token.kind !== "option") continue;
      const known = token.name in options || (token.name.startsWith("no-") && token.name.slice(3) in options);
      if (!known) throw unknownFlag(command, flags, token.rawName);
      checkValue(command, token, options[token.name]?.type ?? "boolean");
    }
    const twice = findTwice(tokens, flags);
    if (twice !== undefined) throw usage(command, `Cannot use --${twice} twice: wanted one value`);
    const parsed = parseArgs({ args: own, options, strict: true, allowPositionals: true, allowNegative: true });
    const values: Record<string, unknown> = { ...parsed.values };
    for (const name of negated) {
      if (values[name.slice(3)] === false) values[name] = true;
      delete values[name.slice(3)];
    }
    return { values, operands: [...parsed.positionals, ...operandsAfter] };
  } catch (error) {
    if (error instanceof Failure) throw error;
    const text = (error instanceof Error ? error.message : String(error)).split(/\. |\n/)[0] ?? "";
    throw usage(command, `Cannot read the command line: ${text.replace(/^Option/, "option").replace(/\.$/, "")}`);
  }
}

/** What parseArgs() would refuse in words of its own. */
function checkValue(
  command: Command,
  { rawName, value, inlineValue }: { rawName: string; value?: string | undefined; inlineValue?: boolean | undefined },
  type: "boolean" | "string",
): void {
  if (type === "boolean") {
    if (value !== undefined) throw usage(command, `Cannot use ${rawName}=${value}: ${rawName} takes no value`);
  } else if (value === undefined) {
    throw usage(command, `Cannot use ${rawName}: its value is missing`);
  } else if (inlineValue !== true && value.length > 1 && value.startsWith("-")) {
    const written = rawName.startsWith("--") ? `${rawName}=${value}` : `${rawName}${value}`;
    throw usage(
      command,
      `Cannot use ${rawName}: its value is missing before ${JSON.stringify(value)}`,
      `a value that begins with - is written ${written}`,
    );
  }
}

/** The last would win without a word: which one was meant is not ours to guess. */
function findTwice(
  tokens: readonly { readonly kind: string; readonly name?: string }[],
  flags: Flags,
): string | undefined {
  const seen = new Set<string>();
  for (const { kind, name } of tokens) {
    if (kind !== "option" || name === undefined || flags[name]?.type !== "string") continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

function checkOperands(command: Command, operands: readonly string[]): void {
  const wanted = command.operands ?? [];
  const required = wanted.filter((operand) => !operand.optional);
  const missing = required[operands.length];
  if (operands.length < required.length && missing !== undefined) {
    throw usage(command, `Cannot run "${command.name}": ${missing.name} is missing (${lowerFirst(missing.summary)})`);
  }
  for (const [i, { name, choices }] of wanted.entries()) {
    const word = operands[i];
    if (choices === undefined || word === undefined || choices.includes(word)) continue;
    throw usage(command, `Cannot use ${name} ${JSON.stringify(word)}: wanted one of ${choices.join(", ")}`);
  }
  const many = command.passthrough === true || wanted.some((operand) => operand.many);
  const extra = operands[wanted.length];
  if (!many && extra !== undefined) {
    throw usage(command, `Cannot run "${command.name}": unexpected argument ${JSON.stringify(extra)}`);
  }
}

function unknownFlag(command: Command, flags: Flags, raw: string): Failure {
  const nearest = suggest(raw.replace(/^-+/, ""), Object.keys(flags));
  return usage(command, `Cannot run "${command.name}": unknown flag ${raw}`, nearest && `did you mean --${nearest}?`);
}

function unknownCommand(commands: readonly Command[], words: readonly string[]): Failure {
  const typed = words.filter((word) => !word.startsWith("-")).slice(0, 2);
  if (words[0]?.startsWith("-") === true && findCommand(commands, typed) !== undefined) {
    return new Failure("usage", `Cannot use ${words[0]} before the command: flags come after it`, {
      hint: `berth ${typed.join(" ")} ${words[0]}`,
    });
  }
  const names = commands
    .filter((command) => !command.hidden)
    .flatMap((command) => [command.name, ...(command.aliases ?? [])]);
  const group = names.filter((name) => name.startsWith(`${typed[0]} `));
  if (group.length > 0) {
    return new Failure(
      "usage",
      `Cannot run "${typed.join(" ")}": wanted one of ${group.map((name) => `"${name}"`).join(", ")}`,
      {
        hint: `see berth ${typed[0]} --help`,
      },
    );
  }
  const nearest =
    suggest(typed.join(" "), names) ??
    suggest(
      typed[0] ?? "",
      names.map((name) => name.split(" ")[0] ?? name),
    );
  return new Failure("usage", `Cannot run ${JSON.stringify(typed[0] ?? words[0] ?? "")}: there is no such command`, {
    hint:
      nearest === undefined
        ? "berth --help lists the commands"
        : `did you mean "${nearest}"? berth --help lists the commands`,
  });
}

function usage(command: Command, message: string, hint?: string): Failure {
  return new Failure("usage", message, { hint: hint ?? `see berth ${command.name} --help` });
}

/** A name in capitals (HOST, OCI) stays as it is. */
function lowerFirst(text: string): string {
  return /^[A-Z](?![A-Z])/.test(text) ? text.slice(0, 1).toLowerCase() + text.slice(1) : text;
}
