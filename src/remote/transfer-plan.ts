/**
 * planTransfer(): how each layer of an image gets into a store, and the bytes that this moves, before any layer is touched. What is
 * fetched to know it are the list of deltas and, unless that decides it, the layers' tables of contents, a hundredth of what they
 * describe.
 */
import { mapConcurrent } from "../core/concurrency.ts";
import type { Digest } from "../core/digest.ts";
import type { ImageConfig } from "../oci/config.ts";
import { layerCompression } from "../oci/media-types.ts";
import { formatBytes } from "../core/units.ts";
import type { Store } from "../store/store.ts";
import type { RemoteContext } from "./context.ts";
import {
  costOf,
  type LayerMethod,
  type LayerMethodKind,
  type LayerOption,
  type PlannedLayer,
  movedBytes,
  planLayer,
  postponeLayer,
} from "./layer-option.ts";
import type { OfferedDelta } from "./delta-artifact.ts";
import { costOfDelta, findDeltas, preferDeltas } from "./delta-method.ts";
import { createBlobSource, type LayerPlan } from "./layer-source.ts";
import { keptBytes } from "./partial-blob.ts";
import { planPull } from "./plan-pull.ts";
import { createRangeMethod } from "./range-method.ts";
import type { ResolvedImage } from "./resolve.ts";
import type { TransportResponse } from "./transport.ts";

/** What of a store the ways to get a layer use. */
export type PullStore = Pick<
  Store,
  | "path"
  | "keepsBlobs"
  | "images"
  | "image"
  | "hasLayer"
  | "hasBlob"
  | "contents"
  | "importLayer"
  | "assembleLayer"
  | "applyDelta"
  | "hasDeltaPrograms"
>;

/** What a pull is about: each way to get a layer finds here what it needs. */
export interface PullScope {
  readonly context: RemoteContext;
  readonly store: PullStore;
  readonly resolved: ResolvedImage;
  readonly config: ImageConfig;
  /** Called with each count of bytes that came over the network. */
  readonly onReceived?: ((count: number) => void) | undefined;
}

export interface TransferPlan {
  readonly present: readonly LayerPlan[];
  readonly missing: readonly PlannedLayer[];
  /** Over the network for all of the image, from the question for its tag on, heads of requests included. */
  readonly bytes: number;
  /** Of them, those that are still to come. */
  readonly restBytes: number;
  /** Room on disk that it takes. */
  readonly spaceBytes: number;
}

/** The layers of a plan that come in one way. */
export interface TransferSum {
  readonly kind: LayerMethodKind;
  readonly layers: number;
  /** Over the network. */
  readonly bytes: number;
  /** Of the layers' whole blobs. */
  readonly wholeBytes: number;
}

const PARALLEL_LAYERS = 4;
/** Of a delta's bytes: what the questions for other ways may move. */
const QUESTIONS_SHARE = 0.05;
/** What a layer of an operating system grows to, about. */
const EXPANSION = { none: 1, gzip: 2.5, zstd: 2.5 } as const;

/** Failure "bad-input" and "unsupported" as planPull(), "network". */
export async function planTransfer(scope: PullScope): Promise<TransferPlan> {
  const { store, resolved, config } = scope;
  const { present, missing: lacking } = planPull(store, resolved.manifest, config);
  const missing = lacking.length === 0 ? [] : await planMissing(scope, lacking);
  const { bytes: movedBefore, headBytes } = resolved.session.moved();
  const restBytes = missing.reduce((sum, { options: [best] }) => sum + best.bytes + best.requests * headBytes, 0);
  return {
    present,
    missing,
    bytes: movedBefore + restBytes,
    restBytes,
    spaceBytes: Math.ceil(missing.reduce((sum, { options: [best] }) => sum + best.spaceBytes, 0)),
  };
}

/** Whole blobs that have begun to arrive where a part was asked for: who takes the whole goes on with them. */
interface Arriving {
  readonly offer: (blob: Digest, response: TransportResponse) => void;
  readonly take: (blob: Digest) => TransportResponse | undefined;
}

interface PlanScope extends PullScope {
  readonly arriving: Arriving;
}

async function planMissing(pull: PullScope, lacking: readonly LayerPlan[]): Promise<readonly PlannedLayer[]> {
  const { signal } = pull.context;
  const scope = { ...pull, arriving: createArriving() };
  const methods = createMethods(scope);
  const { offers, askedBytes } = await findDeltas(scope);
  const alone = isDecided(scope, { offer: offers[0], lacking, methods })
    ? lacking.map((layer) => postponeLayer(layer, methods, blobOption(scope, layer)))
    : await mapConcurrent(lacking, { limit: PARALLEL_LAYERS, ...(signal && { signal }) }, (layer) =>
        planLayer(layer, methods, blobOption(scope, layer)),
      );
  const planned = preferDeltas(scope, offers, alone);
  // The first layer stands for the whole.
  return planned.map((layer, i) => (i === 0 ? { ...layer, askedBytes: layer.askedBytes + askedBytes } : layer));
}

/** Whether to take the delta without asking for other ways: they seldom move less, and the questions alone may move more. */
function isDecided(
  scope: PlanScope,
  {
    offer,
    lacking,
    methods,
  }: { offer: OfferedDelta | undefined; lacking: readonly LayerPlan[]; methods: readonly LayerMethod[] },
): boolean {
  if (offer === undefined) return false;
  const sum = (count: (layer: LayerPlan) => number): number =>
    lacking.reduce((total, layer) => total + count(layer), 0);
  const questions = sum((layer) => methods.reduce((total, method) => total + method.askBytes(layer), 0));
  const whole = sum((layer) => costOf(blobOption(scope, layer)));
  return costOfDelta(offer) < Math.min(whole, questions / QUESTIONS_SHARE);
}

/** One entry for each way that is taken. */
export function sumByKind({ missing }: Pick<TransferPlan, "missing">): TransferSum[] {
  const sums = new Map<LayerMethodKind, TransferSum>();
  for (const planned of missing) {
    const {
      layer,
      options: [{ kind }],
    } = planned;
    const sum = sums.get(kind) ?? { kind, layers: 0, bytes: 0, wholeBytes: 0 };
    sums.set(kind, {
      kind,
      layers: sum.layers + 1,
      bytes: sum.bytes + movedBytes(planned),
      wholeBytes: sum.wholeBytes + layer.descriptor.size,
    });
  }
  return [...sums.values()];
}

/** What the layers alone move, and the questions for ways to get them: the part of a plan that does not depend on who asks. */
export function layerBytes(plan: Pick<TransferPlan, "missing">): number {
  return sumByKind(plan).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** "2 layers are here; 1 by ranges: 1.9 MB of 275 MB". */
export function describeTransfer(plan: Pick<TransferPlan, "present" | "missing">): string {
  const count = (layers: number): string => `${layers} ${layers === 1 ? "layer" : "layers"}`;
  const ways = sumByKind(plan).map(({ kind, layers, bytes, wholeBytes }) =>
    kind === "blob"
      ? `${count(layers)} whole: ${formatBytes(bytes)}`
      : `${count(layers)} by ${kind}: ${formatBytes(bytes)} of ${formatBytes(wholeBytes)}`,
  );
  return [...(plan.present.length > 0 ? [`${count(plan.present.length)} reused`] : []), ...ways].join("; ");
}

/** All ways besides the whole blob. */
function createMethods({ context, store, resolved, onReceived, arriving }: PlanScope): LayerMethod[] {
  return [createRangeMethod(context, store, resolved.session, { onReceived, onWhole: arriving.offer })];
}

function createArriving(): Arriving {
  const answers = new Map<Digest, TransportResponse>();
  return {
    offer(blob, response) {
      if (answers.has(blob)) response.discard();
      else answers.set(blob, response);
    },
    take(blob) {
      const response = answers.get(blob);
      answers.delete(blob);
      return response;
    },
  };
}

function blobOption({ context, store, resolved, onReceived, arriving }: PlanScope, layer: LayerPlan): LayerOption {
  const source = createBlobSource(context, store, resolved.session, { onReceived, arriving: arriving.take });
  const { size, mediaType } = layer.descriptor;
  return {
    kind: "blob",
    bytes: Math.max(0, layer.descriptor.size - keptBytes(context.host, store.path, layer.descriptor.digest)),
    requests: 1,
    spaceBytes: size * (EXPANSION[layerCompression(mediaType) ?? "none"] + (store.keepsBlobs ? 2 : 1)),
    async obtain(task) {
      task.total(layer.descriptor.size);
      try {
        return await source.obtain(layer, task);
      } finally {
        arriving.take(layer.descriptor.digest)?.discard();
      }
    },
  };
}
