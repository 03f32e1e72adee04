/**
 * gather(): pieces of bytes in groups, for a sink to which a few large writes are cheaper than many small ones.
 *
 * Invariant: nothing is held back. A group ends when it is full, when the source has nothing more for one turn of the event loop, and
 * when the source ends or fails: then what came before the failure comes first.
 */

import { endOfTurn } from "./end-of-turn.ts";

export interface GroupSize {
  readonly bytes: number;
  /** Small pieces cost more memory than their bytes. */
  readonly pieces: number;
}

/** Groups end at the first piece that reaches `full`; they are never empty. */
export async function* gather(
  source: AsyncIterable<Uint8Array>,
  full: GroupSize,
): AsyncGenerator<readonly Uint8Array[], void, undefined> {
  const pieces = source[Symbol.asyncIterator]();
  let group: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const next: Promise<Step> = pieces.next().catch((reason: unknown) => ({ reason }));
      const isFull = bytes >= full.bytes || group.length >= full.pieces;
      const soon = isFull ? undefined : await Promise.race([next, endOfTurn()]);
      if (group.length > 0 && (soon === undefined || !("value" in soon) || soon.done === true)) {
        yield group;
        group = [];
        bytes = 0;
      }
      const step = soon ?? (await next);
      if ("reason" in step) throw step.reason;
      if (step.done === true) return;
      group.push(step.value);
      bytes += step.value.length;
    }
  } finally {
    await pieces.return?.();
  }
}

type Step = IteratorResult<Uint8Array, unknown> | { readonly reason: unknown };
