/**
 * assembleLayer(): a layer put together from objects that are here and bytes that were brought. The whole tar is hashed, the reused
 * objects too, and must be what the diff id says before the layer gets its name: whoever made the parts need not be trusted.
 */
import { createDigester, type Digest, digestAlgorithm, digestHex } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { saveContents } from "./contents.ts";
import { streamName } from "./layout.ts";
import { type Repository, syncRepository } from "./repository.ts";
import { createLayerSplitter } from "./split-layer.ts";
import { findStream, linkStream, objectPath } from "./streams.ts";

/** A piece of the tar, in order. */
export type LayerPart =
  /** Its bytes as they stand: headers, padding, contents that were brought. They may be cut anywhere. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** The whole content of a file of more than 64 bytes is an object of the store. `digest` is the content's sha256. */
  | { readonly kind: "object"; readonly objectId: string; readonly sizeBytes: number; readonly digest: Digest };

export interface AssembleOptions {
  readonly diffId: Digest;
  readonly signal?: AbortSignal | undefined;
}

/** A stream for each of ten thousand small files costs more than all else. */
const WHOLE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Failure "digest-mismatch" when the parts are not the layer, "bad-input" when they are no tar, "not-found" for an object that is not
 * here; the store is then as it was.
 */
export async function assembleLayer(
  repository: Repository,
  parts: AsyncIterable<LayerPart> | Iterable<LayerPart>,
  { diffId, signal }: AssembleOptions,
): Promise<void> {
  if (findStream(repository, streamName("layer", diffId)) !== undefined) return;
  const splitter = createLayerSplitter(repository);
  const diff = createDigester(digestAlgorithm(diffId));
  try {
    for await (const part of parts) {
      signal?.throwIfAborted();
      if (part.kind === "bytes") {
        diff.update(part.bytes);
        await splitter.push(part.bytes);
      } else {
        splitter.reuse({ id: part.objectId, contentHash: digestHex(part.digest) }, part.sizeBytes);
        const path = objectPath(repository, part.objectId);
        if (part.sizeBytes <= WHOLE_BYTES_MAX) diff.update(repository.host.files.read(path));
        else for await (const chunk of repository.host.files.readStream(path)) diff.update(chunk);
      }
    }
    const { bytes, contents } = await splitter.finish();
    const actual = diff.digest();
    if (actual !== diffId) {
      throw new Failure("digest-mismatch", `Cannot assemble layer "${diffId}": its parts hash to ${actual}`);
    }
    const objectId = repository.writer.put(bytes);
    saveContents(repository, objectId, contents);
    syncRepository(repository);
    linkStream(repository, streamName("layer", diffId), objectId);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Failure("bad-input", `Cannot assemble layer "${diffId}": its parts are no tar archive`, { cause: error });
  } finally {
    splitter.abandon();
  }
}
