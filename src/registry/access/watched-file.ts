/** watchFile(): a parsed file, read again when it has changed, which is seen after LOOK_MS. An unusable file lets nobody in. */
import { Failure } from "../../core/failure.ts";
import { type FileVersion, isSameVersion, LOOK_MS } from "../../host/file-version.ts";
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
  let seen: { readonly version: FileVersion | undefined; readonly value: T; lookedMs: number } | undefined;
  return () => {
    const lookedMs = host.clock.elapsed();
    if (seen !== undefined && lookedMs < seen.lookedMs + LOOK_MS) return seen.value;
    const version = host.files.version(path);
    if (seen !== undefined && isSame(version, seen.version)) {
      seen.lookedMs = lookedMs;
      return seen.value;
    }
    seen = undefined;
    try {
      const value = parse(version === undefined && mayBeMissing ? "" : host.files.readText(path));
      seen = { version, value, lookedMs };
      return value;
    } catch (error) {
      throw new Failure("bad-input", `Cannot read ${what} "${path}": it is not usable`, { cause: error });
    }
  };
}

function isSame(one: FileVersion | undefined, other: FileVersion | undefined): boolean {
  return one === undefined || other === undefined ? one === other : isSameVersion(one, other);
}
