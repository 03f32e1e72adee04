/** pushDeltas(): for `berth push --delta-from N`, deltas from the images that machines probably run to the one just pushed. */
import { Failure } from "../core/failure.ts";
import { formatBytes } from "../core/units.ts";
import { type ImageRef, formatRepository } from "../oci/reference.ts";
import type { RemoteContext } from "../remote/context.ts";
import { listDeltas, pushDelta } from "../remote/delta-artifact.ts";
import type { PreviousImage } from "../remote/previous-images.ts";
import type { Session } from "../remote/session.ts";
import type { Store, StoredImage } from "../store/store.ts";

const COUNT_MAX = 100;

/** Of the commands that make deltas. */
export const KEEP_XZ = {
  type: "boolean",
  summary: "Compare xz files (Debian 13's kernel modules) as they are: larger deltas, quick to apply",
} as const;

/** Failure "usage" for what is no small number. */
export function readDeltaCount(text: string): number {
  const count = Number(text);
  if (/^[0-9]+$/.test(text) && count >= 1 && count <= COUNT_MAX) return count;
  throw new Failure("usage", `Cannot make deltas from "${text}" images: wanted a number from 1 to ${COUNT_MAX}`);
}

export interface WantedDeltas {
  readonly next: StoredImage;
  readonly ref: ImageRef;
  readonly from: readonly PreviousImage[];
  /** Compare xz files as they are. */
  readonly keepXz: boolean;
}

/** One that cannot be made, or would be larger than the layers, is told and left out. */
export async function pushDeltas(
  context: RemoteContext,
  store: Store,
  session: Session,
  { next, ref, from, keepXz }: WantedDeltas,
): Promise<void> {
  const { progress, signal } = context;
  const known = new Set((await listDeltas(session, next.digest)).map(({ old }) => old));
  for (const { tag, digest } of from) {
    const name = `${formatRepository(ref)}${tag === undefined ? `@${digest}` : `:${tag}`}`;
    const old = store.image(digest);
    if (digest === next.digest || known.has(digest)) continue;
    if (old === undefined) {
      progress.warn(`No delta from ${name}: ${digest} is not in the store (pull it first)`);
      continue;
    }
    if (next.config.rootfs.diff_ids.every((diffId) => old.config.rootfs.diff_ids.includes(diffId))) {
      progress.say(`No delta from ${name}: it has all layers`);
      continue;
    }
    const delta = await store.createDelta(old, next, { keepXz, progress, signal });
    if (delta.bytes >= delta.layerBytes) {
      progress.say(`No delta from ${name}: it would be no smaller than the layers`);
      continue;
    }
    await pushDelta(context, session, { delta, next });
    progress.say(`Delta from ${name}: ${formatBytes(delta.bytes)} instead of ${formatBytes(delta.layerBytes)}`);
  }
}
