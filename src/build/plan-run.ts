/** planRun(): RUN with its shell, exec and heredoc forms, environment and mounts. */
import type { Instruction, RunInstruction } from "../containerfile/instruction.ts";
import { errorAt, type Heredoc } from "../containerfile/logical-line.ts";
import type { MountOption } from "../containerfile/mount-option.ts";
import { findStage } from "../containerfile/stages.ts";
import { joinPath, type StageScope } from "./stage-scope.ts";
import type { RunAction, SourceRef, StepMount } from "./step.ts";
import { PROXY_NAMES } from "./build-request.ts";

type Run = RunInstruction & Pick<Instruction, "source">;

export function planRun(instruction: Run, scope: StageScope): { action: RunAction; createdBy: string } {
  const { config } = scope.config;
  refuseUnsupported(instruction);
  const { argv, script } = commandOf(instruction, scope);
  const network = instruction.network === "default" ? scope.request.network : instruction.network;
  const action: RunAction = {
    kind: "run",
    argv,
    script,
    env: runEnvironment(scope),
    user: config.User ?? "",
    workingDirectory: config.WorkingDir ?? "/",
    network,
    mounts: instruction.mounts.map((mount) => planMount(mount, instruction, scope)),
  };
  return { action, createdBy: describeRun(action, scope) };
}

function refuseUnsupported(instruction: Run): void {
  const { line } = instruction.source;
  if (instruction.security === "insecure")
    throw errorAt(line, "RUN --security=insecure is not supported", 0, "every RUN is confined");
  const device = instruction.devices[0];
  if (device !== undefined) throw errorAt(line, "RUN --device is not supported", device.offset);
  const ssh = instruction.mounts.find((mount) => mount.type === "ssh");
  if (ssh !== undefined)
    throw errorAt(
      line,
      "RUN --mount=type=ssh is not supported",
      ssh.word.offset,
      "give the key as a secret: --mount=type=secret",
    );
}

const ONLY_HEREDOC = /^\d*<<-?\s*[^\s<]+$/;

function commandOf(instruction: Run, scope: StageScope): { argv: readonly string[]; script: string | undefined } {
  const { command, heredocs } = instruction;
  if (command.form === "exec") return { argv: command.argv, script: undefined };
  const only = heredocs[0];
  if (only !== undefined && heredocs.length === 1 && ONLY_HEREDOC.test(command.text)) {
    if (only.content.startsWith("#!")) return { argv: [], script: only.content };
    return { argv: [...scope.shell, only.content], script: undefined };
  }
  const bodies = heredocs.map((heredoc: Heredoc) => `\n${heredoc.content}${heredoc.name}`);
  return { argv: [...scope.shell, command.text + bodies.join("")], script: undefined };
}

/** ENV and the ARGs declared so far; ENV wins. Proxies come in when the step runs. */
function runEnvironment(scope: StageScope): string[] {
  const env = new Map<string, string>();
  for (const [name, value] of scope.args) if (value !== undefined) env.set(name, value);
  for (const entry of scope.config.config.Env ?? []) {
    const equals = entry.indexOf("=");
    if (equals > 0) env.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return [...env].map(([name, value]) => `${name}=${value}`).sort();
}

function describeRun(action: RunAction, scope: StageScope): string {
  const args = [...scope.args].filter(([name, value]) => value !== undefined && !PROXY_NAMES.includes(name));
  const words = args.map(([name, value]) => `${name}=${value ?? ""}`).sort();
  const command = action.script ?? action.argv.join(" ");
  return words.length === 0 ? command : `|${words.length} ${words.join(" ")} ${command}`;
}

function planMount(mount: MountOption, instruction: Run, scope: StageScope): StepMount {
  const expand = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : scope.expand(text);
  const target = expand(mount.target);
  const place = target === undefined ? undefined : joinPath(scope.config.config.WorkingDir ?? "/", target);
  if (place === "/") throw errorAt(instruction.source.line, "a mount can not hide the whole root", mount.word.offset);
  const from = mount.from === undefined ? undefined : sourceRef(scope.expand(mount.from), scope);
  const source = expand(mount.source) ?? "/";
  switch (mount.type) {
    case "bind":
      return {
        kind: "bind",
        from: from ?? { kind: "context" },
        source,
        target: place ?? "/",
        readOnly: mount.readOnly,
      };
    case "cache": {
      const { sharing, readOnly } = mount;
      const id = expand(mount.id) ?? place ?? "/";
      return {
        kind: "cache",
        id,
        target: place ?? "/",
        sharing,
        from,
        source,
        mode: mount.mode ?? 0o755,
        uid: mount.uid ?? 0,
        gid: mount.gid ?? 0,
        readOnly,
      };
    }
    case "tmpfs":
      return { kind: "tmpfs", target: place ?? "/", sizeBytes: mount.sizeBytes };
    case "secret":
    case "ssh":
      return planSecret(mount, place, instruction, scope);
  }
}

function planSecret(mount: MountOption, place: string | undefined, instruction: Run, scope: StageScope): StepMount {
  const last = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
  const env = mount.env === undefined ? undefined : scope.expand(mount.env);
  const id = mount.id === undefined ? last(place ?? mount.source ?? "") : scope.expand(mount.id);
  if (mount.required && !scope.request.secrets.has(id)) {
    throw errorAt(
      instruction.source.line,
      `secret ${JSON.stringify(id)} is required and was not given`,
      mount.word.offset,
      `add --secret id=${id},src=FILE`,
    );
  }
  const target = place ?? (env === undefined ? `/run/secrets/${id}` : undefined);
  return { kind: "secret", id, target, env, mode: mount.mode ?? 0o400, uid: mount.uid ?? 0, gid: mount.gid ?? 0 };
}

/** What `--from` and `from=` mean: an earlier stage by name or number, else an image. */
export function sourceRef(name: string, scope: StageScope): SourceRef {
  const stage = findStage(scope.request.file.stages, name, scope.stage.index);
  return stage === undefined ? { kind: "image", name } : { kind: "stage", index: stage.index };
}
