/** `berth status`: what is booted, staged and kept for a rollback. */
import { Failure } from "../../core/failure.ts";
import { readHostStatus } from "../../deploy/read-status.ts";
import { onlyBooted } from "../../deploy/status.ts";
import { formatStatus } from "../../deploy/status-view.ts";
import { command } from "../command.ts";

export const statusCommand = command({
  name: "status",
  summary: "Show the booted, the staged and the rollback image of this system",
  description:
    "Text for people is the default everywhere, also where output goes to a file; scripts ask for --json or --format=yaml, which print org.containers.bootc/v1 as bootc does.",
  examples: [
    ["berth status", "what runs, what comes next"],
    ["berth status --json", "the same for scripts"],
    ["berth status --booted --verbose", "all about the running image"],
  ],
  flags: {
    format: {
      type: "string",
      value: "FORMAT",
      choices: ["humanreadable", "yaml", "json"],
      default: "humanreadable",
      summary: "Form of the output",
    },
    "format-version": {
      type: "string",
      value: "N",
      default: "1",
      summary: "Version of the host object; 0 and 1 mean org.containers.bootc/v1",
    },
    booted: { type: "boolean", summary: "Only the booted image" },
    verbose: { type: "boolean", short: "v", summary: "Show the deployment's id, boot entry and kernel too" },
  },
  run: async (values, _operands, context) => {
    if (context.json && values.format === "yaml")
      throw new Failure("usage", "Cannot print both --json and --format=yaml: wanted one of them");
    if (values["format-version"] !== "0" && values["format-version"] !== "1") {
      throw new Failure("usage", `Unsupported format version: ${values["format-version"]}`);
    }
    const { host: found, problems } = await readHostStatus(context.host, context.progress);
    const host = values.booted ? onlyBooted(found) : found;
    for (const problem of problems) context.progress.warn(problem);
    if (context.json) return host;
    if (values.format === "json") context.print(`${JSON.stringify(host)}\n`);
    else if (values.format === "yaml") {
      // Late: it is a tenth of the program's start.
      const { stringify } = await import("yaml");
      context.print(stringify(host));
    } else context.print(`${formatStatus(host, { verbose: values.verbose, booted: values.booted })}\n`);
    return host;
  },
  view: () => undefined,
});
