/** `berth image export`: an image of the local store as an OCI folder. */
import { exportLayout } from "../../store/oci-layout.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { findStoredImage } from "../image-names.ts";
import { parseFolder } from "./image-import.ts";

export const imageExportCommand = command({
  name: "image export",
  summary: "Write an image of the local store to an OCI folder",
  description:
    "The folder is made when missing; other images in it stay. Layers are written as they came, so digests do not change. " +
    "For registries, archives and other stores use `berth copy`.",
  flags: {},
  operands: [
    { name: "IMAGE", summary: "name or id of the image" },
    { name: "DESTINATION", summary: "oci:DIRECTORY[:NAME]" },
  ],
  examples: [["berth image export localhost/os:1 oci:/media/usb/os:1", "onto a stick"]],
  async run(_values, operands, context) {
    const [name = "", destination = ""] = operands;
    const reference = parseFolder(destination);
    using store = openWorkstationStore(context.host);
    const image = findStoredImage(store, name);
    await exportLayout(context.host, store, image, reference, { progress: context.progress, signal: context.signal });
    return { digest: image.digest };
  },
  view: ({ digest }) => `${digest}`,
});
