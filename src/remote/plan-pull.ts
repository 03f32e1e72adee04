/** planPull(): which layers of an image the store lacks. */
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { ImageConfig } from "../oci/config.ts";
import type { Manifest } from "../oci/manifest.ts";
import { layerCompression } from "../oci/media-types.ts";
import { isComplete } from "../store/oci-layout.ts";
import type { Store } from "../store/store.ts";
import type { LayerPlan } from "./layer-source.ts";

export interface PullPlan {
  readonly present: readonly LayerPlan[];
  readonly missing: readonly LayerPlan[];
  /** Compressed bytes of the missing layers. */
  readonly bytes: number;
}

/** What of `manifest` must be fetched. Failure "bad-input" when config and manifest do not fit, "unsupported" for unknown layers. */
export function planPull(
  store: Pick<Store, "hasLayer" | "hasBlob" | "keepsBlobs">,
  manifest: Manifest,
  config: ImageConfig,
): PullPlan {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw new Failure(
      "bad-input",
      `Cannot use image: its config names ${diffIds.length} layers and its manifest ${manifest.layers.length}`,
    );
  }
  const layers = new Map<Digest, LayerPlan>();
  for (const [i, descriptor] of manifest.layers.entries()) {
    const diffId = diffIds[i];
    if (diffId === undefined) continue;
    if (layerCompression(descriptor.mediaType) === undefined) {
      throw new Failure(
        "unsupported",
        `Cannot use layer ${descriptor.digest}: media type ${JSON.stringify(descriptor.mediaType)} is no tar layer`,
      );
    }
    layers.set(descriptor.digest, { descriptor, diffId });
  }
  const all = [...layers.values()];
  const present = all.filter((layer) => isComplete(store, layer.descriptor, layer.diffId));
  const missing = all.filter((layer) => !present.includes(layer));
  const bytes = missing.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  return { present, missing, bytes };
}
