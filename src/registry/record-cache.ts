/**
 * createRecordCache(): small files that are read at every request (what a tag says, what a manifest is), kept in memory.
 *
 * Invariant: a text is used only while its file is in the version that was read, looked at no more than LOOK_MS ago: what another
 * process or an operator changes is seen after that, what this process changes at once. Times of files are a few milliseconds coarse, so a
 * file that was written just now is not kept yet: a second write could look the same.
 */
import { type FileVersion, isSameVersion, LOOK_MS } from "../host/file-version.ts";
import type { Host } from "../host/host.ts";

const SETTLED_MS = 1000;
const TEXT_LENGTH_MAX = 1024;
const ENTRIES_MAX = 4096;

export interface RecordCache {
  /** The file's text, undefined when there is none. */
  read(path: string): string | undefined;
  /** For who is about to write or remove the file. */
  forget(path: string): void;
}

interface Entry {
  readonly version: FileVersion;
  readonly text: string;
  /** On the clock that only goes forward. */
  lookedMs: number;
}

export function createRecordCache(host: Pick<Host, "files" | "clock">): RecordCache {
  const { files, clock } = host;
  const entries = new Map<string, Entry>();
  return {
    read(path) {
      const known = entries.get(path);
      const nowMs = clock.elapsed();
      if (known !== undefined && nowMs < known.lookedMs + LOOK_MS) return known.text;
      // Before the text: one that is replaced in between is kept with the older version, and read again.
      const version = files.version(path);
      if (version !== undefined && known !== undefined && isSameVersion(version, known.version)) {
        known.lookedMs = nowMs;
        return known.text;
      }
      entries.delete(path);
      const text = version && files.readTextIfAny(path);
      if (
        text !== undefined &&
        version !== undefined &&
        text.length <= TEXT_LENGTH_MAX &&
        isSettled(version, clock.now())
      ) {
        if (entries.size >= ENTRIES_MAX) entries.clear();
        entries.set(path, { version, text, lookedMs: nowMs });
      }
      return text;
    },
    forget: (path) => void entries.delete(path),
  };
}

function isSettled(version: FileVersion, nowMs: number): boolean {
  return Math.max(version.modifiedMs, version.changedMs) + SETTLED_MS < nowMs;
}
