/** hashObject(), hashBlob(): the digest of what a file of the store really holds, whatever its name says. */
import { createDigester, type Digest, type DigestAlgorithm, digestAlgorithm } from "../core/digest.ts";
import { createVerityHasher } from "../format/verity/verity.ts";
import type { Files } from "../host/host.ts";

const CHUNK_BYTES = 1024 * 1024;

export interface HashObjectOptions {
  readonly algorithm: DigestAlgorithm;
  readonly advance?: (bytes: number) => void;
}

/** Hex of its fs-verity digest. Failure "not-found", "io". */
export function hashObject(files: Pick<Files, "open">, path: string, options: HashObjectOptions): string {
  const hasher = createVerityHasher(options.algorithm);
  eachChunk(files, path, (chunk) => {
    hasher.update(chunk);
    options.advance?.(chunk.length);
  });
  return hasher.finish().id;
}

/** By the algorithm of `wanted`. Failure "not-found", "io". */
export function hashBlob(files: Pick<Files, "open">, path: string, wanted: Digest): Digest {
  const digester = createDigester(digestAlgorithm(wanted));
  eachChunk(files, path, (chunk) => digester.update(chunk));
  return digester.digest();
}

function eachChunk(files: Pick<Files, "open">, path: string, see: (chunk: Buffer) => void): void {
  using file = files.open(path, "read");
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(file.sizeBytes(), 1)));
  for (let position = 0; ; ) {
    const count = file.read(buffer, position);
    if (count === 0) return;
    see(buffer.subarray(0, count));
    position += count;
  }
}
