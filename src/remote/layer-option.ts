/**
 * LayerOption: one way to get a layer that the store lacks, and what it would move. A pull asks every LayerMethod for its option and
 * takes, layer by layer, the one that moves least; one whose parts turn out wrong is passed over for the next, and the whole blob is
 * the last. A new way to move less is one LayerMethod more in transfer-plan.ts (createMethods), nothing else; a way that brings all layers
 * at once is looked for before them (delta-method.ts).
 */
import { isFailure } from "../core/failure.ts";
import type { ProgressTask } from "../core/progress.ts";
import type { LayerPlan } from "./layer-source.ts";

export type LayerMethodKind = "blob" | "ranges" | "delta";

export interface LayerOption {
  readonly kind: LayerMethodKind;
  /** Bodies of answers that are still to come. */
  readonly bytes: number;
  readonly requests: number;
  /** Room on disk for what comes and what becomes of it, an estimate. */
  readonly spaceBytes: number;
  /**
   * Afterwards the store has the layer. Sets the total of `task` and advances it by the bytes that come. Answers the note that ends the task. Failure
   * "digest-mismatch", "bad-input", "not-found", "unsupported" or "corrupt" when it cannot be done this way.
   */
  obtain(task: ProgressTask): Promise<string | undefined>;
}

export interface LayerMethod {
  /** What option() fetches to know the answer. */
  askBytes(layer: LayerPlan): number;
  /** undefined where this way is not open, which is never an error. */
  option(layer: LayerPlan): Promise<LayerOption | undefined>;
}

export interface PlannedLayer {
  readonly layer: LayerPlan;
  /** The cheapest first; at least one. */
  readonly options: readonly [LayerOption, ...LayerOption[]];
  /** What was fetched to plan it. */
  readonly askedBytes: number;
}

/** Headers of a request and its answer, with a token, about: what a request costs besides its body. */
const REQUEST_BYTES = 700;

/** Bytes over the network. */
export function costOf(option: Pick<LayerOption, "bytes" | "requests">): number {
  return option.bytes + option.requests * REQUEST_BYTES;
}

/** Bytes over the network, for the plan and for the layer. */
export function movedBytes({ options: [best], askedBytes }: PlannedLayer): number {
  return askedBytes + costOf(best);
}

/** `last` is the way that is always open. A method that costs more to ask than the layer is not asked. */
export async function planLayer(
  layer: LayerPlan,
  methods: readonly LayerMethod[],
  last: LayerOption,
): Promise<PlannedLayer> {
  const found: LayerOption[] = [];
  let askedBytes = 0;
  for (const method of methods) {
    const askBytes = method.askBytes(layer);
    if (askBytes >= costOf(last)) continue;
    askedBytes += askBytes;
    const option = await method.option(layer);
    if (option !== undefined && costOf(option) < costOf(last)) found.push(option);
  }
  const [first, ...others] = found.sort((left, right) => costOf(left) - costOf(right));
  return { layer, options: first === undefined ? [last] : [first, ...others, last], askedBytes };
}

/** The whole blob for now: what else there is, is asked only when it comes to that. */
export function postponeLayer(layer: LayerPlan, methods: readonly LayerMethod[], last: LayerOption): PlannedLayer {
  const obtain: LayerOption["obtain"] = async (task) => obtainLayer(await planLayer(layer, methods, last), task);
  return { layer, options: [{ ...last, obtain }], askedBytes: 0 };
}

/** The cheapest way that works. What goes wrong besides (a network that is down) ends it: it goes on where it was when it is run again. */
export async function obtainLayer({ options }: PlannedLayer, task: ProgressTask): Promise<string | undefined> {
  for (const [i, option] of options.entries()) {
    try {
      return await option.obtain(task);
    } catch (error) {
      if (i === options.length - 1 || !isUnsuited(error)) throw error;
    }
  }
  return undefined;
}

function isUnsuited(error: unknown): boolean {
  return (["digest-mismatch", "bad-input", "not-found", "unsupported", "corrupt"] as const).some((code) =>
    isFailure(error, code),
  );
}
