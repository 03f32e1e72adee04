/**
 * Variables of a build: the scopes of ARG and ENV. ENV beats ARG of the same name; ARGs before the first FROM are seen by FROM
 * only, until a stage asks for one by name.
 *
 * @see Dockerfile reference, "Scope" and "Predefined ARGs"
 */
import type { ArgInstruction } from "../containerfile/instruction.ts";
import { expandWord, type Lookup } from "../containerfile/word-expansion.ts";
import { type BuildRequest, PROXY_NAMES } from "./build-request.ts";

/** TARGETPLATFORM and its kin. */
export function platformArgs(architecture: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const side of ["TARGET", "BUILD"]) {
    found.set(`${side}PLATFORM`, `linux/${architecture}`);
    found.set(`${side}OS`, "linux");
    found.set(`${side}ARCH`, architecture);
    found.set(`${side}VARIANT`, "");
  }
  return found;
}

export interface GlobalArgs {
  /** Values that FROM sees. */
  readonly lookup: Lookup;
  /** What a bare `ARG name` in a stage gets when nothing was given for it. */
  readonly inherited: Lookup;
  readonly consumed: Set<string>;
}

export function readGlobalArgs(request: BuildRequest): GlobalArgs {
  const platform = platformArgs(request.architecture);
  const declared = new Map<string, string | undefined>();
  const consumed = new Set<string>();
  const lookup: Lookup = (name) => (declared.has(name) ? declared.get(name) : platform.get(name));
  for (const instruction of request.file.globals)
    declareArgs(instruction, { request, declared, inherited: (name) => platform.get(name), lookup, consumed });
  return { lookup, inherited: lookup, consumed };
}

export interface ArgScope {
  readonly request: BuildRequest;
  readonly declared: Map<string, string | undefined>;
  readonly inherited: Lookup;
  readonly lookup: Lookup;
  readonly consumed: Set<string>;
}

/** `--build-arg`, else the default, else what is inherited; each sees those before it. Throws WordError. */
export function declareArgs(instruction: ArgInstruction, scope: ArgScope): void {
  const { request, declared, inherited, lookup, consumed } = scope;
  const escape = request.file.directives.escape;
  const values = instruction.arguments.map(({ name, value }) => {
    const given = request.buildArgs.get(name);
    if (given !== undefined) consumed.add(name);
    const epoch = name === "SOURCE_DATE_EPOCH" ? request.epochSec : undefined;
    return [
      name,
      given ??
        epoch?.toString() ??
        (value === undefined ? inherited(name) : expandWord(value.text, lookup, { escape })),
    ] as const;
  });
  for (const [name, value] of values) declared.set(name, value);
}

/** Names of `--build-arg` that no ARG asked for; proxies and platform arguments need none. */
export function unconsumedArgs(request: BuildRequest, consumed: ReadonlySet<string>): string[] {
  const known = new Set([...PROXY_NAMES, ...platformArgs(request.architecture).keys(), "SOURCE_DATE_EPOCH"]);
  return [...request.buildArgs.keys()].filter((name) => !consumed.has(name) && !known.has(name));
}

/** `NAME=value` list with one name set; its place is kept. */
export function setVariable(list: readonly string[], name: string, value: string): string[] {
  const at = list.findIndex((entry) => entry.startsWith(`${name}=`));
  return at < 0 ? [...list, `${name}=${value}`] : list.with(at, `${name}=${value}`);
}

export function getVariable(list: readonly string[], name: string): string | undefined {
  return list.findLast((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}
