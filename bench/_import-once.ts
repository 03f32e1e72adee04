/** One import as bench/import.ts times it: `_import-once STORE OCI_FOLDER`. Prints its own times and peak memory as JSON. */
import { readFileSync } from "node:fs";
import { createLinuxHost } from "../src/host/linux.ts";
import { importLayout } from "../src/store/oci-layout.ts";
import { openStore } from "../src/store/open.ts";

const [directory = "", folder = ""] = process.argv.slice(2);
const host = createLinuxHost();
const started = performance.now();
const store = openStore(host, `${directory}/composefs`, { keepBlobs: true, create: true, access: "shared" });
importLayout(host, store, { directory: folder, name: undefined })
  .then((image) => {
    const imported = performance.now();
    store.readTree(image.config.rootfs.diff_ids);
    const merged = performance.now();
    const id = store.imageId(image, "raw");
    const done = performance.now();
    // Not resourceUsage().maxRSS, which starts at what the parent had when it forked.
    const peakKib = Number(/VmHWM:\s+([0-9]+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
    console.log(
      JSON.stringify({
        id,
        importMs: imported - started,
        readTreeMs: merged - imported,
        imageMs: done - merged,
        peakKib,
      }),
    );
  })
  .catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
