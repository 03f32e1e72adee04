/**
 * createRecordCache(): small files that are read at every request (what a tag says, what a manifest is), kept in memory.
 *
 * Invariant: a text is used only while its file is in the version that was read: what another process or an operator
 * changes is seen at once. Times of files are a few milliseconds coarse, so a file that was written just now is not kept yet: a second
 * write could look the same.
 */
import { type FileVersion, isSameVersion } from "../host/file-version.ts";
import type { Host } from "../host/host.ts";

const SETTLED_MS = 1000;
const TEXT_LENGTH_MAX = 1024;
const ENTRIES_MAX = 4096;

/** Returns a reader: the file's text, undefined when there is none. */
export function createRecordCache(host: Pick<Host, "files" | "clock">): (path: string) => string | undefined {
  const { files, clock } = host;
  const entries = new Map<string, { readonly version: FileVersion; readonly text: string }>();
  return (path) => {
    // Before the text: one that is replaced in between is kept with the older version, and read again.
    const version = files.version(path);
    const known = entries.get(path);
    if (version !== undefined && known !== undefined && isSameVersion(version, known.version)) return known.text;
    entries.delete(path);
    const text = version && files.readTextIfAny(path);
    if (
      text !== undefined &&
      version !== undefined &&
      text.length <= TEXT_LENGTH_MAX &&
      isSettled(version, clock.now())
    ) {
      if (entries.size >= ENTRIES_MAX) entries.clear();
      entries.set(path, { version, text });
    }
    return text;
  };
}

function isSettled(version: FileVersion, nowMs: number): boolean {
  return Math.max(version.modifiedMs, version.changedMs) + SETTLED_MS < nowMs;
}
