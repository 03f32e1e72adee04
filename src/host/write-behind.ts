/**
 * writeBehind(): syncs a file now and then while it grows, so that the disk works while bytes arrive and little is left for the end.
 *
 * Invariant: when finish() resolves, all of the file is on disk; a sync that failed before makes it throw.
 */
import type { Host } from "./host.ts";

export interface WriteBehind {
  /** The file has `sizeBytes` now. */
  grown(sizeBytes: number): void;
  /** The rest. Throws also when an earlier sync failed: the kernel tells of a lost write once, to who asks first. */
  finish(): Promise<void>;
}

const EVERY_BYTES = 8 * 1024 * 1024;

/** `sizeBytes`: what the file has already. */
export function writeBehind(host: Pick<Host, "files">, path: string, sizeBytes: number): WriteBehind {
  let syncedBytes = sizeBytes;
  let running: Promise<void> | undefined;
  let failure: { readonly reason: unknown } | undefined;
  return {
    grown(size) {
      if (running !== undefined || size - syncedBytes < EVERY_BYTES) return;
      syncedBytes = size;
      running = host.files
        .syncInBackground(path)
        .catch((reason: unknown) => {
          failure = { reason };
        })
        .finally(() => {
          running = undefined;
        });
    },
    async finish() {
      await running;
      if (failure !== undefined) throw failure.reason;
      await host.files.syncInBackground(path);
    },
  };
}
