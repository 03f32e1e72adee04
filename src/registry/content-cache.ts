/**
 * Content that is small and asked for often (manifests, configs), kept in memory by digest. What is kept has been hashed: it stays
 * right whatever becomes of the storage's copy, so that no entry is ever stale. Least recently used goes first.
 */
import { collectBytes } from "../core/bytes.ts";
import { type Digest, digestAlgorithm, digestOf } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { Driver } from "./driver.ts";

export interface ContentCache {
  /** The whole blob, which must exist. Failure "corrupt" when its bytes are not what the digest says. */
  read(digest: Digest, size: number): Promise<Buffer>;
}

export const CACHEABLE_BYTES_MAX = 256 * 1024;
const CACHE_BYTES_MAX = 16 * 1024 * 1024;

export function createContentCache(driver: Driver): ContentCache {
  const entries = new Map<Digest, Buffer>();
  let held = 0;
  const drop = (digest: Digest): void => {
    held -= entries.get(digest)?.length ?? 0;
    entries.delete(digest);
  };
  return {
    async read(digest, size) {
      const found = entries.get(digest);
      if (found !== undefined) {
        entries.delete(digest);
        entries.set(digest, found);
        return found;
      }
      const bytes = await collectBytes(driver.readBlob(digest, { start: 0, end: size }));
      if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
        throw new Failure("corrupt", `Cannot read blob "${digest}": its content is damaged`, {
          hint: "look for damage with `berth registry check DIR`",
        });
      }
      if (bytes.length > CACHEABLE_BYTES_MAX) return bytes;
      drop(digest);
      entries.set(digest, bytes);
      held += bytes.length;
      for (const oldest of entries.keys()) {
        if (held <= CACHE_BYTES_MAX) break;
        drop(oldest);
      }
      return bytes;
    },
  };
}
