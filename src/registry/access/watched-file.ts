/** watchFile(): a parsed file, read again when its time, size or inode has changed. An unusable file lets nobody in. */
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";

/**
 * `what` names the content in errors. A file that is missing is `parse("")` when `mayBeMissing`. The returned function throws
 * Failure "bad-input" while the file is unusable.
 */
export function watchFile<T>(
  host: Pick<Host, "files">,
  path: string,
  options: { readonly what: string; readonly mayBeMissing: boolean; readonly parse: (text: string) => T },
): () => T {
  const { what, mayBeMissing, parse } = options;
  let seen: string | undefined;
  let value: T | undefined;
  return () => {
    const stat = host.files.stat(path);
    const now = stat === undefined ? "" : `${stat.ino}:${stat.size}:${stat.mtimeSec}:${stat.mtimeNsec}`;
    if (now === seen && value !== undefined) return value;
    seen = undefined;
    try {
      value = parse(stat === undefined && mayBeMissing ? "" : host.files.readText(path));
    } catch (error) {
      throw new Failure("bad-input", `Cannot read ${what} "${path}": it is not usable`, { cause: error });
    }
    seen = now;
    return value;
  };
}
