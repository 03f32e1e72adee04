/**
 * What goes with an image and is none: signatures, attestations, bills of materials, deltas, the list of an image's referrers. An image is
 * trusted by these, so a policy asks nothing of them; and as no machine can run one, nothing comes past the policy in their place.
 * What counts is the content: whoever may push chooses tags, and may give an image a subject.
 */
import { type Digest, isDigest } from "../../core/digest.ts";
import { parseIndex, parseManifest } from "../../oci/manifest.ts";
import { isConfigType, isIndexType } from "../../oci/media-types.ts";
import { understand } from "../copy/documents.ts";
import type { ImageSource } from "../copy/image-io.ts";

/** Layers of what cosign writes under the config of an image: signatures, attestations, bills of materials. */
const COMPANION_LAYER =
  /^(?:application\/vnd\.dev\.cosign\.simplesigning\.v1|application\/vnd\.dsse\.envelope\.v1|application\/vnd\.(?:cyclonedx|syft)|text\/spdx)(?:\+(?:json|xml))?$/;
/** A list of referrers holds manifests; what nests deeper is no companion. */
const DEPTH_MAX = 2;

/** `sha256-<hex>`, and with `.sig`, `.att`, `.sbom`: where a companion of that digest is looked for. */
export function isCompanionTag(tag: string): boolean {
  const [, hex = ""] = /^sha(?:256|512)-([0-9a-f]{64,128})(?:\.(?:sig|att|sbom))?$/.exec(tag) ?? [];
  return isDigest(`sha256:${hex}`);
}

/** Whether nothing in this manifest, or in any that it lists, is an image. Failure as of source.manifest(), "bad-input". */
export async function holdsNoImage(source: ImageSource, digest: Digest, depth = 1): Promise<boolean> {
  const { bytes, mediaType } = await source.manifest(digest);
  const text = bytes.toString("utf8");
  if (isIndexType(mediaType)) {
    if (depth >= DEPTH_MAX) return false;
    for (const entry of understand(source.name, () => parseIndex(text, mediaType)).manifests)
      if (!(await holdsNoImage(source, entry.digest, depth + 1))) return false;
    return true;
  }
  const { config, layers } = understand(source.name, () => parseManifest(text, mediaType));
  const isImageConfig = isConfigType(config.mediaType);
  return !isImageConfig || layers.every((layer) => COMPANION_LAYER.test(layer.mediaType));
}
