/** `berth registry gc`: deletes what no manifest of a registry needs. */
import { textToByteName } from "../../core/bytes.ts";
import { formatBytes } from "../../core/units.ts";
import { gcRegistry } from "../../registry/upkeep/gc-registry.ts";
import { command } from "../command.ts";

export const registryGcCommand = command({
  name: "registry gc",
  summary: "Delete what no manifest in a registry needs",
  description:
    "Takes first what the rules of [[retention]] and the size of [[upstream]] say. Works while the registry serves, and while clients push: content stays for the configuration's gc.grace (24 hours) after it was\n" +
    "pushed, mounted or asked for by somebody who may push. Also drops uploads that nobody went on with for a day.",
  plans: true,
  flags: {},
  operands: [{ name: "DIR", summary: "the registry's folder" }],
  examples: [["berth registry gc --dry-run /srv/registry", "say what would be deleted"]],
  async run(_values, [directory = ""], context) {
    const { dryRun, signal } = context;
    return gcRegistry(context.host, textToByteName(directory), { dryRun, signal });
  },
  view({ retention, dryRun, blobs, bytes, links, kept, uploads }) {
    const parts = `${blobs} blobs, ${links} links${dryRun ? "" : `, ${uploads} uploads`}: ${formatBytes(bytes)}`;
    const rules = retention.map((step) =>
      step.kind === "delete-tag"
        ? `retention: tag ${step.repository}:${step.tag}\n`
        : `retention: manifest ${step.repository}@${step.digest}\n`,
    );
    return `${rules.join("")}${dryRun ? "Would delete" : "Deleted"} ${parts}; ${kept} unneeded blobs are too young or leased`;
  },
});
