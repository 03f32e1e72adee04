/** Layers of an update compared with those of the running image, and with what the store holds. Pure but for the store's answers. */
import type { Digest } from "../core/digest.ts";
import type { ImageConfig } from "../oci/config.ts";
import { layerCompression } from "../oci/media-types.ts";
import type { Descriptor, Manifest } from "../oci/manifest.ts";
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
  const lacks = (layers: readonly Descriptor[]) => (layer: Descriptor) => !layers.some((other) => other.digest === layer.digest);
  return { total: sum(after.layers), removed: sum(old.filter(lacks(after.layers))), added: sum(after.layers.filter(lacks(old))) };
}

export interface FetchPlan {
  readonly present: LayerSum;
  readonly needed: LayerSum;
  /** Room that the needed layers take once unpacked, an estimate. */
  readonly spaceBytes: number;
}

/** A layer that occurs twice is fetched once. */
export function planFetch(store: Pick<Store, "hasLayer">, manifest: Manifest, config: ImageConfig): FetchPlan {
  const present: Descriptor[] = [];
  const needed: Descriptor[] = [];
  const seen = new Set<Digest>();
  manifest.layers.forEach((layer, i) => {
    const diffId = config.rootfs.diff_ids[i];
    if (diffId === undefined || seen.has(layer.digest)) return;
    seen.add(layer.digest);
    (store.hasLayer(diffId) ? present : needed).push(layer);
  });
  const spaceBytes = needed.reduce((total, layer) => total + layer.size * (layerCompression(layer.mediaType) === "none" ? 1 : EXPANSION), 0);
  return { present: sum(present), needed: sum(needed), spaceBytes: Math.ceil(spaceBytes) };
}

/** What a compressed layer of an operating system grows to, about. */
const EXPANSION = 2.5;

function sum(layers: readonly Descriptor[]): LayerSum {
  return { count: layers.length, bytes: layers.reduce((total, layer) => total + layer.size, 0) };
}
