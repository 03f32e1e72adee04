/**
 * readIncoming(): the body of a message that comes in, in the pieces in which it comes. A stream's own iterator joins what has arrived
 * between two reads, and so copies most bytes of a busy upload once more.
 *
 * Invariants: at most `limitBytes` wait beside what the stream holds itself; a body that ends early yields what came, then throws; a
 * reader that stops early leaves the connection as it is.
 *
 * @see nodejs.org/api/stream.html, "Two reading modes"
 */
import type * as http from "node:http";
import { noteReceived } from "./young-heap.ts";

export async function* readIncoming(
  incoming: http.IncomingMessage,
  limitBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let arrived: Uint8Array[] = [];
  let waitingBytes = 0;
  let end: { readonly error: Error | undefined } | undefined;
  let wake = (): void => {};
  const onData = (chunk: Uint8Array): void => {
    arrived.push(chunk);
    waitingBytes += chunk.length;
    noteReceived(chunk.length);
    if (waitingBytes >= limitBytes) incoming.pause();
    wake();
  };
  const onEnd = (): void => stop(undefined);
  const onClose = (): void => stop(new Error("aborted"));
  const stop = (error: Error | undefined): void => {
    end ??= { error };
    wake();
  };
  if (incoming.destroyed) onClose();
  incoming.on("data", onData).on("end", onEnd).on("error", stop).on("close", onClose);
  try {
    for (;;) {
      const pieces = arrived;
      arrived = [];
      waitingBytes = 0;
      yield* pieces;
      if (arrived.length > 0) continue;
      if (end?.error !== undefined) throw end.error;
      if (end !== undefined) return;
      const more = Promise.withResolvers<void>();
      wake = more.resolve;
      incoming.resume();
      await more.promise;
    }
  } finally {
    incoming.off("data", onData).off("end", onEnd).off("error", stop).off("close", onClose);
    // What nobody wants of a body that is here must not stop the connection; of one that still comes, the answer decides.
    if (incoming.complete) incoming.resume();
    else incoming.pause();
  }
}
