/** watchFile(): a parsed file, read again when it has changed, which is seen after LOOK_MS. An unusable file lets nobody in. */
import { Failure } from "../../core/failure.ts";
import { isAsSeen, type Look, lookAt } from "../../host/file-version.ts";
import type { Host } from "../../host/host.ts";

/**
 * `what` names the content in errors. A file that is missing is `parse("")` when `mayBeMissing`. The returned function throws
 * Failure "bad-input" while the file is unusable.
 */
export function watchFile<T>(
  host: Pick<Host, "files" | "clock">,
  path: string,
  options: { readonly what: string; readonly mayBeMissing: boolean; readonly parse: (text: string) => T },
): () => T {
  const { what, mayBeMissing, parse } = options;
  let seen: { readonly look: Look; readonly value: T } | undefined;
  return () => {
    if (seen !== undefined && isAsSeen(host, path, seen.look)) return seen.value;
    seen = undefined;
    const look = lookAt(host, path);
    try {
      const value = parse(look.version === undefined && mayBeMissing ? "" : host.files.readText(path));
      seen = { look, value };
      return value;
    } catch (error) {
      throw new Failure("bad-input", `Cannot read ${what} "${path}": it is not usable`, { cause: error });
    }
  };
}
