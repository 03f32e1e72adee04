/**
 * parseContainerfile(): a Containerfile's text → its instructions. Every instruction and flag of Containerfile(5) and of the
 * Dockerfile reference is read; what is not known is an error with line, column and a suggestion.
 *
 * @see Dockerfile reference; Containerfile(5)
 */
import { readFlags } from "./flags.ts";
import type { Instruction, InstructionBody, InstructionName } from "./instruction.ts";
import { INSTRUCTION_NAMES } from "./instruction.ts";
import { SHAPES } from "./shapes.ts";
import { type Directives, lexContainerfile } from "./lex.ts";
import { errorAt, type LogicalLine, type Warning } from "./logical-line.ts";
import { suggest } from "../core/suggest.ts";
import { restOf } from "./words.ts";

export interface ParsedFile {
  readonly directives: Directives;
  readonly instructions: readonly Instruction[];
  readonly warnings: readonly Warning[];
}

/** Throws ContainerfileError. */
export function parseContainerfile(text: string): ParsedFile {
  const { directives, lines, warnings } = lexContainerfile(text);
  const instructions = lines.map((line) => parseInstruction(line, directives.escape, 0));
  return { directives, instructions, warnings };
}

const NO_TRIGGER = ["ONBUILD", "FROM", "MAINTAINER"];

/** `start` is where the instruction's word begins; past 0 for what ONBUILD holds. */
function parseInstruction(line: LogicalLine, escape: string, start: number): Instruction {
  const word = /^[^\t\v\f\r ]+/.exec(line.text.slice(start))?.[0] ?? "";
  const name = INSTRUCTION_NAMES.find((known) => known === word.toUpperCase());
  if (name === undefined) {
    const near = suggest(word, INSTRUCTION_NAMES);
    const hint = near === undefined ? undefined : `did you mean ${near}?`;
    throw errorAt(line, `unknown instruction ${JSON.stringify(word.slice(0, 40))}`, start, hint);
  }
  if (name === "ONBUILD") return parseOnbuild(line, escape, start, start + word.length);
  const shape = SHAPES[name];
  const flags = readFlags(line, escape, start + word.length, name, shape.flags);
  const context = { line, escape, name, flags, rest: restOf(line.text, flags.end) };
  const { body, args } = shape.read(context);
  return { ...body, source: { line, flags: flags.words, args } };
}

function parseOnbuild(line: LogicalLine, escape: string, start: number, end: number): Instruction {
  if (start > 0) throw errorAt(line, "ONBUILD must not hold ONBUILD", start);
  const flags = readFlags(line, escape, end, "ONBUILD", {});
  const rest = restOf(line.text, flags.end);
  if (rest.text === "") throw errorAt(line, "ONBUILD requires at least one argument", end);
  const instruction = parseInstruction(line, escape, rest.offset);
  const held: InstructionName = instruction.kind.toUpperCase() as InstructionName;
  if (NO_TRIGGER.includes(held)) throw errorAt(line, `ONBUILD must not hold ${held}`, rest.offset);
  const body: InstructionBody = { kind: "onbuild", instruction, text: rest.text };
  return { ...body, source: { line, flags: [], args: [rest.text] } };
}
