/** Where a base's tree is made: one build of a suite at a time, in a directory that goes away with it, in memory if there is enough. */
import { isFailure } from "../../core/failure.ts";
import type { Progress } from "../../core/progress.ts";
import type { Host, Lock, Mount } from "../../host/host.ts";

export interface Workspace extends Disposable {
  readonly path: string;
}

export interface WorkspaceContext {
  readonly host: Pick<Host, "files" | "clock">;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

const PLENTY_OF_MEMORY_BYTES = 6e9;
const LOCK_PAUSE_MS = 500;

/** `work` must exist. Waits while another build of the suite runs. */
export async function openWorkspace(
  context: WorkspaceContext,
  options: { work: string; suite: string },
): Promise<Workspace> {
  const { host } = context;
  const { work, suite } = options;
  const lock = await lockSuite(context, `${work}/${suite}.lock`);
  const directory = host.files.temporaryDirectory(`${work}/build-${suite}-`);
  return {
    path: directory.path,
    [Symbol.dispose]() {
      try {
        directory[Symbol.dispose]();
      } finally {
        lock.release();
      }
    },
  };
}

/** Where there is plenty, the tree is made in memory: dpkg waits for the disk thousands of times. */
export function mountMemory(
  host: Pick<Host, "files" | "mounts">,
  target: string,
  sizeBytes: number,
): Mount | undefined {
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(host.files.readTextIfAny("/proc/meminfo") ?? "")?.[1];
  if (Number(available ?? 0) * 1024 < PLENTY_OF_MEMORY_BYTES) return undefined;
  return host.mounts.tmpfs(target, { sizeBytes, mode: 0o755 });
}

/** One build of a suite at a time: the package cache is theirs together, and the second finds what the first made. */
async function lockSuite(context: WorkspaceContext, path: string): Promise<Lock> {
  for (let told = false; ; told = true) {
    try {
      return context.host.files.lock(path, "exclusive", { wait: false });
    } catch (error) {
      if (!isFailure(error, "busy")) throw error;
    }
    if (!told) context.progress.say("Waiting for another build of this suite");
    await context.host.clock.sleep(LOCK_PAUSE_MS, context.signal);
  }
}
