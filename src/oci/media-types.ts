/**
 * Media types of images, OCI's and Docker's.
 *
 * @see OCI image-spec media-types.md
 */

export const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const INDEX = "application/vnd.oci.image.index.v1+json";
export const CONFIG = "application/vnd.oci.image.config.v1+json";
export const LAYER = "application/vnd.oci.image.layer.v1.tar";
export const LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
export const LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
export const DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
export const DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";

export type Compression = "none" | "gzip" | "zstd";

/** How a layer of this media type is compressed; undefined for a type that is no layer. */
export function layerCompression(mediaType: string): Compression | undefined {
  switch (mediaType) {
    case LAYER:
    case "application/vnd.docker.image.rootfs.diff.tar":
      return "none";
    case LAYER_GZIP:
    case DOCKER_LAYER_GZIP:
      return "gzip";
    case LAYER_ZSTD:
    case "application/vnd.docker.image.rootfs.diff.tar.zstd":
      return "zstd";
    default:
      return undefined;
  }
}

/** OCI's or Docker's, as for the two below. */
export function isIndexType(mediaType: string): boolean {
  return mediaType === INDEX || mediaType === DOCKER_INDEX;
}

export function isManifestType(mediaType: string): boolean {
  return mediaType === MANIFEST || mediaType === DOCKER_MANIFEST;
}

export function isConfigType(mediaType: string): boolean {
  return mediaType === CONFIG || mediaType === DOCKER_CONFIG;
}

/** The media type of a Content-Type, without its parameters. */
export function bareType(contentType: string): string {
  return contentType.replace(/;.*/, "").trim();
}
