/**
 * Blobs: compressed layers as they came, blobs/<algorithm>/<hex>, so that a push sends the very bytes of the pull. A blob appears
 * under its name only when its digest was verified and it is on disk.
 */
import { type Digest, digestAlgorithm, digestHex } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { TEMPORARY_PREFIX } from "./layout.ts";
import type { Repository } from "./repository.ts";

export interface BlobInProgress {
  write(bytes: Uint8Array): void;
  /** Gives it its name. The caller has verified and synced it. */
  publish(digest: Digest): void;
  /** Takes the temporary file away. Harmless after publish(). */
  abandon(): void;
}

export function blobPath(blobs: string, digest: Digest): string {
  return `${blobs}/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

/** false in a store that keeps no blobs. */
export function hasBlob(repository: Repository, digest: Digest): boolean {
  return repository.blobs !== undefined && repository.host.files.exists(blobPath(repository.blobs, digest));
}

/** Bytes; 0 for a blob that is not here. */
export function blobSize(repository: Repository, digest: Digest): number {
  return repository.blobs === undefined
    ? 0
    : (repository.host.files.lstat(blobPath(repository.blobs, digest))?.size ?? 0);
}

/** Failure "not-found". */
export function readBlob(repository: Repository, digest: Digest, from = 0): AsyncIterable<Uint8Array> {
  if (repository.blobs === undefined || !hasBlob(repository, digest)) {
    throw new Failure("not-found", `Cannot read blob "${digest}": the store does not have it`, {
      ...(repository.blobs === undefined && { hint: "only a workstation's store keeps compressed layers" }),
    });
  }
  return repository.host.files.readStream(blobPath(repository.blobs, digest), { start: from });
}

/** undefined where blobs are not kept. */
export function beginBlob(repository: Repository): BlobInProgress | undefined {
  const { blobs } = repository;
  if (blobs === undefined) return undefined;
  const { files } = repository.host;
  const path = `${blobs}/${TEMPORARY_PREFIX}${Buffer.from(repository.host.random(8)).toString("hex")}`;
  const file = files.open(path, "create");
  let isDone = false;
  return {
    write: (bytes) => file.write(bytes),
    publish(digest) {
      file.close();
      files.makeDirectory(`${blobs}/${digestAlgorithm(digest)}`);
      files.rename(path, blobPath(blobs, digest));
      isDone = true;
    },
    abandon() {
      if (isDone) return;
      isDone = true;
      file.close();
      files.remove(path);
    },
  };
}
