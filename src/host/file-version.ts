/** FileVersion: what differs once a file was written or replaced, unless that was within the few milliseconds of a tick of file times. */

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
