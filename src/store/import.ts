/**
 * importLayer() and addLayer(): one pass over a layer's bytes hashes them compressed and uncompressed, splits the tar into
 * objects and keeps the blob. Digests are checked before anything gets a name; one syncfs comes before the names.
 */
import { decompress } from "../core/compress.ts";
import { createDigester, type Digest, digestAlgorithm } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { verified } from "../core/verified.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { layerCompression } from "../oci/media-types.ts";
import { beginBlob, blobSize, hasBlob } from "./blobs.ts";
import { saveContents } from "./contents.ts";
import { DEFAULT_ENCODING, encodeLayer } from "./layer-encoding.ts";
import { streamName } from "./layout.ts";
import { type Repository, syncRepository } from "./repository.ts";
import { createLayerSplitter } from "./split-layer.ts";
import type { AddLayerOptions, ImportOptions } from "./store.ts";
import { findStream, linkStream } from "./streams.ts";

/** Failure "digest-mismatch", "bad-input", "unsupported", "no-space"; the store is then as it was. */
export async function importLayer(
  repository: Repository,
  source: AsyncIterable<Uint8Array>,
  options: ImportOptions,
): Promise<void> {
  const { descriptor, diffId } = options;
  const compression = layerCompression(descriptor.mediaType);
  if (compression === undefined) {
    throw new Failure(
      "unsupported",
      `Cannot import layer "${descriptor.digest}": its media type ${JSON.stringify(descriptor.mediaType)} is no tar layer`,
    );
  }
  if (findStream(repository, streamName("layer", diffId)) !== undefined) {
    if (repository.blobs === undefined) return;
    if (hasBlob(repository, descriptor.digest)) return requireBlobSize(repository, descriptor);
  }
  const blob = beginBlob(repository);
  const splitter = createLayerSplitter(repository);
  const diff = createDigester(digestAlgorithm(diffId));
  const compressed = tap(verified(source, descriptor), (chunk) => {
    options.signal?.throwIfAborted();
    options.onBytes?.(chunk.length);
    blob?.write(chunk);
  });
  const whole = readToEnd(compressed);
  try {
    try {
      for await (const chunk of decompress(whole.stream, compression)) {
        diff.update(chunk);
        await splitter.push(chunk);
      }
      await whole.finish();
      const { bytes, contents } = await splitter.finish();
      requireDiffId(diff.digest(), diffId, descriptor.digest);
      const objectId = repository.writer.put(bytes);
      saveContents(repository, objectId, contents);
      syncRepository(repository);
      blob?.publish(descriptor.digest);
      linkStream(repository, streamName("layer", diffId), objectId);
    } catch (error) {
      // Damaged bytes are told as such: a wrong digest explains why the archive cannot be read.
      if (error instanceof SyntaxError || isFailure(error, "bad-input")) await whole.finish();
      throw asFailure(error, descriptor.digest);
    }
  } finally {
    splitter.abandon();
    blob?.abandon();
    await whole.close();
  }
}

/** Imports a tar that was made here and compresses it in the same pass. */
export async function addLayer(
  repository: Repository,
  tar: AsyncIterable<Uint8Array>,
  options: AddLayerOptions = {},
): Promise<{ descriptor: Descriptor; diffId: Digest }> {
  const blob = beginBlob(repository);
  const splitter = createLayerSplitter(repository);
  const diff = createDigester();
  const digester = createDigester();
  let size = 0;
  try {
    const split = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of tar) {
        options.signal?.throwIfAborted();
        diff.update(chunk);
        await splitter.push(chunk);
        yield chunk;
      }
    };
    const encoded = encodeLayer(split(), options.encoding ?? DEFAULT_ENCODING);
    for await (const chunk of encoded.bytes) {
      digester.update(chunk);
      size += chunk.length;
      blob?.write(chunk);
    }
    const { bytes, contents } = await splitter.finish();
    const diffId = diff.digest();
    const annotations = encoded.annotations();
    const { mediaType } = encoded;
    const descriptor: Descriptor = { mediaType, digest: digester.digest(), size, ...(annotations && { annotations }) };
    const objectId = repository.writer.put(bytes);
    saveContents(repository, objectId, contents);
    syncRepository(repository);
    blob?.publish(descriptor.digest);
    linkStream(repository, streamName("layer", diffId), objectId);
    return { descriptor, diffId };
  } catch (error) {
    throw asFailure(error, undefined);
  } finally {
    splitter.abandon();
    blob?.abandon();
  }
}

async function* tap(
  source: AsyncIterable<Uint8Array>,
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    see(chunk);
    yield chunk;
  }
}

interface WholeStream {
  /** A reader that leaves early does not end it. */
  readonly stream: AsyncIterable<Uint8Array>;
  /** Reads the rest, so that size and digest are always checked. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

function readToEnd(source: AsyncGenerator<Uint8Array, void, undefined>): WholeStream {
  const chunks = source[Symbol.asyncIterator]();
  return {
    stream: { [Symbol.asyncIterator]: () => ({ next: () => chunks.next() }) },
    async finish() {
      while ((await chunks.next()).done !== true);
    },
    async close() {
      await chunks.return();
    },
  };
}

/** What is here already must be what the manifest says, too: a push would hand the wrong size on. */
function requireBlobSize(repository: Repository, { digest, size }: Descriptor): void {
  const actual = blobSize(repository, digest);
  if (actual === size) return;
  throw new Failure(
    "digest-mismatch",
    `Cannot import layer "${digest}": it has ${actual} bytes, wanted ${size} as its descriptor says`,
  );
}

function requireDiffId(actual: Digest, wanted: Digest, layer: Digest): void {
  if (actual === wanted) return;
  throw new Failure(
    "digest-mismatch",
    `Cannot import layer "${layer}": its tar hashes to ${actual}, wanted ${wanted} as the image's config says`,
  );
}

function asFailure(error: unknown, layer: Digest | undefined): unknown {
  if (!(error instanceof SyntaxError)) return error;
  return new Failure(
    "bad-input",
    `Cannot import layer${layer === undefined ? "" : ` "${layer}"`}: it is no readable tar archive`,
    { cause: error },
  );
}
