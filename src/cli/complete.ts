/**
 * complete(): what may stand where the cursor is, from the table of commands. Pure: names of images, containers and machines are asked
 * for by kind.
 */
import type { Command, Flag, Operand } from "./command.ts";
import { allFlags, findCommand } from "./parse.ts";

export type Completion =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "files" }
  | { readonly kind: "images" }
  | { readonly kind: "containers" }
  | { readonly kind: "machines" };

const NOTHING: Completion = { kind: "words", words: [] };

/** `words` come after `berth`; the last one is what is being typed, perhaps empty. */
export function complete(commands: readonly Command[], words: readonly string[]): Completion {
  const typed = words[0] === "--no-install" || words[0] === "help" ? words.slice(1) : words;
  const current = typed.at(-1) ?? "";
  const before = typed.slice(0, -1);
  const shown = commands.filter((command) => !command.hidden);
  const found = findCommand(shown, before);
  if (found === undefined) return { kind: "words", words: starting(nextWords(shown, before), current) };
  return completeArgument(found.command, found.rest, current);
}

/** The words that lead from `before` to a command. */
function nextWords(commands: readonly Command[], before: readonly string[]): string[] {
  const names = commands.map((command) => command.name.split(" "));
  const next = names.filter((name) => before.every((word, i) => name[i] === word)).map((name) => name[before.length]);
  const first = before.length === 0 ? ["help", "--help", "--version", "--no-install"] : ["--help"];
  return [...new Set([...next, ...first].filter((word) => word !== undefined))];
}

function completeArgument(command: Command, rest: readonly string[], current: string): Completion {
  const flags = allFlags(command);
  const state = { operands: 0, waiting: undefined as Flag | undefined, onlyOperands: false };
  for (const word of rest) {
    if (state.waiting !== undefined) state.waiting = undefined;
    else if (state.onlyOperands || !/^-./.test(word)) {
      state.operands += 1;
      state.onlyOperands ||= command.passthrough === true;
    } else if (word === "--") state.onlyOperands = true;
    else state.waiting = flagThatWaits(flags, word);
  }
  if (state.waiting !== undefined) return completeValue(state.waiting, current);
  const assigned = /^--([^=]+)=(.*)$/s.exec(current);
  if (!state.onlyOperands && assigned !== null) {
    const flag = flags[assigned[1] ?? ""];
    const value = flag === undefined ? NOTHING : completeValue(flag, assigned[2] ?? "");
    return value.kind === "words" ? { ...value, words: value.words.map((word) => `--${assigned[1]}=${word}`) } : value;
  }
  if (!state.onlyOperands && current.startsWith("-")) {
    const names = Object.entries(flags).filter(([, flag]) => flag.hidden !== true);
    return {
      kind: "words",
      words: starting(
        names.map(([name]) => `--${name}`),
        current,
      ),
    };
  }
  const operands = command.operands ?? [];
  const operand = operands[state.operands] ?? operands.findLast(({ many }) => many);
  return operand === undefined ? NOTHING : completeOperand(command, operand, current);
}

/** `-it` and `--name=x` wait for nothing; `-p` and `--name` for a value. */
function flagThatWaits(flags: Readonly<Record<string, Flag>>, word: string): Flag | undefined {
  if (word.startsWith("--")) {
    const flag = flags[word.slice(2)];
    return flag === undefined || flag.type === "boolean" ? undefined : flag;
  }
  const letters = Array.from(word.slice(1));
  const at = letters.findIndex((letter) => (byLetter(flags, letter)?.type ?? "string") !== "boolean");
  return at === letters.length - 1 ? byLetter(flags, letters[at] ?? "") : undefined;
}

function byLetter(flags: Readonly<Record<string, Flag>>, letter: string): Flag | undefined {
  return Object.values(flags).find(({ short }) => short === letter);
}

function completeValue(flag: Flag, current: string): Completion {
  if (flag.choices !== undefined) return { kind: "words", words: starting(flag.choices, current) };
  if (flag.value === "REF") return { kind: "images" };
  return /FILE|DIR|IMG|SOURCE/.test(flag.value ?? "") ? { kind: "files" } : NOTHING;
}

function completeOperand(command: Command, { name, choices }: Operand, current: string): Completion {
  if (choices !== undefined) return { kind: "words", words: starting(choices, current) };
  if (name === "IMAGE") return { kind: "images" };
  if (name === "CONTAINER") return { kind: "containers" };
  if (name === "NAME") return command.name.startsWith("vm ") ? { kind: "machines" } : NOTHING;
  return { kind: "files" };
}

function starting(words: readonly string[], current: string): string[] {
  return words.filter((word) => word.startsWith(current));
}
