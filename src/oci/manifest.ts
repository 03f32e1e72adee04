/**
 * Descriptor, Manifest, Index: the image-spec's values. A manifest's bytes are kept as they came, because its digest is
 * theirs; the parsed value is only a view.
 *
 * @see OCI image-spec descriptor.md, manifest.md, image-index.md
 */
import { type Digest, parseDigest } from "../core/digest.ts";
import { asArray, asCount, asObject, asString, asStringMap, optional, parseJsonObject } from "../core/json.ts";
import { INDEX, isIndexType, isManifestType, MANIFEST } from "./media-types.ts";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly artifactType?: string;
  /** Where else the content can be fetched. */
  readonly urls?: readonly string[];
}

export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
}

export interface Manifest {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Index {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Largest manifest accepted, in bytes (the distribution-spec asks for at least 4 MiB). */
export const MANIFEST_BYTES_MAX = 8 * 1024 * 1024;

/** Throws SyntaxError that names the field. @see OCI image-spec descriptor.md */
export function parseDescriptor(value: unknown, what: string): Descriptor {
  const object = asObject(value, what);
  const annotations = optional(object["annotations"], `${what}.annotations`, asStringMap);
  const platform = optional(object["platform"], `${what}.platform`, parsePlatform);
  const artifactType = optional(object["artifactType"], `${what}.artifactType`, asString);
  const urls = optional(object["urls"], `${what}.urls`, asArray)?.map((url, i) => asString(url, `${what}.urls[${i}]`));
  return {
    mediaType: asString(object["mediaType"], `${what}.mediaType`),
    digest: parseDigest(asString(object["digest"], `${what}.digest`)),
    size: asCount(object["size"], `${what}.size`),
    ...(annotations && { annotations }),
    ...(platform && { platform }),
    ...(artifactType !== undefined && { artifactType }),
    ...(urls && { urls }),
  };
}

/** Throws SyntaxError naming the field. `mediaType` is the Content-Type it came with, for documents that lack the field. */
export function parseManifest(text: string, mediaType: string = MANIFEST): Manifest {
  const object = parseJsonObject(text, "manifest");
  if (object["schemaVersion"] !== 2) {
    throw new SyntaxError(
      `Cannot read manifest.schemaVersion: it is ${JSON.stringify(object["schemaVersion"])}, wanted 2`,
    );
  }
  const type = optional(object["mediaType"], "manifest.mediaType", asString) ?? mediaType;
  if (!isManifestType(type))
    throw new SyntaxError(`Cannot read manifest: media type ${JSON.stringify(type)} is no image manifest`);
  const annotations = optional(object["annotations"], "manifest.annotations", asStringMap);
  const subject = optional(object["subject"], "manifest.subject", parseDescriptor);
  const artifactType = optional(object["artifactType"], "manifest.artifactType", asString);
  return {
    schemaVersion: 2,
    mediaType: type,
    config: parseDescriptor(object["config"], "manifest.config"),
    layers: asArray(object["layers"], "manifest.layers").map((layer, i) =>
      parseDescriptor(layer, `manifest.layers[${i}]`),
    ),
    ...(annotations && { annotations }),
    ...(subject && { subject }),
    ...(artifactType !== undefined && { artifactType }),
  };
}

/** Throws SyntaxError. `mediaType` is what the index was served as, for one that does not say it itself. */
export function parseIndex(text: string, mediaType: string = INDEX): Index {
  const object = parseJsonObject(text, "index");
  const type = optional(object["mediaType"], "index.mediaType", asString) ?? mediaType;
  if (!isIndexType(type))
    throw new SyntaxError(`Cannot read index: media type ${JSON.stringify(type)} is no image index`);
  const annotations = optional(object["annotations"], "index.annotations", asStringMap);
  const subject = optional(object["subject"], "index.subject", parseDescriptor);
  const artifactType = optional(object["artifactType"], "index.artifactType", asString);
  return {
    schemaVersion: 2,
    mediaType: type,
    manifests: asArray(object["manifests"], "index.manifests").map((entry, i) =>
      parseDescriptor(entry, `index.manifests[${i}]`),
    ),
    ...(annotations && { annotations }),
    ...(subject && { subject }),
    ...(artifactType !== undefined && { artifactType }),
  };
}

/** The manifest's canonical text: what berth writes and therefore what its digest is of. */
export function formatManifest(manifest: Manifest): string {
  return JSON.stringify(manifest);
}

function parsePlatform(value: unknown, what: string): Platform {
  const object = asObject(value, what);
  const variant = optional(object["variant"], `${what}.variant`, asString);
  return {
    architecture: asString(object["architecture"], `${what}.architecture`),
    os: asString(object["os"], `${what}.os`),
    ...(variant !== undefined && { variant }),
  };
}
