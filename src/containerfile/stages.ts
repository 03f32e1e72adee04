/**
 * readStages(): instructions → stages, and the checks that need the whole file: what stands before the first FROM, and that
 * every stage named by COPY --from or RUN --mount from= comes earlier.
 */
import type { ArgInstruction, CopyInstruction, FromInstruction, Instruction, RunInstruction } from "./instruction.ts";
import type { Directives } from "./lex.ts";
import { errorAt, type Warning } from "./logical-line.ts";
import { type ParsedFile, parseContainerfile } from "./parse.ts";
import { suggest } from "../core/suggest.ts";
import { parseWord, wordText } from "./word-syntax.ts";

type Of<Body> = Body & Pick<Instruction, "source">;

export interface Stage {
  readonly index: number;
  /** Lower case. */
  readonly name: string | undefined;
  readonly from: Of<FromInstruction>;
  /** What follows FROM. */
  readonly instructions: readonly Instruction[];
}

export interface StagedFile {
  readonly directives: Directives;
  /** ARG before the first FROM. */
  readonly globals: readonly Of<ArgInstruction>[];
  readonly stages: readonly Stage[];
  readonly instructions: readonly Instruction[];
  readonly warnings: readonly Warning[];
}

/** Text → stages, with every check that can be made before values are known. Throws ContainerfileError. */
export function readContainerfile(text: string): StagedFile {
  return readStages(parseContainerfile(text));
}

export function readStages(file: ParsedFile): StagedFile {
  const globals: Of<ArgInstruction>[] = [];
  const stages: { index: number; name: string | undefined; from: Of<FromInstruction>; instructions: Instruction[] }[] =
    [];
  const warnings = [...file.warnings];
  for (const instruction of file.instructions) {
    const { line } = instruction.source;
    if (instruction.kind === "from") {
      const name = instruction.stageName;
      if (name !== undefined && stages.some((stage) => stage.name === name)) {
        warnings.push({ line: line.line, message: `stage name "${name}" is used again; later mentions mean this one` });
      }
      stages.push({ index: stages.length, name, from: instruction, instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.kind === "arg") globals.push(instruction);
    else {
      const name = instruction.kind.toUpperCase();
      throw errorAt(
        line,
        `no build stage in current context: ${name} stands before the first FROM`,
        0,
        "only ARG may come before FROM",
      );
    }
  }
  const first = file.instructions[0];
  if (stages.length === 0 && first !== undefined) {
    throw errorAt(first.source.line, "no build stage: the file has no FROM", 0, "begin with FROM IMAGE");
  }
  for (const stage of stages) checkReferences(stage, stages, file.directives.escape);
  return { directives: file.directives, globals, stages, instructions: file.instructions, warnings };
}

/** The stage that `name` means for stage `before`: by name (the latest wins) or number. */
export function findStage(stages: readonly Stage[], name: string, before: number): Stage | undefined {
  const earlier = stages.slice(0, before);
  return (
    earlier.findLast((stage) => stage.name === name.toLowerCase()) ??
    (/^\d+$/.test(name) ? earlier[Number(name)] : undefined)
  );
}

/** What a COPY or RUN takes from elsewhere: the text (variables not expanded) and where it stands. */
export function sourcesOf(instruction: Instruction): { readonly text: string; readonly offset: number }[] {
  const held = instruction.kind === "onbuild" ? instruction.instruction : instruction;
  if (held.kind === "copy" || held.kind === "add") return fromOfCopy(held);
  if (held.kind === "run") return fromOfMounts(held);
  return [];
}

function fromOfCopy(instruction: CopyInstruction): { text: string; offset: number }[] {
  return instruction.from === undefined ? [] : [instruction.from];
}

function fromOfMounts(instruction: RunInstruction): { text: string; offset: number }[] {
  return instruction.mounts.flatMap((mount) =>
    mount.from === undefined ? [] : [{ text: mount.from, offset: mount.word.offset }],
  );
}

function checkReferences(stage: Stage, stages: readonly Stage[], escape: string): void {
  for (const instruction of stage.instructions) {
    if (instruction.kind === "onbuild") continue;
    for (const source of sourcesOf(instruction)) {
      const name = wordText(parseWord(source.text, { escape }));
      if (name === undefined || findStage(stages, name, stage.index) !== undefined) continue;
      const { line } = instruction.source;
      const later = stages.find(
        (other) => other.index >= stage.index && (other.name === name.toLowerCase() || String(other.index) === name),
      );
      if (later?.index === stage.index) throw errorAt(line, `stage "${name}" can not copy from itself`, source.offset);
      if (later !== undefined) {
        throw errorAt(
          line,
          `stage "${name}" comes later, on line ${later.from.source.line.line}`,
          source.offset,
          "a stage can use earlier stages only",
        );
      }
      const names = stages.slice(0, stage.index).flatMap((earlier) => earlier.name ?? []);
      if (/^\d+$/.test(name)) throw errorAt(line, `there is no stage ${name} before this one`, source.offset);
      const near = /[/:.@]/.test(name) ? undefined : suggest(name, names);
      if (near !== undefined)
        throw errorAt(line, `there is no stage "${name}"`, source.offset, `did you mean ${near}?`);
    }
  }
}
