/**
 * planInstruction(): one instruction → Step, in the scope of its stage. The scope's configuration, arguments and shell change as
 * the instructions say.
 *
 * @see OCI image-spec config.md; Dockerfile reference
 */
import type { ContainerfileError } from "../containerfile/containerfile-error.ts";
import type { CommandLine, Instruction } from "../containerfile/instruction.ts";
import { instructionName } from "../containerfile/instruction.ts";
import { errorAt } from "../containerfile/logical-line.ts";
import { expandPorts } from "../containerfile/shapes.ts";
import { expandToWords } from "../containerfile/word-expansion.ts";
import type { RunConfig } from "../oci/config.ts";
import { planCopy } from "./plan-copy.ts";
import { planRun } from "./plan-run.ts";
import { joinPath, type StageScope } from "./stage-scope.ts";
import type { Action, Step } from "./step.ts";
import { declareArgs, setVariable } from "./variables.ts";

/** What an instruction does to the configuration, and what is left to do when it is built. */
interface Effect {
  readonly config?: Partial<RunConfig>;
  readonly author?: string;
  readonly action?: Action;
  readonly createdBy?: string;
}

export function planInstruction(instruction: Instruction, number: number, scope: StageScope): Step {
  const { line } = instruction.source;
  const effect = effectOf(instruction, scope);
  scope.config = {
    config: withoutUndefined({ ...scope.config.config, ...effect.config }),
    author: effect.author ?? scope.config.author,
  };
  return {
    number,
    line: line.line,
    text: line.text.trim(),
    createdBy: effect.createdBy ?? `/bin/sh -c #(nop) ${describe(instruction, scope)}`,
    action: effect.action ?? { kind: "none" },
    config: scope.config.config,
    author: scope.config.author,
  };
}

function effectOf(instruction: Instruction, scope: StageScope): Effect {
  const { config } = scope.config;
  switch (instruction.kind) {
    case "from":
      throw new Error("FROM begins a stage and is no step");
    case "arg": {
      const { request, globals, args, lookup } = scope;
      declareArgs(instruction, {
        request,
        declared: args,
        inherited: (name) => args.get(name) ?? globals.inherited(name),
        lookup,
        consumed: globals.consumed,
      });
      return {};
    }
    case "env": {
      const pairs = instruction.pairs.map(
        ({ name, value }) => [scope.expand(name.text), scope.expand(value.text)] as const,
      );
      return { config: { Env: pairs.reduce((env, [name, value]) => setVariable(env, name, value), config.Env ?? []) } };
    }
    case "label": {
      const pairs = instruction.pairs.map(
        ({ name, value }) => [scope.expand(name.text), scope.expand(value.text)] as const,
      );
      return { config: { Labels: { ...config.Labels, ...Object.fromEntries(pairs) } } };
    }
    case "run":
      return planRun(instruction, scope);
    case "copy":
    case "add":
      return planCopy(instruction, scope);
    case "cmd": {
      scope.hasCommand = true;
      const argv = commandOf(instruction.command, scope);
      return { config: { Cmd: argv } };
    }
    case "entrypoint": {
      const entrypoint = commandOf(instruction.command, scope);
      return { config: { Entrypoint: entrypoint, ...(!scope.hasCommand && { Cmd: [] }) } };
    }
    case "expose":
      return { config: { ExposedPorts: { ...config.ExposedPorts, ...exposedPorts(instruction, scope) } } };
    case "volume": {
      const names = instruction.words.map((word) => scope.expand(word.text));
      if (names.includes("")) throw fail(instruction, "VOLUME specified can not be an empty string");
      return { config: { Volumes: { ...config.Volumes, ...Object.fromEntries(names.map((name) => [name, {}])) } } };
    }
    case "user":
      return { config: { User: expandOne(instruction, instruction.word.text, scope) } };
    case "workdir": {
      const path = joinPath(config.WorkingDir ?? "/", expandOne(instruction, instruction.word.text, scope));
      return { config: { WorkingDir: path }, action: { kind: "workdir", path, user: config.User ?? "" } };
    }
    case "stopsignal":
      return { config: { StopSignal: expandOne(instruction, instruction.word.text, scope) } };
    case "maintainer":
      return { author: instruction.word.text };
    case "shell":
      scope.shell = instruction.argv;
      warnDropped(instruction, "later shell forms of this file use it, the image does not keep it", scope);
      return {};
    case "healthcheck":
      warnDropped(instruction, "it is dropped", scope);
      return {};
    case "onbuild":
      warnDropped(instruction, "the trigger is dropped", scope);
      return {};
  }
}

function fail(instruction: Instruction, message: string): ContainerfileError {
  return errorAt(instruction.source.line, message);
}

function warnDropped(instruction: Instruction, what: string, scope: StageScope): void {
  const name = instructionName(instruction);
  scope.warnings.push(
    `${scope.request.fileName}:${instruction.source.line.line}: ${name} has no place in the OCI image format: ${what}`,
  );
}

function expandOne(instruction: Instruction, text: string, scope: StageScope): string {
  const value = scope.expand(text);
  if (value === "")
    throw fail(instruction, `${instructionName(instruction)} ${JSON.stringify(text)} is empty after expansion`);
  return value;
}

function exposedPorts(
  instruction: Extract<Instruction, { kind: "expose" | "volume" }>,
  scope: StageScope,
): Record<string, Record<string, never>> {
  const { escape } = scope.request.file.directives;
  const words = instruction.words.flatMap((word) => expandToWords(word.text, scope.lookup, { escape }));
  const ports = words.flatMap((word) => {
    const found = expandPorts(word);
    if (found === undefined) throw fail(instruction, `invalid port ${JSON.stringify(word)}`);
    return found;
  });
  return Object.fromEntries(ports.map((port) => [port, {}]));
}

function commandOf(command: CommandLine, scope: StageScope): readonly string[] {
  if (command.form === "exec") return command.argv;
  return command.text === "" ? [] : [...scope.shell, command.text];
}

/** An empty list clears what the base had. */
function withoutUndefined(config: RunConfig): RunConfig {
  return Object.fromEntries(
    Object.entries(config).filter(
      ([name, value]) =>
        value !== undefined &&
        !((name === "Cmd" || name === "Entrypoint") && Array.isArray(value) && value.length === 0),
    ),
  );
}

/** The history's text of an instruction that makes no layer. */
function describe(instruction: Instruction, scope: StageScope): string {
  const { config } = scope.config;
  switch (instruction.kind) {
    case "cmd":
      return `CMD ${JSON.stringify(config.Cmd ?? [])}`;
    case "entrypoint":
      return `ENTRYPOINT ${JSON.stringify(config.Entrypoint ?? [])}`;
    case "workdir":
      return `WORKDIR ${config.WorkingDir ?? "/"}`;
    case "user":
      return `USER ${config.User ?? ""}`;
    case "env":
      return `ENV ${instruction.pairs.map(({ name, value }) => `${scope.expand(name.text)}=${scope.expand(value.text)}`).join(" ")}`;
    case "add":
    case "arg":
    case "copy":
    case "expose":
    case "from":
    case "healthcheck":
    case "label":
    case "maintainer":
    case "onbuild":
    case "run":
    case "shell":
    case "stopsignal":
    case "volume":
      return `${instructionName(instruction)} ${instruction.source.args.join(" ")}`;
  }
}
