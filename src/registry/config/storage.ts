/** [storage]: where the registry's bytes lie. */
import { text, variants } from "./fields.ts";

export const storageSection = variants("Where blobs, manifests and tags lie", "driver", {
  files: { directory: text("Folder of the content, relative to the registry's folder") },
});
