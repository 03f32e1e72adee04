/**
 * Builder flags: the words that begin with `--` between an instruction's name and its arguments. Each instruction names those
 * it knows; any other is an error.
 */
import { errorAt, type LogicalLine } from "./logical-line.ts";
import { suggest } from "../core/suggest.ts";
import { isBlank, type Word } from "./words.ts";

export type FlagKind = "text" | "list" | "boolean";
export type KnownFlags = Readonly<Record<string, FlagKind>>;

export interface FlagWords {
  /** As written, without quotes. */
  readonly words: readonly string[];
  /** Offset of the first argument. */
  readonly end: number;
  one(name: string): Word | undefined;
  all(name: string): readonly Word[];
  /** undefined when the flag is absent. */
  flag(name: string): boolean | undefined;
}

/** Throws ContainerfileError for an unknown flag, a repeated one, and a value that is missing or no boolean. */
export function readFlags(
  line: LogicalLine,
  escape: string,
  start: number,
  instruction: string,
  known: KnownFlags,
): FlagWords {
  const { words, end } = extractFlagWords(line, escape, start);
  const values = new Map<string, Word[]>();
  for (const word of words) {
    const equals = word.text.indexOf("=");
    const name = word.text.slice(2, equals < 0 ? undefined : equals);
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) {
      const names = Object.keys(known);
      const near = suggest(name, names);
      const all =
        names.length === 0
          ? `${instruction} takes no flags`
          : `${instruction} knows ${names.map((known) => `--${known}`).join(" ")}`;
      const hint = near === undefined ? all : `did you mean --${near}?`;
      throw errorAt(line, `unknown flag --${name} of ${instruction}`, word.offset, hint);
    }
    if (kind !== "list" && values.has(name))
      throw errorAt(line, `duplicate flag --${name} of ${instruction}`, word.offset);
    if (kind !== "boolean" && equals < 0)
      throw errorAt(line, `flag --${name} of ${instruction} needs a value`, word.offset);
    const value = {
      text: equals < 0 ? "true" : word.text.slice(equals + 1),
      offset: word.offset + (equals < 0 ? 0 : equals + 1),
    };
    if (kind === "boolean" && !/^(?:true|false)$/i.test(value.text)) {
      throw errorAt(line, `flag --${name} is ${JSON.stringify(value.text)}, wanted true or false`, value.offset);
    }
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  return {
    words: words.map((word) => word.text),
    end,
    one: (name) => values.get(name)?.[0],
    all: (name) => values.get(name) ?? [],
    flag: (name) => {
      const value = values.get(name)?.[0];
      return value === undefined ? undefined : value.text.toLowerCase() === "true";
    },
  };
}

/** Quotes are removed and escapes honoured inside a flag word; `--` alone ends the flags. */
function extractFlagWords(line: LogicalLine, escape: string, start: number): { words: Word[]; end: number } {
  const { text } = line;
  const words: Word[] = [];
  let at = start;
  for (;;) {
    while (isBlank(text[at])) at += 1;
    if (!text.startsWith("--", at)) return { words, end: at };
    const offset = at;
    let word = "";
    let quote = "";
    while (at < text.length && (quote !== "" || !isBlank(text[at]))) {
      const character = text[at] ?? "";
      at += 1;
      if (character === escape && quote !== "'" && at < text.length) {
        word += text[at] ?? "";
        at += 1;
      } else if (quote === "" && (character === '"' || character === "'")) quote = character;
      else if (character === quote) quote = "";
      else word += character;
    }
    if (quote !== "") throw errorAt(line, `unterminated ${quote} quote in a flag`, offset);
    if (word === "--") {
      while (isBlank(text[at])) at += 1;
      return { words, end: at };
    }
    words.push({ text: word, offset });
  }
}
