/** manifestParts(): what a stored manifest names and a collection must leave: its blobs and, of an index, its manifests. */
import { collectBytes } from "../../core/bytes.ts";
import type { Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { Driver } from "../driver.ts";
import { type ManifestFacts, readManifestFacts } from "../manifest-facts.ts";
import type { Repository } from "../repository.ts";

/** Foreign layers too, whether they are here or not. Otherwise as storedFacts(). */
export async function manifestParts(
  driver: Driver,
  repository: Repository,
  digest: Digest,
): Promise<Digest[] | undefined> {
  const facts = await storedFacts(driver, repository, digest);
  return facts && [...facts.blobs, ...facts.foreignLayers, ...facts.manifests].map((part) => part.digest);
}

/** undefined when it is not in the repository (any more). Failure "corrupt" when it cannot be read. */
export async function storedFacts(
  driver: Driver,
  repository: Repository,
  digest: Digest,
): Promise<ManifestFacts | undefined> {
  const reference = { kind: "digest", digest } as const;
  const record = await repository.findManifest(reference);
  if (record === undefined) return undefined;
  try {
    const bytes = await collectBytes(driver.readBlob(digest, { start: 0, end: record.size }));
    return readManifestFacts(bytes, record.mediaType);
  } catch (cause) {
    if ((await repository.findManifest(reference)) === undefined) return undefined;
    throw new Failure("corrupt", `Cannot read manifest "${digest}" of "${repository.name}": its content is damaged`, {
      cause,
      hint: "look for damage with `berth registry check DIR`",
    });
  }
}
