/**
 * The entry of a worker thread that hashes and writes objects (see object-pool.ts). One job is one buffer; objects larger than a
 * buffer come in parts, in order.
 */
import { parentPort, workerData } from "node:worker_threads";
import { isFailure } from "../core/failure.ts";
import { createLinuxFiles } from "../host/linux-files.ts";
import type { WorkerJob, WorkerReply, WorkerSetup } from "./object-pool.ts";
import { createObjectWriter, type ObjectInProgress } from "./object-writer.ts";

const setup = workerData as WorkerSetup;
const writer = createObjectWriter(createLinuxFiles(), { ...setup, verity: () => setup.verity });
const large = new Map<number, ObjectInProgress>();
const port = parentPort;

function work(job: Exclude<WorkerJob, { kind: "abandon" }>): string[] {
  const bytes = Buffer.from(job.buffer);
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

function reply(message: WorkerReply): void {
  port?.postMessage(message, message.kind === "done" ? [message.buffer] : []);
}

port?.on("message", (job: WorkerJob) => {
  if (job.kind === "abandon") {
    large.get(job.object)?.abandon();
    large.delete(job.object);
    return;
  }
  try {
    reply({ kind: "done", job: job.job, ids: work(job), buffer: job.buffer });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const failure = isFailure(error) ? error : undefined;
    reply({ kind: "failed", job: job.job, code: failure?.code, message, hint: failure?.hint });
  }
});
reply({ kind: "ready" });
