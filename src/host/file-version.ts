/** FileVersion: what differs once a file was written or replaced, unless that was within the few milliseconds of a tick of file times. */

/** How long a look at a file counts where one is asked for at every request: those of the same moment share it. */
export const LOOK_MS = 2;

export interface FileVersion {
  readonly ino: number;
  readonly size: number;
  /** Milliseconds since the epoch, with a fraction: of the content. */
  readonly modifiedMs: number;
  /** Of anything; nobody can set it. */
  readonly changedMs: number;
}

export function isSameVersion(one: FileVersion, other: FileVersion): boolean {
  return (
    one.ino === other.ino &&
    one.size === other.size &&
    one.modifiedMs === other.modifiedMs &&
    one.changedMs === other.changedMs
  );
}
