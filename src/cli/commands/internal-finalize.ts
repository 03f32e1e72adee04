/** `berth internal finalize`: what berth-finalize-staged.service does at shutdown. */
import { requireBooted } from "../../deploy/environment.ts";
import { finalizeHost } from "../../deploy/finalize.ts";
import { command } from "../command.ts";

export const internalFinalizeCommand = command({
  name: "internal finalize",
  aliases: ["composefs-finalize-staged"],
  summary: "Make the staged deployment the default of the next boot",
  hidden: true,
  flags: {},
  run: async (_values, _operands, context) => {
    requireBooted(context.host);
    return finalizeHost(context.host, context.progress);
  },
  view: (done) => {
    switch (done.kind) {
      case "nothing":
        return "Nothing is staged";
      case "locked":
        return `Deployment ${done.id} is downloaded only: left as it is`;
      case "finalized":
        return `Deployment ${done.id} boots next`;
    }
  },
});
