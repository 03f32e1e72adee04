/** `berth registry sync`: repositories between registries, or to and from a folder for a network without one. */
import { formatBytes } from "../../core/units.ts";
import { openPlace } from "../../remote/sync/open-place.ts";
import { applySync, planSync, type SyncPlan, type SyncResult } from "../../remote/sync/sync.ts";
import { globToPattern } from "../../remote/sync/sync-place.ts";
import { command } from "../command.ts";
import { SIDED_FLAGS, sidedContext } from "../remote-flags.ts";

export const registrySyncCommand = command({
  name: "registry sync",
  summary: "Bring repositories from one registry or folder to another",
  description:
    "Copies every tag of a repository, or of all repositories of a registry, with all that refers to it (signatures, deltas). Only what " +
    "is missing moves, image by image: it can be broken off and run again. Names stay; a path at the destination is put in front. " +
    "In a folder or archive an image is named REPOSITORY:TAG. An archive is written anew from what it held and what is missing.",
  flags: {
    tag: { type: "string", value: "GLOB", default: "*", summary: "Only tags that match" },
    delete: { type: "boolean", summary: "Delete tags of these repositories that the source does not have" },
    ...SIDED_FLAGS,
    quiet: { type: "boolean", short: "q", summary: "Print nothing" },
  },
  operands: [
    { name: "SOURCE", summary: "HOST[/REPOSITORY], oci:DIR or oci-archive:FILE" },
    { name: "DESTINATION", summary: "HOST[/PREFIX], oci:DIR or oci-archive:FILE" },
  ],
  plans: true,
  examples: [
    ["berth registry sync registry.example.com/team/os oci:/media/usb", "onto a stick"],
    ["berth registry sync oci:/media/usb registry.plant.example", "and into the plant's registry"],
  ],
  async run(values, [from = "", to = ""], context) {
    const tags = globToPattern(values.tag);
    const destination = { ...sidedContext(context, values, "dest"), host: context.host };
    const origin = { ...sidedContext(context, values, "src"), host: context.host };
    await using source = await openPlace(origin, from, { side: "source", tags });
    await using target = await openPlace(destination, to, { side: "destination", tags });

    const plan = await planSync(source, target, { delete: values.delete });
    if (context.dryRun) return describe(plan);
    return applySync(destination, source, target, plan);
  },
  view: (value, context) => {
    if ("steps" in value) return value.steps.map(({ what, name }) => `${what.padEnd(9)} ${name}\n`).join("");
    context.progress.say(formatResult(value));
    return undefined;
  },
});

function describe({ steps, unchanged }: SyncPlan): {
  steps: readonly { what: string; name: string; digest: string; referrers: number }[];
  unchanged: number;
} {
  return {
    steps: steps.map((step) => ({
      what: step.kind,
      name: `${step.image.repository}:${step.image.tag}`,
      digest: step.image.digest,
      referrers: step.kind === "delete" ? 0 : step.referrers.length,
    })),
    unchanged,
  };
}

function formatResult({ copied, deleted, unchanged, movedBytes }: SyncResult): string {
  return `Synced ${copied} images (${formatBytes(movedBytes)}), deleted ${deleted} tags, ${unchanged} unchanged`;
}
