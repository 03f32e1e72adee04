/** collectBlobs(): every blob that the entries of a layout's index reach, each once, manifests included. */
import type { Digest } from "../../core/digest.ts";
import { layoutBlobPath } from "../../oci/layout.ts";
import { type Descriptor, parseIndex, parseManifest } from "../../oci/manifest.ts";
import { isIndexType, isManifestType } from "../../oci/media-types.ts";
import { readSmallFile, toDocument, understand } from "../copy/documents.ts";
import type { FileReader } from "../copy/file-set.ts";

/** Failure "not-found", "digest-mismatch", "bad-input" for a manifest that is missing or damaged. */
export async function collectBlobs(
  reader: FileReader,
  name: string,
  entries: readonly Descriptor[],
): Promise<readonly Descriptor[]> {
  const found = new Map<Digest, Descriptor>();
  const visit = async (descriptor: Descriptor): Promise<void> => {
    if (found.has(descriptor.digest)) return;
    found.set(descriptor.digest, descriptor);
    const { mediaType } = descriptor;
    if (!isIndexType(mediaType) && !isManifestType(mediaType)) return;
    const { bytes } = toDocument(
      await readSmallFile(reader, layoutBlobPath(descriptor.digest), name),
      name,
      descriptor.digest,
    );
    const text = bytes.toString("utf8");
    const below = understand(name, () => {
      if (isIndexType(mediaType)) return parseIndex(text, mediaType).manifests;
      const { config, layers } = parseManifest(text, mediaType);
      return [config, ...layers];
    });
    for (const child of below) await visit(child);
  };
  for (const entry of entries) await visit(entry);
  return [...found.values()];
}
