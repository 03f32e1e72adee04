/** `berth upgrade`: stage the newest image of the reference that this system follows. */
import { Failure, isFailure } from "../../core/failure.ts";
import { checkUpdate, followedImage, retag, unlockStaged, update } from "../../deploy/update.ts";
import { openMachine } from "../../deploy/machine.ts";
import { previewUnlock, previewUpdate } from "../../deploy/preview.ts";
import type { ImageSpec } from "../../deploy/origin.ts";
import { rebootHost } from "../../deploy/reboot.ts";
import { createRegistrySource } from "../../deploy/registry-source.ts";
import { command, type Context } from "../command.ts";

export const upgradeCommand = command({
  name: "upgrade",
  aliases: ["update"],
  summary: "Fetch and stage a newer image; it is booted at the next reboot",
  description:
    "Nothing of the running system changes. /etc is merged into the new deployment; a conflict is reported before anything is staged. The image that runs now stays as the rollback image.",
  examples: [
    ["berth upgrade --check", "is there an update, and how much is to be fetched"],
    ["berth upgrade --dry-run", "say what would be fetched, staged and dropped"],
    ["berth upgrade", "fetch and stage it"],
    ["berth upgrade --apply", "and reboot into it"],
  ],
  flags: {
    check: { type: "boolean", summary: "Only say whether there is an update" },
    apply: { type: "boolean", summary: "Reboot when an update is staged" },
    quiet: { type: "boolean", summary: "No progress bars" },
    tag: { type: "string", value: "TAG", summary: "Another tag of the image that is followed" },
    "download-only": { type: "boolean", summary: "Stage, but do not boot it before --from-downloaded" },
    "from-downloaded": { type: "boolean", summary: "Boot what was staged by --download-only; no network" },
    "soft-reboot": {
      type: "string",
      value: "WHEN",
      choices: ["auto", "required"],
      summary: "Reboot user space only, where the deployment can",
    },
  },
  plans: true,
  run: async (values, _operands, context) => {
    checkFlags(values);
    const print = printer(context);
    const access = values.check || context.dryRun ? "read" : "write";
    const result = await (async () => {
      using machine = await openMachine(context.host, { access, progress: context.progress });
      if (values["from-downloaded"]) {
        return context.dryRun ? previewUnlock(machine, print) : await unlockStaged(machine, print);
      }
      const spec = targetOf(machine, values.tag);
      const source = createRegistrySource(context);
      const request = { spec, signal: context.signal, print };
      // Awaited here: the machine is open until then.
      if (values.check) return await checkUpdate(machine, source, request);
      if (context.dryRun) return await previewUpdate(machine, source, request);
      return await update(machine, source, { ...request, downloadOnly: values["download-only"] });
    })();
    if (values.apply) await rebootInto(result, context);
    return result;
  },
  view: () => undefined,
});

/** When something is staged; a dry run only says so. */
export async function rebootInto(result: { readonly kind: string }, context: Context): Promise<void> {
  if (context.dryRun) printer(context)("--apply: would reboot when something is staged");
  else if (result.kind === "staged" || result.kind === "already-staged") await rebootHost(context.host);
}

function targetOf(machine: Parameters<typeof followedImage>[0], tag: string | undefined): ImageSpec {
  if (tag === undefined) return followedImage(machine);
  try {
    return retag(followedImage(machine), tag);
  } catch (error) {
    if (!isFailure(error, "not-found")) throw error;
    throw new Failure("not-found", "--tag requires a booted image with a specified source", {
      hint: "name one with `berth switch HOST/NAME:TAG`",
      cause: error,
    });
  }
}

/** Lines of talk go to stdout, as bootc's do; with --json they make way for the result. */
export function printer(context: Context): (line: string) => void {
  return (line) => (context.json ? context.progress.say(line) : context.print(`${line}\n`));
}

interface UpgradeFlags {
  readonly check: boolean;
  readonly apply: boolean;
  readonly "download-only": boolean;
  readonly "from-downloaded": boolean;
  readonly "soft-reboot": string | undefined;
}

function checkFlags(values: UpgradeFlags): void {
  const given = {
    "--check": values.check,
    "--apply": values.apply,
    "--download-only": values["download-only"],
    "--from-downloaded": values["from-downloaded"],
    "--soft-reboot": values["soft-reboot"] !== undefined,
  };
  const apart: readonly [keyof typeof given, keyof typeof given][] = [
    ["--check", "--apply"],
    ["--check", "--soft-reboot"],
    ["--check", "--download-only"],
    ["--check", "--from-downloaded"],
    ["--download-only", "--apply"],
    ["--download-only", "--from-downloaded"],
  ];
  for (const [left, right] of apart) {
    if (given[left] && given[right]) throw new Failure("usage", `Cannot use ${left} together with ${right}`);
  }
  refuseSoftReboot(values["soft-reboot"]);
}

/** `auto` falls back to a reboot, as bootc does. */
export function refuseSoftReboot(when: string | undefined): void {
  if (when !== "required") return;
  throw new Failure("unsupported", "Soft reboot was required but staged deployment is not soft-reboot capable", {
    hint: "use --apply, which reboots the whole machine",
  });
}
