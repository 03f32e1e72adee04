/**
 * findDeltas(), preferDeltas(): deltas for the layers of an image, those that fit and move less than all other ways together. They are
 * for an image, not for a layer, so that they are looked for before the layers are planned one by one, and weighed against all of them.
 * Nothing about them is trusted: the store checks what one makes, and when it is no good, or cannot be had, every layer goes on with
 * the next way of its plan, which is the next delta first.
 */
import { isFailure, Failure } from "../core/failure.ts";
import type { ProgressTask } from "../core/progress.ts";
import { formatBytes } from "../core/units.ts";
import { fetchDeltaLayer, listDeltas, type OfferedDelta } from "./delta-artifact.ts";
import { fetchBlob } from "./fetch-blob.ts";
import { costOf, type LayerOption, type PlannedLayer } from "./layer-option.ts";
import { openPartialBlob, readThrough } from "./partial-blob.ts";
import type { PullScope } from "./transfer-plan.ts";

/** What the list of referrers says without a delta, and of each, about. */
const LIST_BYTES = 100;
const LIST_ENTRY_BYTES = 550;
/** The artifact's manifest, about. */
const MANIFEST_BYTES = 740;
/** What a delta grows to once applied, about. */
const EXPANSION = 20;

/** A few, so that one that is not what it says does not hide the others. */
const OFFERS_MAX = 3;

export interface FoundDeltas {
  /** The smallest first. */
  readonly offers: readonly OfferedDelta[];
  /** What the question moved. */
  readonly askedBytes: number;
}

/** Those whose old image and programs are here. What goes wrong with the list only means that there are none. */
export async function findDeltas({ context, store, resolved }: PullScope): Promise<FoundDeltas> {
  // A store that keeps blobs needs them whole.
  if (store.keepsBlobs || store.images().length === 0) return { offers: [], askedBytes: 0 };
  try {
    const all = await listDeltas(resolved.session, resolved.digest);
    const offers = all
      .filter(({ old, needs }) => store.image(old) !== undefined && store.hasDeltaPrograms(needs))
      .sort((left, right) => left.bytes - right.bytes)
      .slice(0, OFFERS_MAX);
    return { offers, askedBytes: costOf({ bytes: LIST_BYTES + all.length * LIST_ENTRY_BYTES, requests: 1 }) };
  } catch (error) {
    if (!isFailure(error) || context.signal?.aborted === true) throw error;
    return { offers: [], askedBytes: costOf({ bytes: 0, requests: 1 }) };
  }
}

/** What it moves from here on. */
export function costOfDelta(offer: OfferedDelta): number {
  return costOf(transferOf(offer));
}

/** `planned` with the deltas as the first ways of every layer, where its own ways move more together. */
export function preferDeltas(
  scope: PullScope,
  offers: readonly OfferedDelta[],
  planned: readonly PlannedLayer[],
): readonly PlannedLayer[] {
  const others = planned.reduce((sum, { options: [best] }) => sum + costOf(best), 0);
  return offers
    .filter((offer) => costOfDelta(offer) < others)
    .reduceRight((layers, offer) => withDelta(scope, offer, layers), planned);
}

function withDelta(scope: PullScope, offer: OfferedDelta, planned: readonly PlannedLayer[]): readonly PlannedLayer[] {
  const apply = once((task) => applyOffer(scope, offer, planned, task));
  return planned.map(({ layer, options, askedBytes }, i): PlannedLayer => {
    const option: LayerOption = {
      kind: "delta",
      // The first layer stands for the whole.
      ...(i === 0 ? transferOf(offer) : { bytes: 0, requests: 0 }),
      spaceBytes: i === 0 ? offer.bytes * EXPANSION : 0,
      async obtain(task) {
        await apply(task);
        return i === 0 ? `${formatBytes(offer.bytes)} fetched, made from ${offer.old.slice(7, 19)}` : "made with it";
      },
    };
    return { layer, options: [option, ...options], askedBytes };
  });
}

/** The artifact's manifest and the file. */
function transferOf(offer: OfferedDelta): Pick<LayerOption, "bytes" | "requests"> {
  return { bytes: MANIFEST_BYTES + offer.bytes, requests: 2 };
}

/** Failure "unsupported" for whatever is wrong with it; "aborted" and "no-space" are the pull's own. */
async function applyOffer(
  { context, store, resolved, onReceived }: PullScope,
  offer: OfferedDelta,
  planned: readonly PlannedLayer[],
  task: ProgressTask,
): Promise<void> {
  try {
    await fetchAndApply({ context, store, resolved, onReceived }, offer, planned, task);
  } catch (error) {
    if (!isFailure(error) || isFailure(error, "aborted") || isFailure(error, "no-space")) throw error;
    throw new Failure("unsupported", `Cannot use delta ${offer.digest}`, { cause: error });
  }
}

async function fetchAndApply(
  { context, store, resolved, onReceived }: Omit<PullScope, "config">,
  offer: OfferedDelta,
  planned: readonly PlannedLayer[],
  task: ProgressTask,
): Promise<void> {
  task.total(offer.bytes);
  const descriptor = await fetchDeltaLayer(resolved.session, offer);
  using partial = await openPartialBlob(context.host, store.path, descriptor.digest, context.signal);
  task.advance(Math.min(partial.size, descriptor.size));
  const received = (count: number): void => {
    task.advance(count);
    onReceived?.(count);
  };
  const open = (from: number): AsyncIterable<Uint8Array> =>
    fetchBlob(context, resolved.session, descriptor, { from, onReceived: received });
  try {
    await store.applyDelta(readThrough(partial, descriptor.size, open), {
      layers: planned.map(({ layer }) => layer.diffId),
      signal: context.signal,
    });
  } catch (error) {
    // What was kept may be what is wrong.
    if (!isFailure(error, "network")) partial.remove();
    throw error;
  }
  partial.remove();
}

/** All layers wait for one and the same run, which tells its progress in the task of the first that asks. */
function once(work: (task: ProgressTask) => Promise<void>): (task: ProgressTask) => Promise<void> {
  let running: Promise<void> | undefined;
  return (task) => {
    if (running === undefined) running = work(task);
    else task.total(0);
    return running;
  };
}
