/**
 * openFileDigester(): the digest of a file, made by a worker thread that reads the file while it is still being written. Who receives
 * bytes only writes them: hashing costs it nothing, and the threads' one buffer nothing to the garbage collector.
 *
 * Invariant: a digest is of the file's bytes as they are read back, from the first one on, whatever thread ends meanwhile.
 */
import { availableParallelism } from "node:os";
import type { DigestAlgorithm } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { systemFailure } from "./errors.ts";
import { createFileHashing, type HashingAnswer, type HashingStep } from "./file-hashing.ts";
import type { FileDigester } from "./host.ts";
import { startWorker } from "./worker.ts";

/** A thread is told of so many new bytes at a time; a file that is smaller is not worth one. */
const STEP_BYTES = 1 << 20;
/** One core is left to who writes. */
const THREADS_MAX = Math.max(1, Math.min(4, availableParallelism() - 1));

interface Thread {
  send(step: HashingStep): void;
  ask(step: HashingStep): Promise<HashingAnswer>;
  /** Digesters that use it. */
  users: number;
  hasEnded: boolean;
}

const threads: Thread[] = [];
let nextId = 1;

export function openFileDigester(path: string, algorithm: DigestAlgorithm): FileDigester {
  const id = nextId++;
  let toldBytes = 0;
  let thread: Thread | undefined;
  const take = (): Thread | undefined => {
    if (thread === undefined || thread.hasEnded) {
      thread = idlestThread();
      if (thread !== undefined) thread.users += 1;
    }
    return thread;
  };
  return {
    grown(sizeBytes) {
      if (sizeBytes - toldBytes < STEP_BYTES) return;
      toldBytes = sizeBytes;
      take()?.send({ kind: "grow", id, path, algorithm, sizeBytes });
    },
    async digest(sizeBytes) {
      const step: HashingStep = { kind: "finish", id, path, algorithm, sizeBytes };
      const isSmall = thread === undefined && sizeBytes < STEP_BYTES;
      const answer = await ((isSmall ? undefined : take())?.ask(step) ?? hashHere(step));
      if (answer !== undefined && "digest" in answer) return answer.digest;
      throw systemFailure({ call: "hash", path }, answer?.errno ?? "EIO");
    },
    [Symbol.dispose]() {
      if (thread === undefined) return;
      thread.users -= 1;
      thread.send({ kind: "forget", id });
      thread = undefined;
    },
  };
}

let hashing: ReturnType<typeof createFileHashing> | undefined;

function hashHere(step: HashingStep): HashingAnswer | undefined {
  hashing ??= createFileHashing();
  return hashing(step);
}

/** undefined where there are no threads (a restricted environment). */
function idlestThread(): Thread | undefined {
  const [idlest] = threads.toSorted((left, right) => left.users - right.users);
  if (idlest !== undefined && (idlest.users === 0 || threads.length >= THREADS_MAX)) return idlest;
  try {
    const thread = startThread();
    threads.push(thread);
    return thread;
  } catch {
    return undefined;
  }
}

/** It keeps the process alive only while somebody waits for a digest. */
function startThread(): Thread {
  const worker = startWorker("host/digest.worker", undefined);
  const asked = new Map<number, PromiseWithResolvers<HashingAnswer>>();
  const thread: Thread = {
    users: 0,
    hasEnded: false,
    send: (step) => worker.postMessage(step),
    ask(step) {
      const answer = Promise.withResolvers<HashingAnswer>();
      asked.set(step.id, answer);
      worker.ref();
      worker.postMessage(step);
      return answer.promise;
    },
  };
  const end = (cause?: unknown): void => {
    if (thread.hasEnded) return;
    thread.hasEnded = true;
    threads.splice(threads.indexOf(thread), 1);
    for (const { reject } of asked.values()) {
      reject(new Failure("io", "Cannot hash a file: the worker thread ended unexpectedly", { cause }));
    }
  };
  worker.on("message", (answer: HashingAnswer) => {
    asked.get(answer.id)?.resolve(answer);
    asked.delete(answer.id);
    if (asked.size === 0) worker.unref();
  });
  worker.on("error", end);
  worker.on("exit", () => end());
  worker.unref();
  return thread;
}
