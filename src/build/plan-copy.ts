/** planCopy(): COPY and ADD with their variables expanded. */
import type { CopyInstruction, Instruction } from "../containerfile/instruction.ts";
import { instructionName } from "../containerfile/instruction.ts";
import { globSource } from "../containerfile/glob.ts";
import { createIgnoreRules } from "../containerfile/ignore.ts";
import { errorAt } from "../containerfile/logical-line.ts";
import { expandWord } from "../containerfile/word-expansion.ts";
import { joinPath, type StageScope } from "./stage-scope.ts";
import { sourceRef } from "./plan-run.ts";
import type { CopyAction, PlannedSource } from "./step.ts";

type Copy = CopyInstruction & Pick<Instruction, "source">;

const URL = /^(?:https?|ftp|git|ssh):\/\/|^git@/i;

export function planCopy(instruction: Copy, scope: StageScope): { action: CopyAction; createdBy: string } {
  const { line } = instruction.source;
  const name = instructionName(instruction as Instruction);
  const { escape } = scope.request.file.directives;
  const sources = instruction.sources.map((source): PlannedSource => {
    if (source.kind === "path") return planPath(source.word.text, source.word.offset, instruction, scope);
    const { heredoc } = source;
    const content = heredoc.expand
      ? expandWord(heredoc.content, scope.lookup, { escape, quotes: "keep" })
      : heredoc.content;
    return { kind: "heredoc", heredoc: { ...heredoc, content } };
  });
  const checksum = instruction.checksum;
  if (checksum !== undefined)
    throw errorAt(line, "ADD --checksum is for URLs, and none is added here", checksum.offset);
  const target = planTarget(instruction, scope);
  if (sources.length > 1 && !target.endsWith("/")) {
    throw errorAt(
      line,
      `${name} with more than one source needs a destination that ends with /`,
      instruction.target.offset,
    );
  }
  const exclude = instruction.exclude.map((word) => {
    const pattern = scope.expand(word.text);
    try {
      createIgnoreRules([pattern]);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw errorAt(line, error.message, word.offset);
    }
    return pattern;
  });
  const action: CopyAction = {
    kind: "copy",
    from: instruction.from === undefined ? { kind: "context" } : sourceRef(scope.expand(instruction.from.text), scope),
    sources,
    target,
    chown: instruction.chown && scope.expand(instruction.chown.text),
    chmod: planChmod(instruction, scope),
    exclude,
    parents: instruction.parents,
    unpack: instruction.unpack ?? instruction.kind === "add",
  };
  return { action, createdBy: `/bin/sh -c #(nop) ${name} %DIGEST% in ${target} ` };
}

function planPath(text: string, offset: number, instruction: Copy, scope: StageScope): PlannedSource {
  const { line } = instruction.source;
  const path = scope.expand(text);
  if (path === "") throw errorAt(line, `source ${JSON.stringify(text)} is empty after expansion`, offset);
  if (URL.test(path)) {
    if (instruction.kind === "add")
      throw errorAt(
        line,
        `ADD of the URL ${JSON.stringify(path)} is not supported`,
        offset,
        "fetch it before the build, or in a RUN",
      );
    throw errorAt(line, `COPY takes no URL: ${JSON.stringify(path)}`, offset);
  }
  try {
    globSource(path);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw errorAt(line, error.message, offset);
  }
  return { kind: "path", path };
}

/** `/`, `.` and `..` at the end of the written path say that it is a directory. */
function planTarget(instruction: Copy, scope: StageScope): string {
  const { line } = instruction.source;
  const written = scope.expand(instruction.target.text);
  if (written === "")
    throw errorAt(
      line,
      `destination ${JSON.stringify(instruction.target.text)} is empty after expansion`,
      instruction.target.offset,
    );
  const path = joinPath(scope.config.config.WorkingDir ?? "/", written);
  return /(?:^|\/)\.{0,2}$/.test(written) && path !== "/" ? `${path}/` : path;
}

function planChmod(instruction: Copy, scope: StageScope): string | undefined {
  if (instruction.chmod === undefined) return undefined;
  const mode = scope.expand(instruction.chmod.text);
  if (/^[0-7]{1,4}$/.test(mode) || /^[ugoa]*[-+=][rwxXstugo]*(?:,[ugoa]*[-+=][rwxXstugo]*)*$/.test(mode)) return mode;
  throw errorAt(
    instruction.source.line,
    `invalid --chmod ${JSON.stringify(mode)}`,
    instruction.chmod.offset,
    "wanted an octal mode such as 0644, or e.g. u=rwX,go=rX",
  );
}
