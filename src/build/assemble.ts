/**
 * assembleImage(): layers, configuration and history → the bytes of config and manifest. Equal inputs give equal bytes.
 *
 * @see OCI image-spec config.md, manifest.md, annotations.md
 */
import { type Digest, digestOf } from "../core/digest.ts";
import { formatImageConfig, type HistoryEntry, type ImageConfig, type RunConfig } from "../oci/config.ts";
import type { Descriptor, Manifest } from "../oci/manifest.ts";
import { CONFIG, LAYER, LAYER_GZIP, LAYER_ZSTD, layerCompression, MANIFEST } from "../oci/media-types.ts";

export interface ImageParts {
  readonly created: string;
  readonly author: string | undefined;
  readonly architecture: string;
  readonly variant: string | undefined;
  readonly config: RunConfig;
  readonly layers: readonly { readonly diffId: Digest; readonly descriptor: Descriptor }[];
  readonly history: readonly HistoryEntry[];
  readonly annotations: ReadonlyMap<string, string>;
}

export interface AssembledImage {
  readonly manifestBytes: Buffer;
  readonly configBytes: Buffer;
}

export function assembleImage(parts: ImageParts): AssembledImage {
  const config: ImageConfig = {
    created: parts.created,
    ...(parts.author !== undefined && { author: parts.author }),
    architecture: parts.architecture,
    os: "linux",
    ...(parts.variant !== undefined && { variant: parts.variant }),
    config: parts.config,
    rootfs: { type: "layers", diff_ids: parts.layers.map((layer) => layer.diffId) },
    history: parts.history,
  };
  const configBytes = Buffer.from(formatImageConfig(config));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, digest: digestOf(configBytes), size: configBytes.length },
    layers: parts.layers.map((layer) => ociLayer(layer.descriptor)),
    ...(parts.annotations.size > 0 && {
      annotations: Object.fromEntries([...parts.annotations].sort(([left], [right]) => (left < right ? -1 : 1))),
    }),
  };
  return { configBytes, manifestBytes: Buffer.from(JSON.stringify(manifest)) };
}

const OCI_TYPES = { none: LAYER, gzip: LAYER_GZIP, zstd: LAYER_ZSTD } as const;

/** A layer that came with a Docker manifest keeps its bytes; only the name of its type changes. */
function ociLayer(descriptor: Descriptor): Descriptor {
  const compression = layerCompression(descriptor.mediaType);
  const { digest, size, annotations } = descriptor;
  const mediaType = compression === undefined ? descriptor.mediaType : OCI_TYPES[compression];
  return { mediaType, digest, size, ...(annotations && { annotations }) };
}
