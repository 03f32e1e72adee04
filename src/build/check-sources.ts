/** checkSources(): what COPY, ADD and bind mounts name in the build context is there, before the first step runs. */
import { errorAt } from "../containerfile/logical-line.ts";
import type { Files } from "../host/host.ts";
import { type SourceTree, searchSources } from "./source-tree.ts";
import type { BuildPlan, Step } from "./step.ts";

/** ContainerfileError at the first word that names nothing. */
export function checkSources(files: Files, plan: BuildPlan, context: SourceTree): void {
  for (const { stage, steps } of plan.stages) {
    for (const step of steps) {
      const instruction = stage.instructions[step.number - 2];
      if (instruction === undefined) continue;
      for (const { path, index } of contextSources(step)) {
        const found = searchSources(files, context, path);
        if (typeof found !== "string") continue;
        throw errorAt(instruction.source.line, `cannot use "${path}": ${found}`, offsetOf(instruction, index));
      }
    }
  }
}

interface ContextSource {
  readonly path: string;
  /** Which source or mount of the instruction it is. */
  readonly index: number;
}

function contextSources({ action }: Step): ContextSource[] {
  if (action.kind === "copy" && action.from.kind === "context") {
    return action.sources.flatMap((source, index) => (source.kind === "path" ? [{ path: source.path, index }] : []));
  }
  if (action.kind !== "run") return [];
  return action.mounts.flatMap((mount, index) =>
    mount.kind === "bind" && mount.from.kind === "context" ? [{ path: mount.source, index }] : [],
  );
}

function offsetOf(instruction: BuildPlan["target"]["instructions"][number], index: number): number | undefined {
  if (instruction.kind === "run") return instruction.mounts[index]?.word.offset;
  const source = instruction.kind === "copy" || instruction.kind === "add" ? instruction.sources[index] : undefined;
  return source?.kind === "path" ? source.word.offset : undefined;
}
