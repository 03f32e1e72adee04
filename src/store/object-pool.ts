/**
 * ObjectPool: worker threads that hash and write objects for all imports of one store. Bytes travel in a fixed number of shared
 * 1 MiB buffers that are filled again and again: memory is bounded, and the garbage collector has nothing to do.
 */
import type { DigestAlgorithm } from "../core/digest.ts";
import { Failure, type FailureCode } from "../core/failure.ts";
import { startWorker } from "../host/worker.ts";
import type { WrittenObject } from "./content-writer.ts";
import { BUFFER_BYTES, type JobBuffer, type WorkerJob, type WorkerReply, type WorkerSetup } from "./object-protocol.ts";
import { COLLECT_BYTES_MAX, type Sink } from "./object-queue.ts";

export interface PoolOptions {
  readonly directory: string;
  readonly algorithm: DigestAlgorithm;
  readonly verity: boolean;
  readonly workers: number;
  readonly unique: string;
}

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

/** For all imports together. */
const BUFFERS = 24;
/** After so many bytes a worker syncs while the others go on. */
const SYNC_BYTES = 64 * 1024 * 1024;
/** An import waits while fewer are free, so that what one chunk of its source brings always finds some. */
const BUFFERS_FREE_MIN = 8;

interface Lane {
  readonly worker: ReturnType<typeof startWorker>;
  isReady: boolean;
  /** Jobs sent and not answered. */
  jobs: number;
}

interface Job {
  readonly buffer: JobBuffer | undefined;
  readonly lane: Lane;
  readonly done: readonly ((object: WrittenObject) => void)[];
  readonly owner: Owner;
}

/** A buffer that is being filled. */
interface Filling {
  readonly buffer: JobBuffer;
  readonly bytes: Buffer;
}

/** One import. */
interface Owner {
  jobs: number;
  error: unknown;
}

export function createObjectPool(options: PoolOptions): ObjectPool {
  const lanes: Lane[] = [];
  const jobs = new Map<number, Job>();
  const memory = new SharedArrayBuffer(BUFFERS * BUFFER_BYTES);
  const free = Array.from({ length: BUFFERS }, (_, i) => i);
  let waiting: (() => void)[] = [];
  let unsynced = 0;
  let nextJob = 1;
  let nextObject = 1;
  /** Workers that cannot start are done without. */
  let isBroken = false;

  const giveBack = (buffer: JobBuffer | undefined): void => {
    if (typeof buffer === "number") free.push(buffer);
  };
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
      giveBack(job.buffer);
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
    giveBack(job.buffer);
    lane.jobs -= 1;
    job.owner.jobs -= 1;
    if (lane.jobs === 0) lane.worker.unref();
    if (reply.kind === "failed") job.owner.error ??= toFailure(reply);
    else {
      try {
        reply.objects.forEach((object, i) => job.done[i]?.(object));
      } catch (error) {
        job.owner.error ??= error;
      }
    }
    wake();
  };
  const start = (): void => {
    while (lanes.length < options.workers && !isBroken) {
      const { directory, algorithm, verity } = options;
      const setup: WorkerSetup = { memory, directory, algorithm, verity, unique: `${options.unique}w${lanes.length}` };
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
  const send = (lane: Lane, job: Exclude<WorkerJob, { kind: "abandon" }>, about: Pick<Job, "done" | "owner">): void => {
    const buffer = job.kind === "sync" ? undefined : job.buffer;
    jobs.set(job.job, { lane, buffer, ...about });
    if (lane.jobs === 0) lane.worker.ref();
    lane.jobs += 1;
    about.owner.jobs += 1;
    lane.worker.postMessage(job, buffer instanceof ArrayBuffer ? [buffer] : []);
    unsynced += job.kind === "sync" ? -unsynced : BUFFER_BYTES;
    if (unsynced < SYNC_BYTES || lanes.length < 2) return;
    const other = idlest();
    if (other !== undefined) send(other, { kind: "sync", job: nextJob++ }, { done: [], owner: about.owner });
  };
  const takeBuffer = (): Filling => {
    const number = free.pop();
    if (number !== undefined)
      return { buffer: number, bytes: Buffer.from(memory, number * BUFFER_BYTES, BUFFER_BYTES) };
    const own = new ArrayBuffer(BUFFER_BYTES);
    return { buffer: own, bytes: Buffer.from(own) };
  };

  const open = (): PoolSink => {
    const owner: Owner = { jobs: 0, error: undefined };
    let buffer: Filling | undefined;
    let filled = 0;
    let sizes: number[] = [];
    let done: ((object: WrittenObject) => void)[] = [];
    let large:
      | { readonly lane: Lane; readonly object: number; left: number; readonly done: (object: WrittenObject) => void }
      | undefined;
    let small: { left: number } | undefined;

    const requireLane = (): Lane => {
      const lane = large?.lane ?? idlest();
      if (lane === undefined)
        throw owner.error ?? new Failure("io", "Cannot write objects: the worker threads have ended");
      return lane;
    };
    const postObjects = (): void => {
      if (buffer === undefined || sizes.length === 0) return;
      const job = { kind: "objects", job: nextJob++, buffer: buffer.buffer, sizes } as const;
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
        buffer.bytes.set(bytes.subarray(at, at + take), filled);
        filled += take;
        at += take;
        large.left -= take;
        const last = large.left === 0;
        if (filled < BUFFER_BYTES && !last) continue;
        const { lane, object } = large;
        const job = { kind: "part", job: nextJob++, buffer: buffer.buffer, size: filled, object, last } as const;
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
        if (buffer === undefined || small === undefined)
          throw new Failure("io", "Cannot write to an object: none was started");
        buffer.bytes.set(bytes, filled);
        filled += bytes.length;
        small.left -= bytes.length;
        if (small.left === 0) small = undefined;
      },
      async ready() {
        while (free.length < BUFFERS_FREE_MIN && owner.error === undefined)
          await new Promise<void>((resume) => waiting.push(resume));
        if (owner.error !== undefined) throw owner.error;
      },
      async flush() {
        if (small === undefined && large === undefined) postObjects();
        while (owner.jobs > 0 && owner.error === undefined) await new Promise<void>((resume) => waiting.push(resume));
        if (owner.error !== undefined) throw owner.error;
      },
      close() {
        if (large !== undefined)
          large.lane.worker.postMessage({ kind: "abandon", object: large.object } satisfies WorkerJob);
        if (buffer !== undefined) giveBack(buffer.buffer);
        buffer = undefined;
        large = undefined;
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

const CODES: ReadonlySet<string> = new Set<FailureCode>([
  "no-space",
  "denied",
  "io",
  "unsupported",
  "busy",
  "not-found",
  "corrupt",
]);

function isFailureCode(code: string | undefined): code is FailureCode {
  return code !== undefined && CODES.has(code);
}

function toFailure(reply: Extract<WorkerReply, { kind: "failed" }>): Failure {
  const code = isFailureCode(reply.code) ? reply.code : "io";
  return new Failure(code, reply.message, reply.hint === undefined ? {} : { hint: reply.hint });
}
