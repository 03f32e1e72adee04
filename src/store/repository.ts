/** Repository: what the parts of an open store share. */
import type { DigestAlgorithm } from "../core/digest.ts";
import type { Host } from "../host/host.ts";
import type { RepositoryPaths } from "./layout.ts";
import type { ObjectPool } from "./object-pool.ts";
import type { ObjectWriter } from "./object-writer.ts";

export interface Repository {
  readonly host: Host;
  readonly paths: RepositoryPaths;
  readonly algorithm: DigestAlgorithm;
  /** Absolute path of blobs/, where compressed layers are kept. */
  readonly blobs: string | undefined;
  readonly writer: ObjectWriter;
  /** Asked once: does the file system give its files fs-verity? */
  readonly verity: () => boolean;
  /** Worker threads, started by the first large layer; undefined where there are none. */
  readonly pool: () => ObjectPool | undefined;
}

/** Everything written so far is on disk when this returns. */
export function syncRepository(repository: Repository): void {
  const { files } = repository.host;
  files.syncFileSystem(repository.paths.root);
  const { blobs } = repository;
  if (blobs !== undefined && files.stat(blobs)?.dev !== files.stat(repository.paths.root)?.dev)
    files.syncFileSystem(blobs);
}
