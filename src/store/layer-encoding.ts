/**
 * LayerEncoding: how a layer that is made here is compressed, and the change from one to another. The tar, and with it the diff id,
 * stays the same; the blob and its descriptor are others.
 */
import { compressGzip, compressZstd } from "../core/compress.ts";
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { isChunked } from "../format/zstd-chunked/frames.ts";
import { writeChunked } from "../format/zstd-chunked/write.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { LAYER_GZIP, LAYER_ZSTD, layerCompression } from "../oci/media-types.ts";
import type { Store, StoredImage } from "./store.ts";

export const LAYER_ENCODINGS = ["zstd:chunked", "zstd", "gzip"] as const;
export type LayerEncoding = (typeof LAYER_ENCODINGS)[number];

/** Machines then fetch only the files that they lack, and it costs about as much as gzip to make. */
export const DEFAULT_ENCODING: LayerEncoding = "zstd:chunked";

/** Failure "usage" for another word. */
export function toEncoding(text: string): LayerEncoding {
  const found = LAYER_ENCODINGS.find((encoding) => encoding === text);
  if (found !== undefined) return found;
  throw new Failure("usage", `Cannot compress layers as "${text}": wanted one of ${LAYER_ENCODINGS.join(", ")}`);
}

export interface EncodedLayer {
  readonly mediaType: string;
  /** The blob. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** For the descriptor, if any; known when `bytes` has been read to its end. */
  annotations(): Readonly<Record<string, string>> | undefined;
}

/** Equal tars give equal bytes. */
export function encodeLayer(tar: AsyncIterable<Uint8Array>, encoding: LayerEncoding): EncodedLayer {
  switch (encoding) {
    case "zstd:chunked":
      return { mediaType: LAYER_ZSTD, ...writeChunked(tar) };
    case "zstd":
      return { mediaType: LAYER_ZSTD, bytes: compressZstd(tar), annotations: () => undefined };
    case "gzip":
      return { mediaType: LAYER_GZIP, bytes: compressGzip(tar), annotations: () => undefined };
  }
}

/** "none" for a bare tar. */
export function encodingOf(descriptor: Descriptor): LayerEncoding | "none" {
  const compression = layerCompression(descriptor.mediaType) ?? "none";
  return compression === "zstd" && isChunked(descriptor.annotations) ? "zstd:chunked" : compression;
}

/** The layer as `encoding` has it: the same one when it is in it already, else a second blob in the store. */
export async function recompressLayer(
  store: Pick<Store, "addLayer" | "readLayer">,
  layer: { readonly diffId: Digest; readonly descriptor: Descriptor },
  encoding: LayerEncoding,
  signal?: AbortSignal,
): Promise<{ readonly diffId: Digest; readonly descriptor: Descriptor }> {
  if (encodingOf(layer.descriptor) === encoding) return layer;
  return store.addLayer(store.readLayer(layer.diffId), { encoding, ...(signal && { signal }) });
}

/** The image with all its layers as `encoding` has them: the same configuration under another manifest, not named. */
export async function recompressImage(
  store: Pick<Store, "addLayer" | "readLayer" | "saveImage">,
  image: StoredImage,
  encoding: LayerEncoding,
  signal?: AbortSignal,
): Promise<StoredImage> {
  const layers: Descriptor[] = [];
  for (const [i, descriptor] of image.manifest.layers.entries()) {
    const diffId = image.config.rootfs.diff_ids[i];
    if (diffId === undefined) continue;
    const { mediaType, digest, size, annotations } = (
      await recompressLayer(store, { diffId, descriptor }, encoding, signal)
    ).descriptor;
    layers.push({ mediaType, digest, size, ...(annotations && { annotations }) });
  }
  if (layers.every(({ digest }, i) => digest === image.manifest.layers[i]?.digest)) return image;
  const manifestBytes = Buffer.from(JSON.stringify({ ...image.manifest, layers }));
  return store.saveImage({ manifestBytes, configBytes: image.configBytes });
}
