/** Layers of an update compared with those of the running image, and with what the store holds. */
import type { Descriptor, Manifest } from "../oci/manifest.ts";
import { sumByKind, type TransferPlan, type TransferSum } from "../remote/transfer-plan.ts";

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
  /** Whole. */
  readonly needed: LayerSum;
  /** How the needed layers come, one entry for each way. */
  readonly ways: readonly TransferSum[];
  /** What comes over the network. */
  readonly bytes: number;
  /** Room that it takes, an estimate. */
  readonly spaceBytes: number;
}

export function describeFetch(plan: TransferPlan): FetchPlan {
  return {
    present: sum(plan.present.map(({ descriptor }) => descriptor)),
    needed: sum(plan.missing.map(({ layer }) => layer.descriptor)),
    ways: sumByKind(plan),
    bytes: plan.bytes,
    spaceBytes: plan.spaceBytes,
  };
}

function sum(layers: readonly Descriptor[]): LayerSum {
  return { count: layers.length, bytes: layers.reduce((total, layer) => total + layer.size, 0) };
}
