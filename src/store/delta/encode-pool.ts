/**
 * encodeAll(): jobs of a delta over worker threads, the largest first; the answers keep the order of the jobs, so that the delta's
 * bytes do not depend on who was faster.
 */
import { mapConcurrent } from "../../core/concurrency.ts";
import { Failure } from "../../core/failure.ts";
import type { PackedGroup } from "../../format/delta/delta-file.ts";
import type { Host } from "../../host/host.ts";
import { startWorker } from "../../host/worker.ts";
import { type EncodeJob, encodeGroups } from "./encode-group.ts";

export type EncodeReply =
  | { readonly kind: "done"; readonly groups: readonly PackedGroup[] }
  | { readonly kind: "failed"; readonly message: string };

/** Each takes 150 MiB or so: a group, its bases and the compressor's tables. */
const WORKERS_MAX = 4;

export interface EncodeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with each job that is done. */
  readonly onJob?: ((job: EncodeJob) => void) | undefined;
}

/** Failure "io" when a worker cannot go on. */
export async function encodeAll(
  host: Pick<Host, "files" | "cores" | "threads">,
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
  const answers: (readonly PackedGroup[])[] = [];
  const order = jobs
    .map((job, number) => ({ job, number }))
    .sort((left, right) => bytesOf(right.job) - bytesOf(left.job));
  try {
    await mapConcurrent(order, { limit, ...(signal && { signal }) }, async ({ job, number }) => {
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

interface Encoder {
  encode(job: EncodeJob): Promise<readonly PackedGroup[]>;
  close(): void;
}

function createLocalEncoder(host: Pick<Host, "files">): Encoder {
  return { encode: async (job) => encodeGroups(host.files, job), close() {} };
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
      worker.postMessage(job);
      return waiting.promise;
    },
    close: () => void worker.terminate(),
  };
}
