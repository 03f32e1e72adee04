/**
 * The entry of a worker thread that hashes and writes objects (see object-pool.ts). One job is one buffer; objects larger than a
 * buffer come in parts, in order.
 */
import { isFailure } from "../core/failure.ts";
import { createLinuxFiles } from "../host/linux-files.ts";
import { connectToParent, workerSetup } from "../host/worker.ts";
import { type ContentInProgress, createContentWriter, type WrittenObject } from "./content-writer.ts";
import { BUFFER_BYTES, type WorkerJob, type WorkerReply, type WorkerSetup } from "./object-protocol.ts";
import { createObjectWriter } from "./object-writer.ts";

const setup = workerSetup() as WorkerSetup;
const files = createLinuxFiles();
const writer = createContentWriter(createObjectWriter(files, { ...setup, verity: () => setup.verity }));
const large = new Map<number, ContentInProgress>();
const shared = Buffer.from(setup.memory);
/** A copy of the job's buffer: hashing and writing from shared memory is slower than the copy. */
const bytes = Buffer.allocUnsafeSlow(BUFFER_BYTES);

function work(job: Exclude<WorkerJob, { kind: "abandon" }>): WrittenObject[] {
  if (job.kind === "sync") {
    files.syncFileSystem(setup.directory);
    return [];
  }
  if (typeof job.buffer === "number") shared.copy(bytes, 0, job.buffer * BUFFER_BYTES, (job.buffer + 1) * BUFFER_BYTES);
  else Buffer.from(job.buffer).copy(bytes);
  if (job.kind === "objects") {
    let at = 0;
    return job.sizes.map((size) => writer.put(bytes.subarray(at, (at += size))));
  }
  const object = large.get(job.object) ?? writer.begin();
  large.set(job.object, object);
  object.write(bytes.subarray(0, job.size));
  if (!job.last) return [];
  large.delete(job.object);
  return [object.finish()];
}

const answer = connectToParent((message) => receive(message as WorkerJob));
answer({ kind: "ready" } satisfies WorkerReply);

function receive(job: WorkerJob): void {
  if (job.kind === "abandon") {
    large.get(job.object)?.abandon();
    large.delete(job.object);
    return;
  }
  try {
    answer({ kind: "done", job: job.job, objects: work(job) } satisfies WorkerReply);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const failure = isFailure(error) ? error : undefined;
    answer({ kind: "failed", job: job.job, code: failure?.code, message, hint: failure?.hint } satisfies WorkerReply);
  }
}
