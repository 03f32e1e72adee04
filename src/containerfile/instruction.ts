/**
 * Instruction: what one logical line of a Containerfile says. Words keep their variables; nothing is expanded yet.
 */
import type { Heredoc, LogicalLine } from "./logical-line.ts";
import type { MountOption } from "./mount-option.ts";
import type { Word } from "./words.ts";

export const INSTRUCTION_NAMES = [
  "ADD",
  "ARG",
  "CMD",
  "COPY",
  "ENTRYPOINT",
  "ENV",
  "EXPOSE",
  "FROM",
  "HEALTHCHECK",
  "LABEL",
  "MAINTAINER",
  "ONBUILD",
  "RUN",
  "SHELL",
  "STOPSIGNAL",
  "USER",
  "VOLUME",
  "WORKDIR",
] as const;

export type InstructionName = (typeof INSTRUCTION_NAMES)[number];

/** What every instruction carries. */
export interface InstructionSource {
  readonly line: LogicalLine;
  /** Flag words as written, unquoted, e.g. `--from=base`. */
  readonly flags: readonly string[];
  /** Arguments as the instruction's shape divides them. */
  readonly args: readonly string[];
}

export type CommandLine =
  | { readonly form: "exec"; readonly argv: readonly string[] }
  | { readonly form: "shell"; readonly text: string };

export interface Pair {
  readonly name: Word;
  readonly value: Word;
}

export interface FromInstruction {
  readonly kind: "from";
  readonly image: Word;
  readonly stageName: string | undefined;
  readonly platform: Word | undefined;
}

export interface ArgInstruction {
  readonly kind: "arg";
  readonly arguments: readonly { readonly name: string; readonly value: Word | undefined }[];
}

export interface RunInstruction {
  readonly kind: "run";
  readonly command: CommandLine;
  readonly heredocs: readonly Heredoc[];
  readonly mounts: readonly MountOption[];
  readonly network: "default" | "none" | "host";
  readonly security: "sandbox" | "insecure";
  readonly devices: readonly Word[];
}

/** A source of COPY or ADD: a path, glob or URL, or a file written in place. */
export type CopySource =
  | { readonly kind: "path"; readonly word: Word }
  | { readonly kind: "heredoc"; readonly heredoc: Heredoc };

export interface CopyInstruction {
  readonly kind: "copy" | "add";
  readonly sources: readonly CopySource[];
  readonly target: Word;
  readonly from: Word | undefined;
  readonly chown: Word | undefined;
  readonly chmod: Word | undefined;
  readonly checksum: Word | undefined;
  readonly exclude: readonly Word[];
  readonly link: boolean;
  readonly parents: boolean;
  readonly keepGitDir: boolean;
  /** undefined: as the instruction's default. */
  readonly unpack: boolean | undefined;
}

export type HealthcheckInstruction = { readonly kind: "healthcheck" } & (
  | { readonly command: undefined }
  | {
      readonly command: CommandLine;
      readonly intervalMs: number | undefined;
      readonly timeoutMs: number | undefined;
      readonly startPeriodMs: number | undefined;
      readonly startIntervalMs: number | undefined;
      readonly retries: number | undefined;
    }
);

export type InstructionBody =
  | FromInstruction
  | ArgInstruction
  | RunInstruction
  | CopyInstruction
  | HealthcheckInstruction
  | { readonly kind: "env" | "label"; readonly pairs: readonly Pair[] }
  | { readonly kind: "cmd" | "entrypoint"; readonly command: CommandLine }
  | { readonly kind: "shell"; readonly argv: readonly string[] }
  | { readonly kind: "expose" | "volume"; readonly words: readonly Word[] }
  | { readonly kind: "user" | "workdir" | "stopsignal" | "maintainer"; readonly word: Word }
  | { readonly kind: "onbuild"; readonly instruction: Instruction; readonly text: string };

export type Instruction = InstructionBody & { readonly source: InstructionSource };

export function instructionName(instruction: Instruction): InstructionName {
  return instruction.kind.toUpperCase() as InstructionName;
}
