/**
 * encodeAll(): jobs of a delta over worker threads, the largest first; the answers keep the order of the jobs, so that the delta's
 * bytes do not depend on who was faster.
 */
import { mapConcurrent } from "../../core/concurrency.ts";
import { Failure } from "../../core/failure.ts";
import { GROUP_BYTES_MAX } from "../../format/delta/delta-index.ts";
import type { PackedGroup } from "../../format/delta/delta-file.ts";
import type { Host } from "../../host/host.ts";
import { startWorker } from "../../host/worker.ts";
import { createGroupEncoder, type EncodeJob } from "./encode-group.ts";

export type EncodeReply =
  | { readonly kind: "done"; readonly groups: readonly PackedGroup[] }
  | { readonly kind: "failed"; readonly message: string };

const WORKERS_MAX = 4;
/** What all jobs at work may take together; one that takes more works alone. The caller has about 450 MiB of its own by then. */
const MEMORY_BYTES_MAX = 576 * 1024 * 1024;
/** The compressor's tables and a group's streams. */
const JOB_BYTES = 120 * 1024 * 1024;

export interface EncodeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with each job that is done. */
  readonly onJob?: ((job: EncodeJob) => void) | undefined;
}

/** Large bytes of `jobs` are used up. Failure "io" when a worker cannot go on. */
export async function encodeAll(
  host: Pick<Host, "files" | "exec" | "cores" | "threads">,
  jobs: readonly EncodeJob[],
  { signal, onJob }: EncodeOptions = {},
): Promise<PackedGroup[]> {
  const limit = host.threads === true ? Math.min(WORKERS_MAX, host.cores) : 1;
  const encoders = Array.from({ length: limit }, () =>
    host.threads === true ? createWorkerEncoder() : createLocalEncoder(host),
  );
  const close = (): void => encoders.forEach((encoder) => encoder.close());
  signal?.addEventListener("abort", close, { once: true });
  const idle = [...encoders];
  const gate = createGate(MEMORY_BYTES_MAX);
  const answers: (readonly PackedGroup[])[] = [];
  const order = jobs
    .map((job, number) => ({ job, number }))
    .sort((left, right) => bytesOf(right.job) - bytesOf(left.job));
  try {
    await mapConcurrent(order, { limit, ...(signal && { signal }) }, async ({ job, number }) => {
      using _room = await gate(memoryOf(job));
      const encoder = idle.pop();
      if (encoder === undefined) throw new RangeError("more jobs run than there are encoders");
      answers[number] = await encoder.encode(job);
      idle.push(encoder);
      onJob?.(job);
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", close);
    close();
  }
  return answers.flat();
}

function bytesOf(job: EncodeJob): number {
  return job.groups.flat().reduce((sum, { start, end }) => sum + end - start, 0);
}

/** A large content is held whole, with a base of its size and the base's index; contents of a common group come one after the other. */
function memoryOf(job: EncodeJob): number {
  return JOB_BYTES + (job.contents.size === 1 ? 3 * bytesOf(job) : 0);
}

/** Waits until `bytes` more fit, and takes them until it is disposed of. */
function createGate(maxBytes: number): (bytes: number) => Promise<Disposable> {
  let taken = 0;
  let waiting: (() => void)[] = [];
  return async (bytes) => {
    while (taken > 0 && taken + bytes > maxBytes) await new Promise<void>((resolve) => void waiting.push(resolve));
    taken += bytes;
    return {
      [Symbol.dispose]() {
        taken -= bytes;
        const woken = waiting;
        waiting = [];
        for (const wake of woken) wake();
      },
    };
  };
}

/** They move to the thread instead of being copied, and are gone from here. Smaller buffers may be views of one that others use. */
function largeBuffers(job: EncodeJob): ArrayBuffer[] {
  return [...job.contents.values()]
    .flatMap(({ target, bases }) => [target, ...bases])
    .map(({ source }) => (typeof source === "string" ? undefined : source.buffer))
    .filter((buffer) => buffer instanceof ArrayBuffer)
    .filter(({ byteLength }) => byteLength > GROUP_BYTES_MAX);
}

interface Encoder {
  encode(job: EncodeJob): Promise<readonly PackedGroup[]>;
  close(): void;
}

function createLocalEncoder(host: Pick<Host, "files" | "exec">): Encoder {
  return { encode: createGroupEncoder(host), close() {} };
}

function createWorkerEncoder(): Encoder {
  const worker = startWorker("store/delta/encode.worker", undefined);
  let waiting: PromiseWithResolvers<readonly PackedGroup[]> | undefined;
  const fail = (why: string, cause?: unknown): void =>
    waiting?.reject(new Failure("io", `Cannot make a delta: ${why}`, { cause }));
  worker.on("message", (reply: EncodeReply) => {
    if (reply.kind === "done") waiting?.resolve(reply.groups);
    else fail(reply.message);
  });
  worker.on("error", (error) => fail("a worker thread failed", error));
  worker.on("exit", () => fail("a worker thread ended unexpectedly"));
  return {
    encode(job) {
      waiting = Promise.withResolvers();
      worker.postMessage(job, largeBuffers(job));
      return waiting.promise;
    },
    close: () => void worker.terminate(),
  };
}
