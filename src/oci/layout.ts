/**
 * OCI image layout: an image as a folder: `oci-layout`, `index.json`, `blobs/<algorithm>/<hex>`. Here are its texts; store/oci-layout.ts
 * moves the bytes.
 *
 * @see OCI image-spec image-layout.md
 */
import { type Digest, digestAlgorithm, digestHex } from "../core/digest.ts";
import { asString, parseJsonObject } from "../core/json.ts";
import { type Descriptor, type Index, type Platform, parseIndex } from "./manifest.ts";
import { INDEX, isIndexType } from "./media-types.ts";

export const LAYOUT_FILE = "oci-layout";
export const INDEX_FILE = "index.json";
/** On a descriptor in index.json: the image's name there. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** On a descriptor without a name in index.json: the repository that it belongs to, because digests alone say it of several. */
export const REPOSITORY = "vnd.berth.repository";

/** What an entry of index.json says of itself. */
export interface LayoutLabel {
  readonly ref?: string | undefined;
  /** Of an entry without a name. */
  readonly repository?: string | undefined;
}

/** `oci:DIRECTORY[:NAME]` as a person writes it. */
export interface LayoutReference {
  readonly directory: string;
  readonly name: string | undefined;
}

/** Throws SyntaxError. What follows the last colon is the name, unless it holds a slash. */
export function parseLayoutReference(text: string): LayoutReference {
  const rest = text.startsWith("oci:") ? text.slice("oci:".length) : undefined;
  const colon = rest?.lastIndexOf(":") ?? -1;
  const hasName = rest !== undefined && colon > rest.lastIndexOf("/");
  const directory = hasName ? rest.slice(0, colon) : rest;
  const name = hasName ? rest.slice(colon + 1) : undefined;
  if (directory === undefined || directory === "" || name === "") {
    throw new SyntaxError(
      `Cannot parse image folder ${JSON.stringify(text.slice(0, 300))}: wanted oci:DIRECTORY or oci:DIRECTORY:NAME`,
    );
  }
  return { directory, name };
}

/** Relative to the folder. */
export function layoutBlobPath(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

/** @see OCI image-spec image-layout.md, "oci-layout file" */
export function formatLayoutFile(): string {
  return JSON.stringify({ imageLayoutVersion: "1.0.0" });
}

/** Throws SyntaxError for a layout of another version. */
export function checkLayoutFile(text: string): void {
  const version = asString(parseJsonObject(text, LAYOUT_FILE)["imageLayoutVersion"], "oci-layout.imageLayoutVersion");
  if (!version.startsWith("1."))
    throw new SyntaxError(`Cannot read oci-layout: its version is ${JSON.stringify(version)}, wanted 1.0.0`);
}

/** index.json; like parseIndex(), but old writers leave out the media type. */
export function parseLayoutIndex(text: string): Index {
  return parseIndex(text, INDEX);
}

/** The index with this image in it, in the place of one of the same name (or, without a name, of the same digest and repository). */
export function addToIndex(index: Index | undefined, descriptor: Descriptor, label: LayoutLabel): Index {
  const annotations = {
    ...descriptor.annotations,
    ...(label.ref !== undefined && { [REF_NAME]: label.ref }),
    ...(label.repository !== undefined && { [REPOSITORY]: label.repository }),
  };
  const entry: Descriptor = Object.keys(annotations).length === 0 ? descriptor : { ...descriptor, annotations };
  const others = (index?.manifests ?? []).filter((other) => {
    if (other.annotations?.[REF_NAME] !== label.ref) return true;
    if (label.ref !== undefined) return false;
    return other.digest !== descriptor.digest || other.annotations?.[REPOSITORY] !== label.repository;
  });
  return { schemaVersion: 2, mediaType: INDEX, ...index, manifests: [...others, entry] };
}

export interface Choice {
  readonly name?: string | undefined;
  readonly platform: Platform;
}

/**
 * The one image that is meant. An entry that is an index itself is returned as it is: the caller reads it and chooses again,
 * without a name. Throws SyntaxError that lists what there is.
 */
export function chooseManifest(index: Index, choice: Choice): Descriptor {
  const named =
    choice.name === undefined
      ? index.manifests
      : index.manifests.filter((entry) => entry.annotations?.[REF_NAME] === choice.name);
  if (named.length === 0) {
    const names = index.manifests.map((entry) => entry.annotations?.[REF_NAME] ?? entry.digest).join(", ");
    throw new SyntaxError(
      choice.name === undefined
        ? "the index names no image"
        : `no image is named ${JSON.stringify(choice.name)}, there is: ${names || "none"}`,
    );
  }
  const fitting = named.filter((entry) => isIndexType(entry.mediaType) || fits(entry.platform, choice.platform));
  const [first, ...more] = fitting;
  if (first === undefined) {
    const there = named.map(({ platform }) => `${platform?.os}/${platform?.architecture}`).join(", ");
    throw new SyntaxError(`no image is for ${choice.platform.os}/${choice.platform.architecture}, there is: ${there}`);
  }
  if (more.length > 0) {
    const names = fitting.map((entry) => entry.annotations?.[REF_NAME] ?? entry.digest).join(", ");
    throw new SyntaxError(`${fitting.length} images fit, wanted a name: one of ${names}`);
  }
  return first;
}

function fits(platform: Platform | undefined, wanted: Platform): boolean {
  return platform === undefined || (platform.os === wanted.os && platform.architecture === wanted.architecture);
}
