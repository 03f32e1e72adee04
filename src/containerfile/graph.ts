/**
 * neededStages(): which stages a build of one target runs, in file order: those that it reaches through FROM, COPY --from and
 * RUN --mount from=.
 */
import { findStage, type Stage, type StagedFile, sourcesOf } from "./stages.ts";
import { suggest } from "../core/suggest.ts";
import { expandWord, type Lookup } from "./word-expansion.ts";
import { parseWord, wordText } from "./word-syntax.ts";

/** The stage of this name or number; the last one without a name. Throws RangeError with a suggestion. */
export function findTarget(file: StagedFile, target: string | undefined): Stage {
  const { stages } = file;
  const found = target === undefined ? stages.at(-1) : findStage(stages, target, stages.length);
  if (found !== undefined) return found;
  const names = stages.flatMap((stage) => stage.name ?? []);
  const near = suggest(target ?? "", names);
  const known = names.length === 0 ? "no stage has a name" : `stages: ${names.join(", ")}`;
  throw new RangeError(
    `there is no stage ${JSON.stringify(target)} (${near === undefined ? known : `did you mean ${near}?`})`,
  );
}

/** `globals` gives the values of the ARGs before the first FROM. */
export function neededStages(file: StagedFile, target: Stage, globals: Lookup): Stage[] {
  const needed = new Set<Stage>();
  const visit = (stage: Stage): void => {
    if (needed.has(stage)) return;
    needed.add(stage);
    for (const other of dependenciesOf(file, stage, globals)) visit(other);
  };
  visit(target);
  return file.stages.filter((stage) => needed.has(stage));
}

function dependenciesOf(file: StagedFile, stage: Stage, globals: Lookup): Stage[] {
  const { escape } = file.directives;
  const base = findStage(file.stages, expandWord(stage.from.image.text, globals, { escape }), stage.index);
  const found = base === undefined ? [] : [base];
  for (const instruction of stage.instructions) {
    for (const source of sourcesOf(instruction)) {
      const name = wordText(parseWord(source.text, { escape }));
      // A name with a variable is known only when the stage is planned; every earlier stage may be meant.
      if (name === undefined) found.push(...file.stages.slice(0, stage.index));
      else {
        const other = findStage(file.stages, name, stage.index);
        if (other !== undefined) found.push(other);
      }
    }
  }
  return found;
}
