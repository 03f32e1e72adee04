/**
 * stageVerity(): every object of a staged repository gets its fs-verity tail. The Merkle tree gives the content's digest on the way, so
 * that an object whose bytes are not what its name says never reaches a disk.
 */
import { Failure } from "../core/failure.ts";
import type { DigestAlgorithm } from "../core/digest.ts";
import type { Host } from "../host/host.ts";
import type { Progress } from "../core/progress.ts";
import { appendVerityTail, type VerityFile } from "./verity-file.ts";

export interface StageVerityOptions {
  /** The staged repository. */
  readonly repository: string;
  /** Its path on the disk. */
  readonly mountedAt: string;
  readonly algorithm: DigestAlgorithm;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Objects between two looks at the signal. */
const BATCH = 128;

/** Failure "corrupt" for an object that is not what its name says. */
export async function stageVerity(host: Pick<Host, "files" | "clock">, options: StageVerityOptions): Promise<readonly VerityFile[]> {
  const objects = listObjects(host, options.repository);
  const task = options.progress.task("Adding fs-verity", { total: objects.length, unit: "steps" });
  const staged: VerityFile[] = [];
  for (const [index, object] of objects.entries()) {
    if (index % BATCH === 0) {
      await host.clock.sleep(0, options.signal);
      task.advance(Math.min(BATCH, objects.length - index));
    }
    const path = `${options.repository}/objects/${object}`;
    // A link into another repository would be changed there, too.
    if (host.files.lstat(path)?.nlink !== 1) throw new Failure("corrupt", `Cannot add fs-verity to "${path}": it is not a file of its own`);
    const { id, sizeBytes } = appendVerityTail(host.files, path, options.algorithm);
    if (id !== object.replace("/", "")) {
      throw new Failure("corrupt", `Cannot put object "${object.replace("/", "")}" on a disk: its bytes are those of ${id}`, {
        hint: "berth store fsck",
      });
    }
    staged.push({ path: `${options.mountedAt}/objects/${object}`, sizeBytes });
  }
  task.done();
  return staged;
}

/** `xx/rest`, in byte order. */
function listObjects(host: Pick<Host, "files">, repository: string): readonly string[] {
  const root = `${repository}/objects`;
  const directories = host.files.list(root).filter((name) => /^[0-9a-f]{2}$/.test(name));
  return directories.flatMap((directory) => host.files.list(`${root}/${directory}`).map((name) => `${directory}/${name}`));
}
