/**
 * FileVersion: what differs once a file was written or replaced, unless that was within the few milliseconds of a tick of file times; and
 * looks at it, for files that are asked for all the time.
 */
import type { Host } from "./host.ts";

export interface FileVersion {
  readonly ino: number;
  readonly size: number;
  /** Milliseconds since the epoch, with a fraction: of the content. */
  readonly modifiedMs: number;
  /** Of anything; nobody can set it. */
  readonly changedMs: number;
}

/** How long a look at a file counts where one is asked for at every request: those of the same moment share it. */
export const LOOK_MS = 2;

/** What a file was when it was looked at: its version, undefined for no file. */
export interface Look {
  readonly version: FileVersion | undefined;
  /** On the clock that only goes forward. */
  atMs: number;
}

/** To be had before the file's content: one that is replaced in between is then taken for changed, and read again. */
export function lookAt({ files, clock }: Pick<Host, "files" | "clock">, path: string): Look {
  const atMs = clock.elapsed();
  return { version: files.version(path), atMs };
}

/** Whether the file is still what `known` saw, no more than LOOK_MS ago; a new look that finds it so renews `known`. */
export function isAsSeen(host: Pick<Host, "files" | "clock">, path: string, known: Look): boolean {
  if (host.clock.elapsed() < known.atMs + LOOK_MS) return true;
  const { version, atMs } = lookAt(host, path);
  const isSame = isSameVersion(version, known.version);
  if (isSame) known.atMs = atMs;
  return isSame;
}

function isSameVersion(one: FileVersion | undefined, other: FileVersion | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return (
    one.ino === other.ino &&
    one.size === other.size &&
    one.modifiedMs === other.modifiedMs &&
    one.changedMs === other.changedMs
  );
}
