/** `berth pull`: an image from a registry into the store. */
import { digestHex } from "../../core/digest.ts";
import { formatImageRef } from "../../oci/reference.ts";
import { pullImage } from "../../remote/pull.ts";
import { sumByKind, type TransferSum } from "../../remote/transfer-plan.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { readRemoteRef } from "../image-names.ts";
import { REMOTE_FLAGS, remoteContext } from "../remote-flags.ts";

export const pullCommand = command({
  name: "pull",
  summary: "Pull an image from a registry",
  description:
    "Fetches the layers that the store lacks, several at a time. An interrupted pull goes on where it was when it is run again.",
  flags: {
    ...REMOTE_FLAGS,
    quiet: { type: "boolean", short: "q", summary: "Print the image's id only" },
  },
  operands: [{ name: "IMAGE", summary: "HOST/NAME[:TAG][@DIGEST]" }],
  examples: [["berth pull registry.example.com/team/os:1", "into the store of this machine"]],
  async run(values, [name = ""], context) {
    const ref = readRemoteRef(context.host, name);
    const remote = remoteContext(context, values);
    using store = openWorkstationStore(context.host);

    context.progress.say(`Trying to pull ${formatImageRef(ref)}...`);
    let ways: readonly TransferSum[] = [];
    const image = await pullImage(remote, store, ref, { onPlan: (plan) => void (ways = sumByKind(plan)) });
    return { id: digestHex(image.manifest.config.digest), digest: image.digest, names: image.names, ways };
  },
  view: ({ id }) => `${id}\n`,
});
