/** checkContainerfile(): what `berth containerfile check` says of one file. */
import { ContainerfileError, formatExcerpt } from "./containerfile-error.ts";
import { type Instruction, instructionName } from "./instruction.ts";
import type { Warning } from "./logical-line.ts";
import { readContainerfile } from "./stages.ts";

export interface CheckedInstruction {
  readonly name: string;
  readonly flags: readonly string[];
  readonly args: readonly string[];
  /** Physical line, from 1. */
  readonly line: number;
}

export type CheckResult = { readonly file: string } & (
  | {
      readonly accept: true;
      readonly instructions: readonly CheckedInstruction[];
      readonly warnings: readonly Warning[];
    }
  | { readonly accept: false; readonly error: CheckedError }
);

export interface CheckedError {
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint?: string;
  /** The line and a caret, for people. */
  readonly excerpt: string;
}

export function checkContainerfile(file: string, text: string): CheckResult {
  try {
    const { instructions, warnings } = readContainerfile(text);
    return { file, accept: true, instructions: instructions.map(describe), warnings };
  } catch (error) {
    if (!(error instanceof ContainerfileError)) throw error;
    const { line, column, message, hint } = error;
    return {
      file,
      accept: false,
      error: { line, column, message, ...(hint !== undefined && { hint }), excerpt: formatExcerpt(error) },
    };
  }
}

function describe(instruction: Instruction): CheckedInstruction {
  const { flags, args, line } = instruction.source;
  return { name: instructionName(instruction), flags, args, line: line.line };
}

/** For people: one line for a file that is fine, the excerpt for one that is not. */
export function formatCheck(result: CheckResult): string {
  if (result.accept) {
    const warnings = result.warnings.map((warning) => `${result.file}:${warning.line}: warning: ${warning.message}\n`);
    return `${warnings.join("")}${result.file}: ok, ${result.instructions.length} instructions\n`;
  }
  const { line, column, message, hint, excerpt } = result.error;
  return `${result.file}:${line}:${column}: ${message}\n${excerpt}\n${hint === undefined ? "" : `  hint: ${hint}\n`}`;
}
