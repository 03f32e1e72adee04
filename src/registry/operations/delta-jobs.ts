/**
 * createDeltaJobs(): after a push that set a tag, deltas to its image, one image at a time. A push never waits for them; what does
 * not fit into the queue, or fails, is counted and said in the log, and machines update in another way.
 */
import { type Digest, isDigest } from "../../core/digest.ts";
import { Failure, isFailure } from "../../core/failure.ts";
import type { Progress } from "../../core/progress.ts";
import { compileGlob } from "../access/glob.ts";
import { type LogEntry, moreTags } from "../answering.ts";
import type { DeltasConfig } from "../config/deltas.ts";

export interface DeltaJob {
  readonly repository: string;
  /** Of the image's manifest. */
  readonly digest: Digest;
}

/** Makes deltas from up to `count` images before it. */
export type MakeDeltas = (
  job: DeltaJob,
  options: { readonly count: number; readonly keepXz: boolean; readonly signal: AbortSignal },
) => Promise<void>;

export interface DeltaJobs {
  observe(entry: LogEntry): void;
  waiting(): number;
  /** Breaks off what is being made, and forgets what waits. */
  close(): Promise<void>;
}

export interface DeltaJobsOptions {
  readonly makeDeltas: MakeDeltas | undefined;
  readonly progress: Pick<Progress, "warn">;
  /** Told of each job that ended by itself. */
  readonly ended: (result: "made" | "failed") => void;
}

const QUEUE_MAX = 1000;

/** Failure "unsupported" when nobody can make what the configuration wants. */
export function createDeltaJobs(
  config: DeltasConfig | undefined,
  { makeDeltas, progress, ended }: DeltaJobsOptions,
): DeltaJobs {
  if (config === undefined) return { observe() {}, waiting: () => 0, async close() {} };
  if (makeDeltas === undefined) throw new Failure("unsupported", "Cannot make deltas: nobody is here who does");
  const globs = config.repositories.map(compileGlob);
  const queue: DeltaJob[] = [];
  const closing = new AbortController();
  const { signal } = closing;
  let working: Promise<void> | undefined;
  const fail = ({ repository, digest }: DeltaJob, why: string): void => {
    ended("failed");
    progress.warn(`No deltas to ${repository}@${digest}: ${why}`);
  };
  const work = async (): Promise<void> => {
    for (let job = queue[0]; job !== undefined && !signal.aborted; job = queue[0]) {
      try {
        await makeDeltas(job, { count: config.from, keepXz: config.keepXz, signal });
        ended("made");
      } catch (error) {
        if (!signal.aborted) fail(job, isFailure(error) ? error.message : String(error));
      }
      queue.shift();
    }
    working = undefined;
  };
  return {
    observe(entry) {
      const job = jobOf(entry);
      if (job === undefined || signal.aborted || !globs.some((each) => each.test(job.repository))) return;
      if (queue.some(({ repository, digest }) => repository === job.repository && digest === job.digest)) return;
      if (queue.length >= QUEUE_MAX) return fail(job, `${QUEUE_MAX} others wait`);
      queue.push(job);
      working ??= work();
    },
    waiting: () => queue.length,
    async close() {
      closing.abort();
      await working;
    },
  };
}

/** undefined when the request set no tag of an image's: signatures and fallback lists of referrers have tags that are digests. */
function jobOf(entry: LogEntry): DeltaJob | undefined {
  const { route, method, status, digest } = entry;
  if (route?.kind !== "manifest" || method !== "PUT" || status !== 201) return undefined;
  const { reference } = route;
  const tags = [...(reference.kind === "tag" ? [reference.tag] : []), ...moreTags(entry)];
  if (!tags.some((tag) => !/^sha(?:256|512)-/.test(tag))) return undefined;
  return digest !== undefined && isDigest(digest) ? { repository: route.repository, digest } : undefined;
}
