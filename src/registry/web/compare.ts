/** compareImages(): what changes from one image to another. A pure function of the two. */
import { compareBytes } from "../../core/bytes.ts";
import type { ImageView, LayerView } from "./image-view.ts";

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
}

export function compareImages(from: ImageView, to: ImageView): Comparison {
  const had = new Set(from.layers.map((layer) => layer.digest));
  const has = new Set(to.layers.map((layer) => layer.digest));
  return {
    layers: {
      kept: to.layers.filter((layer) => had.has(layer.digest)),
      added: to.layers.filter((layer) => !had.has(layer.digest)),
      removed: from.layers.filter((layer) => !has.has(layer.digest)),
    },
    labels: changes(new Map(Object.entries(from.labels)), new Map(Object.entries(to.labels))),
    packages: from.packages && to.packages && changes(from.packages, to.packages),
  };
}

/** In byte order of the names; what is equal is left out. */
export function changes(from: ReadonlyMap<string, string>, to: ReadonlyMap<string, string>): Change[] {
  return [...new Set([...from.keys(), ...to.keys()])]
    .filter((name) => from.get(name) !== to.get(name))
    .sort(compareBytes)
    .map((name) => ({ name, from: from.get(name), to: to.get(name) }));
}
