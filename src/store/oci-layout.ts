/**
 * importLayout() and exportLayout(): an image between the store and an `oci:` folder. Every blob is checked against its digest,
 * in and out; what is exported is byte for byte what was imported.
 */
import { byteNameToText, collectBytes, streamOf, textToByteName } from "../core/bytes.ts";
import { mapConcurrent } from "../core/concurrency.ts";
import type { Digest } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { type Progress, silent } from "../core/progress.ts";
import { verified } from "../core/verified.ts";
import type { Host } from "../host/host.ts";
import { parseImageConfig } from "../oci/config.ts";
import {
  addToIndex,
  checkLayoutFile,
  chooseManifest,
  formatLayoutFile,
  INDEX_FILE,
  LAYOUT_FILE,
  type LayoutReference,
  layoutBlobPath,
  parseLayoutIndex,
} from "../oci/layout.ts";
import { type Descriptor, type Index, MANIFEST_BYTES_MAX, parseIndex, parseManifest } from "../oci/manifest.ts";
import { isIndexType, layerCompression } from "../oci/media-types.ts";
import { encodeLayer, encodingOf } from "./layer-encoding.ts";
import { requireSpace } from "./space.ts";
import type { StoredImage, Store } from "./store.ts";

export interface LayoutOptions {
  readonly progress?: Progress;
  readonly signal?: AbortSignal | undefined;
}

/** Layers that are imported at the same time. */
const LAYERS_AT_ONCE_MAX = 4;
/** Indexes inside indexes. */
const INDEX_DEPTH_MAX = 4;

/** The image is in the store, not yet named. Failure "not-found", "bad-input", "digest-mismatch", "no-space". */
export async function importLayout(
  host: Host,
  store: Store,
  reference: LayoutReference,
  options: LayoutOptions = {},
): Promise<StoredImage> {
  const folder = textToByteName(reference.directory);
  const what = `import image "oci:${reference.directory}${reference.name === undefined ? "" : `:${reference.name}`}"`;
  const { manifestBytes, configBytes, layers } = await understand(what, async () => {
    const descriptor = await findManifest(host, folder, reference);
    const bytes = await readSmall(host, folder, descriptor);
    const manifest = parseManifest(bytes.toString("utf8"), descriptor.mediaType);
    const config = await readSmall(host, folder, manifest.config);
    const diffIds = parseImageConfig(config.toString("utf8")).rootfs.diff_ids;
    if (diffIds.length !== manifest.layers.length) {
      throw new SyntaxError(`its config names ${diffIds.length} layers, its manifest ${manifest.layers.length}`);
    }
    const alien = manifest.layers.find(({ mediaType }) => layerCompression(mediaType) === undefined);
    if (alien !== undefined)
      throw new SyntaxError(
        `layer ${alien.digest} has media type ${JSON.stringify(alien.mediaType)}, wanted a tar layer`,
      );
    return {
      manifestBytes: bytes,
      configBytes: config,
      layers: manifest.layers.map((layer, i) => ({ layer, diffId: diffIds[i] })),
    };
  });
  const missing = layers.filter(({ layer, diffId }) => diffId !== undefined && !isComplete(store, layer, diffId));
  const missingBytes = missing.reduce((sum, { layer }) => sum + layer.size, 0);
  requireSpace(host, store.path, missingBytes * (store.keepsBlobs ? 2 : 1), what);
  const limit = Math.min(host.cores, LAYERS_AT_ONCE_MAX);
  await mapConcurrent(
    missing,
    { limit, ...(options.signal && { signal: options.signal }) },
    async ({ layer, diffId }) => {
      if (diffId === undefined) return;
      const path = blobPath(folder, layer.digest);
      requireBlob(host, path, layer);
      const task = (options.progress ?? silent).task(`Importing layer ${layer.digest.slice(7, 19)}`, {
        total: layer.size,
        unit: "bytes",
      });
      await store.importLayer(host.files.readStream(path), {
        descriptor: layer,
        diffId,
        signal: options.signal,
        onBytes: (count) => task.advance(count),
      });
      task.done();
    },
  );
  return store.saveImage({ manifestBytes, configBytes });
}

/** Adds the image to the folder, which is made when missing. */
export async function exportLayout(
  host: Host,
  store: Store,
  image: StoredImage,
  reference: LayoutReference,
  options: LayoutOptions = {},
): Promise<void> {
  const folder = textToByteName(reference.directory);
  const what = `export image "${image.names[0] ?? image.digest}"`;
  const { files } = host;
  if ((files.stat(folder)?.kind ?? "directory") !== "directory")
    throw new Failure("bad-input", `Cannot ${what}: "${reference.directory}" is a file, wanted a folder`);
  const marker = files.readTextIfAny(`${folder}/${LAYOUT_FILE}`);
  const oldIndex = files.readTextIfAny(`${folder}/${INDEX_FILE}`);
  const index = await understand(what, async () => {
    if (marker !== undefined) checkLayoutFile(marker);
    else if (files.listIfAny(folder).length > 0)
      throw new SyntaxError("the folder is not empty and no OCI image layout");
    return oldIndex === undefined ? undefined : parseLayoutIndex(oldIndex);
  });
  const missing = image.manifest.layers.filter(({ digest }) => !files.exists(blobPath(folder, digest)));
  const missingBytes = missing.reduce((sum, { size }) => sum + size, 0);
  requireSpace(host, folder, missingBytes, what, "free some space there, or name another folder");
  files.makeDirectory(folder);
  // First, so that an export that was broken off can be taken up again.
  files.replace(`${folder}/${LAYOUT_FILE}`, formatLayoutFile());
  using unfinished = files.temporaryDirectory(`${folder}/.export-`);
  const put = async (
    blob: Descriptor,
    source: AsyncIterable<Uint8Array>,
    onBytes?: (count: number) => void,
  ): Promise<void> => {
    const path = `${unfinished.path}/blob`;
    await writeVerified(host, path, blob, source, onBytes);
    files.rename(path, makeBlobPath(host, folder, blob.digest));
  };
  for (const [i, layer] of image.manifest.layers.entries()) {
    const diffId = image.config.rootfs.diff_ids[i];
    if (diffId === undefined || files.exists(blobPath(folder, layer.digest))) continue;
    const task = (options.progress ?? silent).task(`Exporting layer ${layer.digest.slice(7, 19)}`, {
      total: layer.size,
      unit: "bytes",
    });
    await put(layer, layerBytes(store, layer, diffId), (count) => {
      options.signal?.throwIfAborted();
      task.advance(count);
    });
    task.done();
  }
  const descriptor: Descriptor = {
    mediaType: image.manifest.mediaType,
    digest: image.digest,
    size: image.manifestBytes.length,
    platform: { architecture: image.config.architecture, os: image.config.os },
  };
  for (const [entry, bytes] of [
    [image.manifest.config, image.configBytes],
    [descriptor, image.manifestBytes],
  ] as const) {
    if (!files.exists(blobPath(folder, entry.digest))) await put(entry, streamOf(bytes));
  }
  files.syncFileSystem(folder);
  files.replace(`${folder}/${INDEX_FILE}`, JSON.stringify(addToIndex(index, descriptor, { ref: reference.name })));
}

/** The layer is here, and its blob, of the size that is said, where blobs are kept. */
export function isComplete(
  store: Pick<Store, "hasLayer" | "hasBlob" | "keepsBlobs">,
  layer: Descriptor,
  diffId: Digest,
): boolean {
  return store.hasLayer(diffId) && (!store.keepsBlobs || store.hasBlob(layer.digest, layer.size));
}

/** The blob as it came; where it was not kept, made again when that gives the same bytes. */
function layerBytes(store: Store, layer: Descriptor, diffId: Digest): AsyncIterable<Uint8Array> {
  if (store.hasBlob(layer.digest)) return store.readBlob(layer.digest);
  const encoding = encodingOf(layer);
  if (encoding === "none") return store.readLayer(diffId);
  if (encoding === "zstd" || encoding === "zstd:chunked") return encodeLayer(store.readLayer(diffId), encoding).bytes;
  throw new Failure("not-found", `Cannot read blob "${layer.digest}": the store does not keep compressed layers`, {
    hint: "pull the image on a workstation, whose store keeps them",
  });
}

async function findManifest(host: Host, folder: string, reference: LayoutReference): Promise<Descriptor> {
  const marker = host.files.readTextIfAny(`${folder}/${LAYOUT_FILE}`);
  const text = host.files.readTextIfAny(`${folder}/${INDEX_FILE}`);
  if (marker === undefined || text === undefined) {
    throw new Failure(
      "not-found",
      `Cannot read image folder "${byteNameToText(folder)}": it has no ${marker === undefined ? LAYOUT_FILE : INDEX_FILE}`,
    );
  }
  checkLayoutFile(marker);
  const platform = { os: "linux", architecture: host.architecture };
  let index: Index = parseLayoutIndex(text);
  let chosen = chooseManifest(index, { name: reference.name, platform });
  for (let depth = 1; isIndexType(chosen.mediaType); depth += 1) {
    if (depth > INDEX_DEPTH_MAX) throw new SyntaxError(`more than ${INDEX_DEPTH_MAX} indexes lead to the image`);
    index = parseIndex((await readSmall(host, folder, chosen)).toString("utf8"), chosen.mediaType);
    chosen = chooseManifest(index, { platform });
  }
  return chosen;
}

async function readSmall(host: Host, folder: string, descriptor: Descriptor): Promise<Buffer> {
  if (descriptor.size > MANIFEST_BYTES_MAX) {
    throw new SyntaxError(
      `document ${descriptor.digest} has ${descriptor.size} bytes, wanted at most ${MANIFEST_BYTES_MAX}`,
    );
  }
  const path = blobPath(folder, descriptor.digest);
  requireBlob(host, path, descriptor);
  return collectBytes(verified(host.files.readStream(path), descriptor));
}

function requireBlob(host: Host, path: string, descriptor: Descriptor): void {
  if (host.files.exists(path)) return;
  throw new Failure("not-found", `Cannot read blob "${descriptor.digest}": the folder does not have it`);
}

function blobPath(folder: string, digest: Digest): string {
  return `${folder}/${layoutBlobPath(digest)}`;
}

function makeBlobPath(host: Host, folder: string, digest: Digest): string {
  const path = blobPath(folder, digest);
  host.files.makeDirectory(path.slice(0, path.lastIndexOf("/")));
  return path;
}

async function writeVerified(
  host: Host,
  path: string,
  descriptor: Descriptor,
  source: AsyncIterable<Uint8Array>,
  onBytes: ((count: number) => void) | undefined,
): Promise<void> {
  using file = host.files.open(path, "create");
  for await (const chunk of verified(source, descriptor)) {
    file.write(chunk);
    onBytes?.(chunk.length);
  }
}

/** Malformed documents as one Failure that says what was asked for. */
async function understand<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isFailure(error) || !(error instanceof SyntaxError)) throw error;
    throw new Failure("bad-input", `Cannot ${what}: ${error.message}`, { cause: error });
  }
}
