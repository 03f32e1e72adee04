/**
 * ManifestFacts: what a registry must know of a manifest or index that is pushed to it. Fields that the specification does
 * not name are none of its business.
 *
 * @see OCI image-spec manifest.md, image-index.md; distribution-spec, "Listing Referrers"
 */
import { parseJsonObject } from "../core/json.ts";
import { type Descriptor, parseIndex, parseManifest } from "../oci/manifest.ts";
import { bareType, INDEX, isIndexType, isManifestType, MANIFEST } from "../oci/media-types.ts";
import { checkJsonShape } from "./json-limits.ts";

export interface ManifestFacts {
  readonly mediaType: string;
  /** Must be in the repository as blobs. */
  readonly blobs: readonly Descriptor[];
  /** Layers that may be elsewhere only; those that were pushed here are kept like all others. */
  readonly foreignLayers: readonly Descriptor[];
  /** Must be in the repository as manifests. */
  readonly manifests: readonly Descriptor[];
  readonly subject: Descriptor | undefined;
  /** As the referrers list shows it: for a manifest the config's media type when there is no field. */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/** Throws SyntaxError. `contentType` is the request's; it must be the document's own mediaType where both are given. */
export function readManifestFacts(bytes: Uint8Array, contentType: string | null): ManifestFacts {
  checkJsonShape(bytes, "manifest");
  const text = decodeUtf8(bytes);
  const object = parseJsonObject(text, "manifest");
  const declared = contentType === null ? undefined : bareType(contentType);
  const own = object["mediaType"];
  if (own !== undefined && declared !== undefined && own !== declared) {
    throw new SyntaxError(
      `Cannot accept manifest: its mediaType ${JSON.stringify(own)} is not the Content-Type "${declared}"`,
    );
  }
  const mediaType = declared ?? (typeof own === "string" ? own : "manifests" in object ? INDEX : MANIFEST);
  if (isIndexType(mediaType)) {
    const { manifests, subject, artifactType, annotations } = parseIndex(text, mediaType);
    return { mediaType, blobs: [], foreignLayers: [], manifests, subject, artifactType, annotations };
  }
  if (!isManifestType(mediaType)) {
    throw new SyntaxError(
      `Cannot accept manifest: media type ${JSON.stringify(mediaType)} is no image manifest and no index`,
    );
  }
  const { config, layers, subject, artifactType, annotations } = parseManifest(text, mediaType);
  return {
    mediaType,
    blobs: [config, ...layers.filter((layer) => !isFetchedElsewhere(layer))],
    foreignLayers: layers.filter(isFetchedElsewhere),
    manifests: [],
    subject,
    artifactType: artifactType ?? config.mediaType,
    annotations,
  };
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SyntaxError("Cannot accept manifest: it is not UTF-8");
  }
}

/** Layers that may not be distributed, or that name where to get them. */
function isFetchedElsewhere(layer: Descriptor): boolean {
  return (
    (layer.urls?.length ?? 0) > 0 ||
    layer.mediaType.startsWith("application/vnd.oci.image.layer.nondistributable.") ||
    layer.mediaType.startsWith("application/vnd.docker.image.rootfs.foreign.")
  );
}
