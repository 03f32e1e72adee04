/**
 * StageScope: what the instructions of one stage see and change while they are planned: configuration, arguments, shell. Words are
 * expanded with the stage's ENV first, then its ARGs.
 *
 * @see Dockerfile reference, "Environment replacement"
 */
import type { Stage } from "../containerfile/stages.ts";
import { expandWord, type Lookup } from "../containerfile/word-expansion.ts";
import type { RunConfig } from "../oci/config.ts";
import type { BuildRequest } from "./build-request.ts";
import { type GlobalArgs, getVariable } from "./variables.ts";

export interface StageScope {
  readonly request: BuildRequest;
  readonly stage: Stage;
  readonly globals: GlobalArgs;
  readonly warnings: string[];
  config: { readonly config: RunConfig; readonly author: string | undefined };
  /** ARGs declared so far, those of the stage built upon included. */
  readonly args: Map<string, string | undefined>;
  shell: readonly string[];
  /** A CMD of this stage survives its ENTRYPOINT; one of the base does not. */
  hasCommand: boolean;
  readonly lookup: Lookup;
  /** Expands a word of an instruction. Throws WordError. */
  expand(text: string): string;
}

export function createStageScope(
  parts: Pick<StageScope, "request" | "stage" | "globals" | "warnings" | "config" | "args" | "shell">,
): StageScope {
  const { escape } = parts.request.file.directives;
  const scope: StageScope = {
    ...parts,
    hasCommand: false,
    lookup: (name) => getVariable(scope.config.config.Env ?? [], name) ?? scope.args.get(name),
    expand: (text) => expandWord(text, scope.lookup, { escape }),
  };
  return scope;
}

/** `path` below `directory` unless it is absolute; `.` and `..` resolved. */
export function joinPath(directory: string, path: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${directory}/${path}`).split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}
