/** `berth inspect`: all that is known of containers, or of images when no container has the name. */
import { findContainer } from "../../containers/containers.ts";
import { inspectContainer } from "../../containers/view.ts";
import { Failure, isFailure } from "../../core/failure.ts";
import type { Store, StoredImage } from "../../store/store.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { findStoredImage } from "../image-names.ts";

export const inspectCommand = command({
  name: "inspect",
  summary: "Show all that is known of a container or an image, as JSON",
  flags: {},
  operands: [{ name: "NAME", summary: "container or image, by name or id", many: true }],
  needsRoot: true,
  async run(_values, operands, { host }) {
    using store = openWorkstationStore(host);
    return operands.map((name) => {
      try {
        return inspectContainer(findContainer(host, store, name));
      } catch (error) {
        if (!isFailure(error, "not-found")) throw error;
        return inspectImage(findImage(store, name));
      }
    });
  },
  view: (value) => JSON.stringify(value, undefined, 4),
});

function findImage(store: Store, name: string): StoredImage {
  try {
    return findStoredImage(store, name);
  } catch (error) {
    if (!isFailure(error, "not-found")) throw error;
    throw new Failure("not-found", `Cannot inspect "${name}": there is no container and no image of this name or id`, {
      hint: "berth ps -a and berth images list them",
    });
  }
}

function inspectImage(image: StoredImage): Record<string, unknown> {
  const { config } = image;
  return {
    Id: image.manifest.config.digest.replace(/^sha256:/, ""),
    Digest: image.digest,
    RepoTags: image.names,
    Created: config.created,
    Architecture: config.architecture,
    Os: config.os,
    Config: config.config,
    RootFS: { Type: "layers", Layers: config.rootfs.diff_ids },
    Labels: config.config.Labels ?? {},
    Annotations: image.manifest.annotations ?? {},
    History: config.history,
  };
}
