/**
 * Content that is small and asked for often (manifests, configs), kept in memory by digest. Bytes under a digest never change,
 * so an entry can only be forgotten, not stale. Least recently used goes first.
 */
import type { Digest } from "../core/digest.ts";
import { collectBytes } from "../core/bytes.ts";
import type { Driver } from "./driver.ts";

export interface ContentCache {
  /** The whole blob; it must exist and be no larger than `CACHEABLE_BYTES_MAX`. */
  read(digest: Digest, size: number): Promise<Buffer>;
  forget(digest: Digest): void;
}

export const CACHEABLE_BYTES_MAX = 256 * 1024;
const CACHE_BYTES_MAX = 16 * 1024 * 1024;

export function createContentCache(driver: Driver): ContentCache {
  const entries = new Map<Digest, Buffer>();
  let held = 0;
  const forget = (digest: Digest): void => {
    held -= entries.get(digest)?.length ?? 0;
    entries.delete(digest);
  };
  return {
    forget,
    async read(digest, size) {
      const found = entries.get(digest);
      if (found !== undefined) {
        entries.delete(digest);
        entries.set(digest, found);
        return found;
      }
      const bytes = await collectBytes(driver.readBlob(digest, { start: 0, end: size }));
      if (bytes.length > CACHEABLE_BYTES_MAX) return bytes;
      forget(digest);
      entries.set(digest, bytes);
      held += bytes.length;
      for (const oldest of entries.keys()) {
        if (held <= CACHE_BYTES_MAX) break;
        forget(oldest);
      }
      return bytes;
    },
  };
}
