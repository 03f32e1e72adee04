/** ShapeContext: what the reader of one instruction is given, and what several of them do with it. */
import type { ContainerfileError } from "./containerfile-error.ts";
import type { FlagWords } from "./flags.ts";
import type { CommandLine, InstructionName, InstructionBody } from "./instruction.ts";
import { errorAt, type LogicalLine } from "./logical-line.ts";
import { parseWord, WordError, wordText } from "./word-syntax.ts";
import { parseJsonForm, splitBlanks, type Word } from "./words.ts";

export interface ShapeContext {
  readonly line: LogicalLine;
  readonly escape: string;
  readonly name: InstructionName;
  readonly flags: FlagWords;
  /** All after the flags. */
  readonly rest: Word;
}

export interface ReadInstruction {
  readonly body: InstructionBody;
  readonly args: readonly string[];
}

export function fail(context: ShapeContext, message: string, offset = 0, hint?: string): ContainerfileError {
  return errorAt(context.line, message, offset, hint);
}

/** Finds the syntax errors of a word that will be expanded later; gives back the word. */
export function checked(context: ShapeContext, word: Word): Word {
  try {
    parseWord(word.text, { escape: context.escape });
  } catch (error) {
    if (!(error instanceof WordError)) throw error;
    throw fail(context, `${error.message} in ${JSON.stringify(word.text.slice(0, 80))}`, word.offset + error.offset);
  }
  return word;
}

/** The text of a word that holds no variable; undefined when its value is known only later. */
export function fixedText(context: ShapeContext, word: Word): string | undefined {
  return wordText(parseWord(checked(context, word).text, { escape: context.escape }));
}

export function checkedFlag(context: ShapeContext, name: string): Word | undefined {
  const word = context.flags.one(name);
  return word === undefined ? undefined : checked(context, word);
}

/** Exec form, or all the rest as one text. */
export function readCommandLine(context: ShapeContext, rest: Word): CommandLine {
  const json = parseJsonForm(rest.text);
  if (json.kind === "not-strings")
    throw fail(context, "the exec form holds only strings", rest.offset, 'write e.g. ["program", "1"]');
  return json.kind === "array" ? { form: "exec", argv: json.values } : { form: "shell", text: rest.text };
}

export function commandArgs(command: CommandLine): readonly string[] {
  return command.form === "exec" ? command.argv : command.text === "" ? [] : [command.text];
}

export function jsonOrWords(context: ShapeContext): readonly Word[] {
  const { rest, line } = context;
  const json = parseJsonForm(rest.text);
  if (json.kind === "not-strings") throw fail(context, "the JSON form holds only strings", rest.offset);
  if (json.kind === "array") return json.values.map((text) => ({ text, offset: rest.offset }));
  return splitBlanks(line.text, rest.offset);
}
