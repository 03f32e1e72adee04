/** Layers of an update compared with those of the running image, and with what the store holds. */
import type { ImageConfig } from "../oci/config.ts";
import { layerCompression } from "../oci/media-types.ts";
import type { Descriptor, Manifest } from "../oci/manifest.ts";
import { planPull } from "../remote/plan-pull.ts";
import type { Store } from "../store/store.ts";

export interface LayerSum {
  readonly count: number;
  /** As they are in the registry, compressed. */
  readonly bytes: number;
}

export interface LayerDiff {
  readonly total: LayerSum;
  readonly removed: LayerSum;
  readonly added: LayerSum;
}

export function diffLayers(before: Manifest | undefined, after: Manifest): LayerDiff {
  const old = before?.layers ?? [];
  const lacks = (layers: readonly Descriptor[]) => (layer: Descriptor) =>
    !layers.some((other) => other.digest === layer.digest);
  return {
    total: sum(after.layers),
    removed: sum(old.filter(lacks(after.layers))),
    added: sum(after.layers.filter(lacks(old))),
  };
}

export interface FetchPlan {
  readonly present: LayerSum;
  readonly needed: LayerSum;
  /** Room that the needed layers take once unpacked, an estimate. */
  readonly spaceBytes: number;
}

/** Failure "bad-input" when config and manifest do not fit together. A layer that occurs twice is fetched once. */
export function planFetch(store: Store, manifest: Manifest, config: ImageConfig): FetchPlan {
  const plan = planPull(store, manifest, config);
  const expanded = plan.missing.map(
    ({ descriptor }) => descriptor.size * (layerCompression(descriptor.mediaType) === "none" ? 1 : EXPANSION),
  );
  return {
    present: sum(plan.present.map(({ descriptor }) => descriptor)),
    needed: sum(plan.missing.map(({ descriptor }) => descriptor)),
    spaceBytes: Math.ceil(expanded.reduce((total, size) => total + size, 0)),
  };
}

/** What a compressed layer of an operating system grows to, about. */
const EXPANSION = 2.5;

function sum(layers: readonly Descriptor[]): LayerSum {
  return { count: layers.length, bytes: layers.reduce((total, layer) => total + layer.size, 0) };
}
