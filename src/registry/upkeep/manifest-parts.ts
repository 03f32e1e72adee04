/** manifestParts(): what a stored manifest needs: its blobs and, of an index, its manifests. */
import { collectBytes } from "../../core/bytes.ts";
import type { Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { Driver } from "../driver.ts";
import { readManifestFacts } from "../manifest-facts.ts";
import type { Repository } from "../repository.ts";

/** undefined when it is not in the repository (any more). Failure "corrupt" when it cannot be read. */
export async function manifestParts(
  driver: Driver,
  repository: Repository,
  digest: Digest,
): Promise<Digest[] | undefined> {
  const reference = { kind: "digest", digest } as const;
  const record = await repository.findManifest(reference);
  if (record === undefined) return undefined;
  try {
    const bytes = await collectBytes(driver.readBlob(digest, { start: 0, end: record.size }));
    const { blobs, manifests } = readManifestFacts(bytes, record.mediaType);
    return [...blobs, ...manifests].map((part) => part.digest);
  } catch (cause) {
    if ((await repository.findManifest(reference)) === undefined) return undefined;
    throw new Failure("corrupt", `Cannot read manifest "${digest}" of "${repository.name}": its content is damaged`, {
      cause,
      hint: "look for damage with `berth registry check DIR`",
    });
  }
}
