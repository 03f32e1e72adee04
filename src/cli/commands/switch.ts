/** `berth switch`: follow another image from now on. */
import { Failure } from "../../core/failure.ts";
import { openMachine } from "../../deploy/machine.ts";
import { previewUpdate, type UpdatePreview } from "../../deploy/preview.ts";
import { createRegistrySource } from "../../deploy/registry-source.ts";
import { followsAlready, type UpdateResult, update } from "../../deploy/update.ts";
import { formatImageRef, parseImageRef } from "../../oci/reference.ts";
import type { ConfigHost } from "../../remote/context.ts";
import { suggestFullNames } from "../../remote/short-names.ts";
import { command } from "../command.ts";
import { printer, rebootInto, refuseSoftReboot } from "./upgrade.ts";

export const switchCommand = command({
  name: "switch",
  aliases: ["rebase"],
  summary: "Follow another image; it is booted at the next reboot",
  description:
    "As upgrade, with another reference: another tag, another registry, the next release of the system. /etc and /var stay.",
  examples: [
    ["berth switch registry.example.com/os:13", "fetch and stage it"],
    ["berth switch --dry-run registry.example.com/os:13", "say what would be fetched, staged and dropped"],
    ["berth rollback", "return to the image before, after the reboot"],
  ],
  flags: {
    apply: { type: "boolean", summary: "Reboot when the image is staged" },
    quiet: { type: "boolean", summary: "No progress bars" },
    transport: {
      type: "string",
      value: "TRANSPORT",
      default: "registry",
      choices: ["registry"],
      summary: "Where the image is",
    },
    "soft-reboot": {
      type: "string",
      value: "WHEN",
      choices: ["auto", "required"],
      summary: "Reboot user space only, where the deployment can",
    },
    retain: { type: "boolean", hidden: true, summary: "Accepted for bootc's sake: the image before is always kept" },
  },
  operands: [{ name: "IMAGE", summary: "HOST/NAME[:TAG][@DIGEST]" }],
  plans: true,
  run: async (values, [target = ""], context) => {
    refuseSoftReboot(values["soft-reboot"]);
    const spec = { transport: values.transport, image: canonical(context.host, target) };
    const print = printer(context);
    const result = await (async (): Promise<UpdateResult | UpdatePreview> => {
      const access = context.dryRun ? "read" : "write";
      using machine = await openMachine(context.host, { access, progress: context.progress });
      const unchanged = followsAlready(machine, spec);
      if (unchanged !== undefined) {
        print("Image specification is unchanged.");
        return unchanged;
      }
      const request = { spec, signal: context.signal, print };
      const source = createRegistrySource(context);
      if (context.dryRun) return await previewUpdate(machine, source, request);
      return await update(machine, source, { ...request, downloadOnly: false });
    })();
    if (values.apply) await rebootInto(result, context);
    return result;
  },
  view: () => undefined,
});

function canonical(host: ConfigHost, target: string): string {
  try {
    return formatImageRef(parseImageRef(target));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const [perhaps = "registry.example.com/os:13"] = suggestFullNames(host, target);
    throw new Failure("bad-input", error.message, { hint: `name the registry too, e.g. ${perhaps}` });
  }
}
