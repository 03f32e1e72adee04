/**
 * createRecordCache(): small files that are read at every request (what a tag says, what a manifest is), kept in memory.
 *
 * Invariant: a text is used only while its file is in the version that was read, looked at no more than LOOK_MS ago: what another
 * process or an operator changes is seen after that, what this process changes at once. Times of files are a few milliseconds coarse, so a
 * file that was written just now is not kept yet: a second write could look the same.
 */
import { type FileVersion, isAsSeen, type Look, lookAt } from "../host/file-version.ts";
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

export function createRecordCache(host: Pick<Host, "files" | "clock">): RecordCache {
  const entries = new Map<string, { readonly look: Look; readonly text: string }>();
  return {
    read(path) {
      const known = entries.get(path);
      if (known !== undefined && isAsSeen(host, path, known.look)) return known.text;
      entries.delete(path);
      const look = lookAt(host, path);
      const text = look.version && host.files.readTextIfAny(path);
      if (
        text !== undefined &&
        look.version !== undefined &&
        text.length <= TEXT_LENGTH_MAX &&
        isSettled(look.version, host.clock.now())
      ) {
        if (entries.size >= ENTRIES_MAX) entries.clear();
        entries.set(path, { look, text });
      }
      return text;
    },
    forget: (path) => void entries.delete(path),
  };
}

function isSettled(version: FileVersion, nowMs: number): boolean {
  return Math.max(version.modifiedMs, version.changedMs) + SETTLED_MS < nowMs;
}
