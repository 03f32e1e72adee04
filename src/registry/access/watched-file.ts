/** watchFile(): a parsed file, read again when it has changed. An unusable file lets nobody in. */
import { Failure } from "../../core/failure.ts";
import { type FileVersion, isSameVersion } from "../../host/file-version.ts";
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
  let seen: { readonly version: FileVersion | undefined; readonly value: T } | undefined;
  return () => {
    const version = host.files.version(path);
    if (seen !== undefined && isSame(version, seen.version)) return seen.value;
    seen = undefined;
    try {
      const value = parse(version === undefined && mayBeMissing ? "" : host.files.readText(path));
      seen = { version, value };
      return value;
    } catch (error) {
      throw new Failure("bad-input", `Cannot read ${what} "${path}": it is not usable`, { cause: error });
    }
  };
}

function isSame(one: FileVersion | undefined, other: FileVersion | undefined): boolean {
  return one === undefined || other === undefined ? one === other : isSameVersion(one, other);
}
