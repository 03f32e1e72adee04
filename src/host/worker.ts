/**
 * startWorker(): a worker thread by name, the same from source (.ts), from the one-file bundle and inside the self-contained
 * executable, where no file can be loaded.
 *
 * A worker's entry is a file `src/<folder>/<name>.worker.ts`; its name is `<folder>/<name>.worker`. tools/build-binary.ts bundles
 * each of them as CommonJS (so no top-level await in what a worker imports) and ships it as the executable's asset
 * `workers/<name>.cjs`, and beside dist/berth.mjs as `dist/workers/<name>.cjs`.
 *
 * @see nodejs.org/api/single-executable-applications.html, "Assets"
 */
import { getAsset, isSea } from "node:sea";
import { parentPort, type Transferable, Worker, workerData } from "node:worker_threads";

export interface WorkerStart {
  /** Moved to the worker instead of copied. */
  readonly transfer?: readonly Transferable[];
}

/** `data` arrives as `workerData`. The caller listens for message, error and exit, and ends the worker. */
export function startWorker(name: string, data: unknown, options: WorkerStart = {}): Worker {
  const common = { workerData: data, transferList: [...(options.transfer ?? [])] };
  if (isSea()) return new Worker(getAsset(`workers/${name}.cjs`, "utf8"), { ...common, eval: true });
  const here = import.meta.url;
  const entry = here.endsWith(".ts") ? new URL(`../${name}.ts`, here) : new URL(`./workers/${name}.cjs`, here);
  return new Worker(entry, common);
}

/** Inside a worker: what it was started with, as it came. */
export function workerSetup(): unknown {
  return workerData;
}

/** Inside a worker: calls `receive` for each message; the returned function answers. */
export function connectToParent(receive: (message: unknown) => void): (answer: unknown) => void {
  const port = parentPort;
  if (port === null) throw new Error("this is no worker thread");
  port.on("message", receive);
  return (answer) => port.postMessage(answer);
}
