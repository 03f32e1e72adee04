/** compareImages(): what changes from one image to another, and what it costs to move. A pure function of the two. */
import { compareBytes } from "../../core/bytes.ts";
import type { DeltaView, ImageView, LayerView } from "./image-view.ts";

export interface Change {
  readonly name: string;
  /** undefined when it is new. */
  readonly from: string | undefined;
  /** undefined when it is gone. */
  readonly to: string | undefined;
}

export interface Comparison {
  readonly layers: {
    readonly kept: readonly LayerView[];
    readonly added: readonly LayerView[];
    readonly removed: readonly LayerView[];
  };
  readonly labels: readonly Change[];
  /** undefined when one of the images has no SBOM. */
  readonly packages: readonly Change[] | undefined;
  /** Bytes that a machine on the one fetches to get to the other, layer by layer: layers that it lacks, config and manifest. */
  readonly upgradeBytes: number;
  /** The smallest delta between exactly these two. */
  readonly delta: DeltaView | undefined;
}

export function compareImages(from: ImageView, to: ImageView): Comparison {
  const had = new Set(from.layers.map((layer) => layer.digest));
  const has = new Set(to.layers.map((layer) => layer.digest));
  const added = to.layers.filter((layer) => !had.has(layer.digest));
  const bytes = new Map(added.map((layer) => [layer.digest, layer.size]));
  const isSame = from.digest === to.digest;
  return {
    layers: {
      kept: to.layers.filter((layer) => had.has(layer.digest)),
      added,
      removed: from.layers.filter((layer) => !has.has(layer.digest)),
    },
    labels: changes(new Map(Object.entries(from.labels)), new Map(Object.entries(to.labels))),
    packages: from.packages && to.packages && changes(from.packages, to.packages),
    upgradeBytes: isSame ? 0 : [...bytes.values()].reduce((sum, size) => sum + size, to.metadataBytes),
    delta: to.deltas
      .filter((delta) => from.deltaBases.some((base) => delta.bases.includes(base)))
      .sort((a, b) => a.size - b.size)[0],
  };
}

/** In byte order of the names; what is equal is left out. */
export function changes(from: ReadonlyMap<string, string>, to: ReadonlyMap<string, string>): Change[] {
  return [...new Set([...from.keys(), ...to.keys()])]
    .filter((name) => from.get(name) !== to.get(name))
    .sort(compareBytes)
    .map((name) => ({ name, from: from.get(name), to: to.get(name) }));
}
