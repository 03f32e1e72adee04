/** `berth history`: the steps that made an image, newest first. */
import { digestHex } from "../../core/digest.ts";
import { formatBytes } from "../../core/units.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { formatSince, formatTable, shortId } from "../table.ts";
import { findStoredImage } from "../image-names.ts";

const SHOWN_CHARACTERS = 60;

export const historyCommand = command({
  name: "history",
  summary: "Show the steps that made an image",
  flags: {
    "no-trunc": { type: "boolean", summary: "whole ids and commands" },
    quiet: { type: "boolean", short: "q", summary: "ids only" },
  },
  operands: [{ name: "IMAGE", summary: "name or id" }],
  needsRoot: true,
  async run(values, [name = ""], context) {
    using store = openWorkstationStore(context.host);
    const image = findStoredImage(store, name);
    const { history, rootfs } = image.config;
    let layer = 0;
    const steps = history.map((entry) => {
      const diffId = entry.empty_layer === true ? undefined : rootfs.diff_ids[layer];
      if (diffId !== undefined) layer += 1;
      const size = diffId === undefined ? 0 : store.hasLayer(diffId) ? store.layerSize(diffId) : undefined;
      return { created: entry.created, createdBy: entry.created_by ?? "", size, comment: entry.comment ?? "", diffId };
    });
    return {
      id: digestHex(image.manifest.config.digest),
      steps: steps.reverse(),
      whole: values["no-trunc"],
      quiet: values.quiet,
    };
  },
  json: ({ id, steps }) => ({ id, steps }),
  view({ id, steps, whole, quiet }, context) {
    const rows = steps.map((step, i) => {
      const by = step.createdBy.replace(/\s+/g, " ");
      return [
        i === 0 ? (whole ? `sha256:${id}` : shortId(id)) : "<missing>",
        formatSince(step.created, context.host.clock.now()),
        whole || by.length <= SHOWN_CHARACTERS ? by : `${by.slice(0, SHOWN_CHARACTERS - 1)}…`,
        step.size === undefined ? "missing" : formatBytes(step.size),
        step.comment,
      ];
    });
    if (quiet) return rows.map((row) => `${row[0]}\n`).join("");
    return formatTable(["ID", "CREATED", "CREATED BY", "SIZE", "COMMENT"], rows);
  },
});
