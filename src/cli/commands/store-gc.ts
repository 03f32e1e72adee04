/** `berth store gc`: deletes what no image name reaches. */
import { openScratch } from "../../build/scratch.ts";
import { imagesInUse } from "../../containers/containers.ts";
import { formatBytes } from "../../core/units.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";

export const storeGcCommand = command({
  name: "store gc",
  summary: "Delete what no image in the local store needs",
  description:
    "Keeps every named image whole: its layers, compressed blobs and EROFS images; and what containers stand on. Deletes the rest: untagged images, replaced layers, the build " +
    "cache's leftovers and what a crash left behind. Nothing is deleted while another berth command uses the store, or when a named " +
    "image cannot be read.",
  plans: true,
  flags: {},
  examples: [
    ["berth store gc --dry-run", "say what would be deleted"],
    ["berth rmi localhost/os:old && berth store gc", "remove an image and free its space"],
  ],
  async run(_values, _operands, context) {
    const { host, dryRun, progress } = context;
    using store = openWorkstationStore(host);
    // Whoever opens one removes those of killed builds.
    if (!dryRun) openScratch(host, store)[Symbol.dispose]();
    return store.gc({ dryRun, progress, liveIds: imagesInUse(host, store) });
  },
  view(report) {
    const parts = [
      `${report.objects} objects`,
      `${report.blobs} blobs`,
      `${report.streams} streams`,
      `${report.images} EROFS images`,
      ...(report.leftovers > 0 ? [`${report.leftovers} broken-off downloads`] : []),
    ];
    return `${report.dryRun ? "Would delete" : "Deleted"} ${parts.join(", ")}: ${formatBytes(report.bytes)}`;
  },
});
