/**
 * ObjectPool: worker threads that hash and write objects for all imports of one store. Bytes travel in 1 MiB buffers that are
 * moved, not copied, and come back to be filled again; at most IN_FLIGHT_BYTES_MAX are under way.
 */
import type { Worker } from "node:worker_threads";
import type { DigestAlgorithm } from "../core/digest.ts";
import { Failure, type FailureCode } from "../core/failure.ts";
import { startWorker } from "../host/worker.ts";
import { COLLECT_BYTES_MAX, type Sink } from "./object-queue.ts";

export interface PoolOptions {
  readonly directory: string;
  readonly algorithm: DigestAlgorithm;
  readonly verity: boolean;
  readonly workers: number;
  readonly unique: string;
}

/** What the worker is started with. */
export interface WorkerSetup {
  readonly directory: string;
  readonly algorithm: DigestAlgorithm;
  readonly verity: boolean;
  readonly unique: string;
}

/** To the worker. `sizes` are whole objects, one after the other; `part` is a piece of one large object. */
export type WorkerJob =
  | { readonly kind: "objects"; readonly job: number; readonly buffer: ArrayBuffer; readonly sizes: readonly number[] }
  | { readonly kind: "part"; readonly job: number; readonly buffer: ArrayBuffer; readonly size: number; readonly object: number; readonly last: boolean }
  | { readonly kind: "abandon"; readonly object: number };

/** From the worker: the buffer comes back, with the ids of the objects that are complete. */
export type WorkerReply =
  | { readonly kind: "ready" }
  | { readonly kind: "done"; readonly job: number; readonly buffer: ArrayBuffer; readonly ids: readonly string[] }
  | { readonly kind: "failed"; readonly job: number; readonly code: string | undefined; readonly message: string; readonly hint: string | undefined };

export interface PoolSink extends Sink {
  isReady(): boolean;
  ready(): Promise<void>;
  flush(): Promise<void>;
  close(): void;
}

export interface ObjectPool {
  open(): PoolSink;
  close(): void;
}

const BUFFER_BYTES = 1024 * 1024;
const IN_FLIGHT_BYTES_MAX = 24 * BUFFER_BYTES;

interface Lane {
  readonly worker: Worker;
  isReady: boolean;
  /** Jobs sent and not answered. */
  jobs: number;
}

interface Job {
  readonly lane: Lane;
  readonly done: readonly ((objectId: string) => void)[];
  readonly owner: Owner;
}

/** One import. */
interface Owner {
  jobs: number;
  error: unknown;
}

export function createObjectPool(options: PoolOptions): ObjectPool {
  const lanes: Lane[] = [];
  const jobs = new Map<number, Job>();
  const spare: ArrayBuffer[] = [];
  const owners = new Set<Owner>();
  let waiting: (() => void)[] = [];
  let inFlight = 0;
  let nextJob = 1;
  let nextObject = 1;
  /** Workers that cannot start are done without. */
  let isBroken = false;

  const wake = (): void => {
    const all = waiting;
    waiting = [];
    for (const resume of all) resume();
  };
  const lost = (lane: Lane, cause: unknown): void => {
    lanes.splice(lanes.indexOf(lane) >>> 0, 1);
    isBroken = true;
    const failure = new Failure("io", "Cannot write objects: a worker thread ended unexpectedly", { cause });
    for (const [number, job] of jobs) {
      if (job.lane !== lane) continue;
      jobs.delete(number);
      inFlight -= BUFFER_BYTES;
      job.owner.jobs -= 1;
      job.owner.error ??= failure;
    }
    wake();
  };
  const receive = (lane: Lane, reply: WorkerReply): void => {
    if (reply.kind === "ready") {
      lane.isReady = true;
      return;
    }
    const job = jobs.get(reply.job);
    if (job === undefined) return;
    jobs.delete(reply.job);
    inFlight -= BUFFER_BYTES;
    lane.jobs -= 1;
    job.owner.jobs -= 1;
    if (lane.jobs === 0) lane.worker.unref();
    if (reply.kind === "failed") job.owner.error ??= toFailure(reply);
    else {
      if (spare.length < lanes.length * 2) spare.push(reply.buffer);
      try {
        reply.ids.forEach((id, i) => job.done[i]?.(id));
      } catch (error) {
        job.owner.error ??= error;
      }
    }
    wake();
  };
  const start = (): void => {
    while (lanes.length < options.workers && !isBroken) {
      const { directory, algorithm, verity } = options;
      const setup: WorkerSetup = { directory, algorithm, verity, unique: `${options.unique}w${lanes.length}` };
      try {
        const lane: Lane = { worker: startWorker("store/object.worker", setup), isReady: false, jobs: 0 };
        lane.worker.on("message", (reply: WorkerReply) => receive(lane, reply));
        lane.worker.on("error", (error) => lost(lane, error));
        lane.worker.on("exit", () => lanes.includes(lane) && lost(lane, undefined));
        lane.worker.unref();
        lanes.push(lane);
      } catch {
        // No threads here (a restricted environment): everything is written in this thread instead.
        isBroken = true;
      }
    }
  };
  const idlest = (): Lane | undefined =>
    lanes.filter((lane) => lane.isReady).sort((left, right) => left.jobs - right.jobs)[0];
  const send = (lane: Lane, job: Exclude<WorkerJob, { kind: "abandon" }>, about: Omit<Job, "lane">): void => {
    jobs.set(job.job, { lane, ...about });
    inFlight += BUFFER_BYTES;
    if (lane.jobs === 0) lane.worker.ref();
    lane.jobs += 1;
    about.owner.jobs += 1;
    lane.worker.postMessage(job, [job.buffer]);
  };
  const takeBuffer = (): Buffer => Buffer.from(spare.pop() ?? new ArrayBuffer(BUFFER_BYTES));

  const open = (): PoolSink => {
    const owner: Owner = { jobs: 0, error: undefined };
    owners.add(owner);
    let buffer: Buffer | undefined;
    let filled = 0;
    let sizes: number[] = [];
    let done: ((objectId: string) => void)[] = [];
    let large: { readonly lane: Lane; readonly object: number; left: number; readonly done: (objectId: string) => void } | undefined;
    let small: { left: number } | undefined;

    const requireLane = (): Lane => {
      const lane = large?.lane ?? idlest();
      if (lane === undefined) throw owner.error ?? new Failure("io", "Cannot write objects: the worker threads have ended");
      return lane;
    };
    const postObjects = (): void => {
      if (buffer === undefined || sizes.length === 0) return;
      const job = { kind: "objects", job: nextJob++, buffer: buffer.buffer as ArrayBuffer, sizes } as const;
      send(requireLane(), job, { done, owner });
      buffer = undefined;
      filled = 0;
      sizes = [];
      done = [];
    };
    const writeLarge = (bytes: Uint8Array): void => {
      for (let at = 0; at < bytes.length && large !== undefined; ) {
        buffer ??= takeBuffer();
        const take = Math.min(BUFFER_BYTES - filled, bytes.length - at);
        buffer.set(bytes.subarray(at, at + take), filled);
        filled += take;
        at += take;
        large.left -= take;
        const last = large.left === 0;
        if (filled < BUFFER_BYTES && !last) continue;
        const { lane, object } = large;
        const job = { kind: "part", job: nextJob++, buffer: buffer.buffer as ArrayBuffer, size: filled, object, last } as const;
        send(lane, job, { done: last ? [large.done] : [], owner });
        buffer = undefined;
        filled = 0;
        if (last) large = undefined;
      }
    };

    return {
      isReady() {
        if (lanes.length === 0) start();
        return lanes.some((lane) => lane.isReady);
      },
      begin(sizeBytes, report) {
        if (sizeBytes > COLLECT_BYTES_MAX) {
          postObjects();
          large = { lane: requireLane(), object: nextObject++, left: sizeBytes, done: report };
          return;
        }
        if (filled + sizeBytes > BUFFER_BYTES) postObjects();
        buffer ??= takeBuffer();
        sizes.push(sizeBytes);
        done.push(report);
        small = { left: sizeBytes };
      },
      write(bytes) {
        if (large !== undefined) return writeLarge(bytes);
        if (buffer === undefined || small === undefined) throw new Failure("io", "Cannot write to an object: none was started");
        buffer.set(bytes, filled);
        filled += bytes.length;
        small.left -= bytes.length;
        if (small.left === 0) small = undefined;
      },
      async ready() {
        while (inFlight > IN_FLIGHT_BYTES_MAX && owner.error === undefined) await new Promise<void>((resume) => waiting.push(resume));
        if (owner.error !== undefined) throw owner.error;
      },
      async flush() {
        if (small === undefined && large === undefined) postObjects();
        while (owner.jobs > 0 && owner.error === undefined) await new Promise<void>((resume) => waiting.push(resume));
        if (owner.error !== undefined) throw owner.error;
      },
      close() {
        if (large !== undefined) large.lane.worker.postMessage({ kind: "abandon", object: large.object } satisfies WorkerJob);
        owners.delete(owner);
      },
    };
  };

  return {
    open,
    close() {
      isBroken = true;
      for (const lane of lanes.splice(0)) void lane.worker.terminate();
    },
  };
}

const CODES: ReadonlySet<string> = new Set<FailureCode>(["no-space", "denied", "io", "unsupported", "busy", "not-found", "corrupt"]);

function isFailureCode(code: string | undefined): code is FailureCode {
  return code !== undefined && CODES.has(code);
}

function toFailure(reply: Extract<WorkerReply, { kind: "failed" }>): Failure {
  const code = isFailureCode(reply.code) ? reply.code : "io";
  return new Failure(code, reply.message, reply.hint === undefined ? {} : { hint: reply.hint });
}
