/**
 * createRecordCache(): small files that are read at every request (what a tag says, what a manifest is), kept in memory.
 *
 * Invariant: a text is used only while its file is the one that was read, by inode, size and time: what another process or an operator
 * changes is seen at once. Times of files are a few milliseconds coarse, so a file that was written just now is not kept yet: a second
 * write could look the same.
 */
import type { FileStat, Host } from "../host/host.ts";

const SETTLED_MS = 1000;
const TEXT_LENGTH_MAX = 1024;
const ENTRIES_MAX = 4096;

/** Returns a reader: the file's text, undefined when there is none. */
export function createRecordCache(host: Pick<Host, "files" | "clock">): (path: string) => string | undefined {
  const { files, clock } = host;
  const entries = new Map<string, { readonly stat: FileStat; readonly text: string }>();
  return (path) => {
    // Before the text: one that is replaced in between is kept with the older stat, and read again.
    const stat = files.stat(path);
    const known = entries.get(path);
    if (stat !== undefined && known !== undefined && isSameFile(stat, known.stat)) return known.text;
    entries.delete(path);
    const text = stat && files.readTextIfAny(path);
    if (text !== undefined && stat !== undefined && text.length <= TEXT_LENGTH_MAX && isSettled(stat, clock.now())) {
      if (entries.size >= ENTRIES_MAX) entries.clear();
      entries.set(path, { stat, text });
    }
    return text;
  };
}

function isSameFile(one: FileStat, other: FileStat): boolean {
  return (
    one.ino === other.ino &&
    one.size === other.size &&
    one.mtimeSec === other.mtimeSec &&
    one.mtimeNsec === other.mtimeNsec
  );
}

function isSettled(stat: FileStat, nowMs: number): boolean {
  return stat.mtimeSec * 1000 + stat.mtimeNsec / 1e6 + SETTLED_MS < nowMs;
}
