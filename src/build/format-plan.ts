/** formatPlan(): a BuildPlan for people: what `berth build --dry-run` prints. */
import type { Action, BuildPlan, SourceRef, StepMount } from "./step.ts";

export function formatPlan(plan: BuildPlan): string {
  return plan.stages
    .map((stage, i) => {
      const prefix = plan.stages.length > 1 ? `[${i + 1}/${plan.stages.length}] ` : "";
      const total = stage.steps.length + 1;
      const steps = stage.steps.flatMap((step) => [
        `${prefix}STEP ${step.number}/${total}: ${step.text}`,
        ...describe(step.action).map((line) => `  ${line}`),
      ]);
      return [`${prefix}STEP 1/${total}: ${stage.fromText}`, ...steps, ""].join("\n");
    })
    .join("");
}

function describe(action: Action): string[] {
  switch (action.kind) {
    case "none":
      return [];
    case "workdir":
      return [`make directory ${action.path} if it is missing`];
    case "copy": {
      const names = action.sources.map((source) => (source.kind === "path" ? source.path : `<<${source.heredoc.name}`));
      return [`copy ${names.join(" ")} from ${describeRef(action.from)} to ${action.target}`];
    }
    case "run":
      return [
        `run ${JSON.stringify(action.script === undefined ? action.argv : [action.script])} in ${action.workingDirectory}, network ${action.network}`,
        ...action.mounts.map((mount) => `mount ${describeMount(mount)}`),
      ];
  }
}

function describeRef(ref: SourceRef): string {
  return ref.kind === "context"
    ? "the build context"
    : ref.kind === "stage"
      ? `stage ${ref.index}`
      : `image ${ref.name}`;
}

function describeMount(mount: StepMount): string {
  switch (mount.kind) {
    case "bind":
      return `${mount.source} of ${describeRef(mount.from)} on ${mount.target}${mount.readOnly ? ", read only" : ", changes are dropped"}`;
    case "cache":
      return `cache ${mount.id} on ${mount.target}, ${mount.sharing}`;
    case "tmpfs":
      return `tmpfs on ${mount.target}`;
    case "secret":
      return `secret ${mount.id}${mount.target === undefined ? "" : ` on ${mount.target}`}${mount.env === undefined ? "" : ` as $${mount.env}`}`;
  }
}
