/**
 * createLatePacking(): objects of a delta that `xz` packs. They are collected and packed many at a time, by as many processes as there
 * are cores, while the next contents are made.
 */
import { Failure } from "../../core/failure.ts";
import type { XzSettings } from "../../format/xz/xz-file.ts";
import type { Repository } from "../repository.ts";
import { cutAlike } from "./xz.ts";
import { openXzScratch, type XzScratch } from "./xz-scratch.ts";

export interface LateObject {
  readonly settings: XzSettings;
  readonly expanded: Buffer;
  /** Packed. */
  readonly sizeBytes: number;
  readonly put: (packed: Buffer) => void;
}

export interface LatePacking extends AsyncDisposable {
  add(object: LateObject): void;
  /** Packs what was added; returns while that is being done, unless all cores are busy. Failure as of `put`, "missing-tool", "unsupported". */
  start(): Promise<void>;
  /** Everything that was added is packed and put. */
  settle(): Promise<void>;
}

export function createLatePacking(repository: Repository, signal: AbortSignal | undefined): LatePacking {
  const stop = new AbortController();
  const ends = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const running = new Set<Promise<void>>();
  let added: LateObject[] = [];
  let scratch: XzScratch | undefined;
  let failed: { readonly error: unknown } | undefined;
  const packRun = async (run: readonly LateObject[], settings: XzSettings): Promise<void> => {
    scratch ??= openXzScratch(repository);
    const packed = await scratch.pack(
      run.map(({ expanded }) => expanded),
      { settings, sizes: run.map(({ sizeBytes }) => sizeBytes), signal: ends },
    );
    if (packed === undefined)
      throw new Failure("unsupported", "Cannot use delta: this machine's xz packs in another way");
    for (const [i, { put }] of run.entries()) put(packed[i] ?? Buffer.alloc(0));
  };
  const waitFor = async (count: number): Promise<void> => {
    while (running.size > count) await Promise.race(running);
    if (failed !== undefined) throw failed.error;
  };
  const start = async (): Promise<void> => {
    const runs = cutAlike(added, ({ expanded }) => expanded.length);
    added = [];
    for (const { run, settings } of runs) {
      await waitFor(repository.host.cores - 1);
      const work: Promise<void> = packRun(run, settings)
        .catch((error: unknown) => void (failed ??= { error }))
        .finally(() => running.delete(work));
      running.add(work);
    }
  };
  return {
    add: (object) => void added.push(object),
    start,
    async settle() {
      await start();
      await waitFor(0);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(running);
      scratch?.[Symbol.dispose]();
    },
  };
}
