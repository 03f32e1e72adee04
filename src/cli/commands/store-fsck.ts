/** `berth store fsck`: hashes the whole store again. */
import { byteNameToText } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";

export const storeFsckCommand = command({
  name: "store fsck",
  summary: "Check every object and blob of the local store",
  description:
    "Hashes all content again and follows all names. With --repair what is damaged is deleted, and with it the names of layers that are no longer " +
    "whole, so that the next pull, import or build brings them again. Exit status 1 when something is damaged and --repair is not given.",
  flags: { repair: { type: "boolean", summary: "delete what is damaged" } },
  examples: [["berth store fsck --repair", "make the store whole; then pull the images that lost a layer"]],
  async run(values, _operands, context) {
    using store = openWorkstationStore(context.host);
    const problems = store.fsck({ repair: values.repair, progress: context.progress });
    for (const { path, what } of problems) context.progress.warn(`${byteNameToText(path)}: ${what}`);
    if (problems.length > 0 && !values.repair) {
      throw new Failure(
        "corrupt",
        `Cannot vouch for the store "${byteNameToText(store.path)}": ${problems.length} of its files are damaged`,
        {
          hint: "run berth store fsck --repair, then pull or build the images again",
        },
      );
    }
    return { problems, repaired: values.repair };
  },
  view({ problems }) {
    return problems.length === 0
      ? "The store is whole"
      : `Deleted ${problems.length} damaged files; pull or build their images again`;
  },
});
