/**
 * Names and paths of a composefs repository, and its meta.json. Nothing else in the store spells a path.
 *
 * @see composefs-rs doc/repository.md
 */
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import { type Digest, type DigestAlgorithm, isDigest } from "../core/digest.ts";
import { asArray, asObject, asString, optional, parseJsonObject } from "../core/json.ts";

export interface RepositoryPaths {
  readonly root: string;
  readonly meta: string;
  readonly objects: string;
  readonly images: string;
  /** GC roots that name images. */
  readonly imageRefs: string;
  readonly streams: string;
  /** GC roots that name streams. */
  readonly streamRefs: string;
  /** Names of images: links to manifest streams. */
  readonly names: string;
  /** See contents.ts. */
  readonly contents: string;
}

export function repositoryPaths(root: string): RepositoryPaths {
  return {
    root,
    meta: `${root}/meta.json`,
    objects: `${root}/objects`,
    images: `${root}/images`,
    imageRefs: `${root}/images/refs`,
    streams: `${root}/streams`,
    streamRefs: `${root}/streams/refs`,
    names: `${root}/streams/refs/oci`,
    contents: `${root}/contents`,
  };
}

/** Objects and blobs that are being written begin with this, in objects/ and blobs/. */
export const TEMPORARY_PREFIX = ".tmp-";

/** `xx/rest`, relative to objects/. */
export function objectName(objectId: string): string {
  return `${objectId.slice(0, 2)}/${objectId.slice(2)}`;
}

/** What a link in streams/ or images/ points to. */
export function objectLink(objectId: string): string {
  return `../objects/${objectName(objectId)}`;
}

/** The object that such a link names; undefined for a link of another form. */
export function parseObjectLink(target: string, algorithm: DigestAlgorithm): string | undefined {
  const match = /^\.\.\/objects\/([0-9a-f]{2})\/([0-9a-f]+)$/.exec(target);
  const id = match === null ? "" : `${match[1]}${match[2]}`;
  return isObjectId(id, algorithm) ? id : undefined;
}

export function isObjectId(text: string, algorithm: DigestAlgorithm): boolean {
  return text.length === (algorithm === "sha256" ? 64 : 128) && /^[0-9a-f]+$/.test(text);
}

export type StreamKind = "layer" | "config" | "manifest";

export function streamName(kind: StreamKind, digest: Digest): string {
  return `oci-${kind}-${digest}`;
}

/** The digest of a stream of this kind; undefined for other names. */
export function parseStreamName(kind: StreamKind, name: string): Digest | undefined {
  const prefix = `oci-${kind}-`;
  const digest = name.startsWith(prefix) ? name.slice(prefix.length) : "";
  return isDigest(digest) ? digest : undefined;
}

/** An image's name as a file name below streams/refs/oci. */
export function encodeImageName(name: string): string {
  return textToByteName(name.replaceAll("%", "%25").replaceAll("/", "%2F"));
}

export function decodeImageName(fileName: string): string {
  return byteNameToText(fileName).replace(/%(2F|25)/g, (_, code: string) => (code === "2F" ? "/" : "%"));
}

export interface RepositoryMeta {
  readonly algorithm: DigestAlgorithm;
}

/** What berth writes: EROFS format V1, which composefs-rs reads and extends alike. */
export function formatMeta(algorithm: DigestAlgorithm): string {
  return JSON.stringify({
    version: 1,
    algorithm: `fsverity-${algorithm}-12`,
    features: { compatible: [], "read-only-compatible": ["v1_erofs"], incompatible: [] },
    erofs_formats: { default: 1 },
  });
}

/** Throws SyntaxError for a repository that this program must not write to. */
export function parseMeta(text: string): RepositoryMeta {
  const object = parseJsonObject(text, "meta.json");
  if (object["version"] !== 1) {
    throw new SyntaxError(`Cannot read meta.json: its version is ${JSON.stringify(object["version"])}, wanted 1`);
  }
  const algorithm = /^fsverity-(sha256|sha512)-12$/.exec(asString(object["algorithm"], "meta.json.algorithm"))?.[1];
  if (algorithm !== "sha256" && algorithm !== "sha512") {
    throw new SyntaxError(
      `Cannot read meta.json: its algorithm is ${JSON.stringify(object["algorithm"])}, wanted fsverity-sha512-12`,
    );
  }
  const features = optional(object["features"], "meta.json.features", asObject) ?? {};
  for (const [group, known] of [
    ["incompatible", []],
    ["read-only-compatible", ["v1_erofs"]],
  ] as const) {
    for (const feature of optional(features[group], `meta.json.features.${group}`, asArray) ?? []) {
      if (known.every((name) => name !== feature)) {
        throw new SyntaxError(
          `Cannot read meta.json: it needs feature ${JSON.stringify(feature)}, which this version does not know`,
        );
      }
    }
  }
  return { algorithm };
}
