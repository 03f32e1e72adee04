/**
 * Images: manifests and configs of a repository and their names. A manifest stream names its config and layers, a config stream
 * its layers and the EROFS images made of it, so that one mark from a name reaches all that the image needs.
 *
 * @see composefs-rs doc/oci.md
 */
import { type Digest, digestAlgorithm, digestHex, digestOf, isDigest } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { compareBytes } from "../core/bytes.ts";
import { createSplitstreamWriter } from "../format/splitstream/splitstream.ts";
import { parseImageConfig } from "../oci/config.ts";
import { parseManifest } from "../oci/manifest.ts";
import { formatImageRef, parseImageRef } from "../oci/reference.ts";
import { readTree } from "./layers.ts";
import { decodeImageName, encodeImageName, parseStreamName, streamName } from "./layout.ts";
import { type Repository, syncRepository } from "./repository.ts";
import type { ImageForm, StoredImage } from "./store.ts";
import { corrupt, findStream, linkStream, openStream, readSingleObject } from "./streams.ts";

/** Named references of a config stream that are EROFS images. */
export const IMAGE_REFS = {
  raw: "berth.image.raw.v1",
  oci: "composefs.image.v1",
  boot: "composefs.image.boot.v1",
} as const satisfies Readonly<Record<ImageForm, string>>;

const ID_PREFIX_LENGTH_MIN = 6;

/** All images, named and not, by name, then by digest. */
export function listImages(repository: Repository): StoredImage[] {
  const names = readNames(repository);
  const found = manifestDigests(repository)
    .map((digest) => loadImage(repository, digest, names))
    .filter((image) => image !== undefined);
  const key = (image: StoredImage): string => `${image.names[0] ?? "\uffff"}\0${image.digest}`;
  return found.sort((left, right) => compareBytes(key(left), key(right)));
}

function manifestDigests(repository: Repository): Digest[] {
  return repository.host.files
    .listIfAny(repository.paths.streams)
    .map((name) => parseStreamName("manifest", name))
    .filter((digest) => digest !== undefined);
}

/** By name, by manifest digest, or by a unique prefix of the config's hex. Failure "conflict" when a prefix fits several. */
export function findImage(repository: Repository, name: string): StoredImage | undefined {
  const names = readNames(repository);
  const digest = isDigest(name) ? name : (names.get(name) ?? names.get(withTag(name)));
  if (digest !== undefined) return loadImage(repository, digest, names);
  if (!/^[0-9a-f]+$/.test(name) || name.length < ID_PREFIX_LENGTH_MIN) return undefined;
  const fitting = listImages(repository).filter((image) => digestHex(image.manifest.config.digest).startsWith(name));
  const ids = new Set(fitting.map((image) => image.manifest.config.digest));
  if (ids.size > 1)
    throw new Failure("conflict", `Cannot find image "${name}": ${ids.size} images have an id that begins so`);
  return fitting[0];
}

/** Checks digests and layers, and that these make a tree; then makes the streams. Written again when a layer's stream changed (after a repair). */
export function saveImage(
  repository: Repository,
  image: { readonly manifestBytes: Uint8Array; readonly configBytes: Uint8Array },
): StoredImage {
  const { manifest, config } = parseImage(image.manifestBytes, image.configBytes);
  const layers = new Map<string, string>();
  for (const diffId of config.rootfs.diff_ids) {
    const objectId = findStream(repository, streamName("layer", diffId));
    if (objectId === undefined)
      throw new Failure("not-found", `Cannot save image: its layer "${diffId}" is not in the store`);
    layers.set(diffId, objectId);
  }
  const digest = digestOf(image.manifestBytes);
  const configDigest = manifest.config.digest;
  const known = openStream(repository, streamName("config", configDigest));
  const isCurrent =
    known !== undefined && [...layers].every(([diffId, id]) => known.stream.namedRefs.get(diffId) === id);
  const hasManifest = findStream(repository, streamName("manifest", digest)) !== undefined;
  if (!isCurrent || !hasManifest) {
    requireTree(repository, digest, config.rootfs.diff_ids);
    requireKnownPairs(repository, { digest, manifest, config });
    const images = known === undefined ? [] : [...known.stream.namedRefs].filter(([name]) => isImageRef(name));
    writeImageStreams(repository, {
      digest,
      ...image,
      configDigest,
      configId: isCurrent ? known?.objectId : undefined,
      layers,
      images: new Map(images),
    });
  }
  return requireImage(repository, digest);
}

/** false when there is no such image. Failure "conflict" while it has names. */
export function removeImage(repository: Repository, digest: Digest): boolean {
  const stream = streamName("manifest", digest);
  if (findStream(repository, stream) === undefined) return false;
  const names = requireImage(repository, digest).names;
  if (names.length > 0)
    throw new Failure("conflict", `Cannot remove image "${digest}": it is named ${names.join(", ")}`);
  repository.host.files.remove(`${repository.paths.streams}/${stream}`);
  return true;
}

/** Failure "not-found" for an unknown manifest, "bad-input" for a name that no file can have. */
export function tagImage(repository: Repository, name: string, digest: Digest): void {
  const stream = streamName("manifest", digest);
  if (findStream(repository, stream) === undefined) {
    throw new Failure("not-found", `Cannot name image "${digest}": it is not in the store`);
  }
  const fileName = encodeImageName(name);
  if (name === "" || fileName.startsWith(".") || fileName.length > 255) {
    throw new Failure(
      "bad-input",
      `Cannot name image "${name}": a name has 1 to 255 bytes and does not begin with a dot`,
    );
  }
  repository.host.files.makeDirectory(repository.paths.names);
  repository.host.files.replaceSymlink(`${repository.paths.names}/${fileName}`, `../../${stream}`);
}

/** false when there is no such name. The image stays until the next collection. */
export function untagImage(repository: Repository, name: string): boolean {
  const { files } = repository.host;
  const path = [name, withTag(name)]
    .map((each) => `${repository.paths.names}/${encodeImageName(each)}`)
    .find((each) => files.exists(each));
  if (path === undefined) return false;
  files.remove(path);
  return true;
}

/** The EROFS image of this form that the config stream remembers, whether or not it still exists. */
export function rememberedImage(repository: Repository, image: StoredImage, form: ImageForm): string | undefined {
  return openStream(repository, streamName("config", image.manifest.config.digest))?.stream.namedRefs.get(
    IMAGE_REFS[form],
  );
}

/** Writes the config stream again with this image's id, and every manifest stream that names the config. */
export function rememberImage(repository: Repository, image: StoredImage, form: ImageForm, id: string): void {
  const configDigest = image.manifest.config.digest;
  const config = openStream(repository, streamName("config", configDigest));
  if (config === undefined)
    throw new Failure("not-found", `Cannot remember image "${image.digest}": its config is not in the store`);
  const isImage = (name: string): boolean => isImageRef(name);
  const layers = new Map([...config.stream.namedRefs].filter(([name]) => !isImage(name)));
  const images = new Map([...config.stream.namedRefs].filter(([name]) => isImage(name)));
  images.set(IMAGE_REFS[form], id);
  const sharing = listImages(repository).filter((other) => other.manifest.config.digest === configDigest);
  for (const { digest, manifestBytes } of sharing) {
    writeImageStreams(repository, {
      digest,
      manifestBytes,
      configBytes: image.configBytes,
      configDigest,
      layers,
      images,
    });
  }
}

/** What could not run is not kept, whoever brings it. */
function requireTree(repository: Repository, image: Digest, diffIds: readonly Digest[]): void {
  try {
    readTree(repository, diffIds);
  } catch (cause) {
    if (!isFailure(cause, "bad-input")) throw cause;
    throw new Failure("bad-input", `Cannot save image "${image}": its layers make no file system`, { cause });
  }
}

/**
 * A blob unpacks to one tar. Import looks at blobs that are missing only; what is here already was seen with an image that had it, and a
 * push would hand a wrong pair on.
 */
function requireKnownPairs(
  repository: Repository,
  { digest, manifest, config }: Pick<StoredImage, "digest" | "manifest" | "config">,
): void {
  if (repository.blobs === undefined) return;
  const known = new Map(readableImages(repository).flatMap((image) => layerPairs(image)));
  for (const [blob, diffId] of layerPairs({ manifest, config })) {
    const seen = known.get(blob) ?? diffId;
    known.set(blob, seen);
    if (seen === diffId) continue;
    throw new Failure(
      "digest-mismatch",
      `Cannot save image "${digest}": its layer "${blob}" unpacks to ${seen}, wanted ${diffId} as its config says`,
    );
  }
}

/** One damaged image must not keep others out. */
function readableImages(repository: Repository): StoredImage[] {
  return manifestDigests(repository).flatMap((digest) => {
    try {
      return loadImage(repository, digest, new Map()) ?? [];
    } catch (error) {
      if (isFailure(error, "corrupt")) return [];
      throw error;
    }
  });
}

function layerPairs({ manifest, config }: Pick<StoredImage, "manifest" | "config">): [blob: Digest, diffId: Digest][] {
  return manifest.layers.flatMap(({ digest }, i) => {
    const diffId = config.rootfs.diff_ids[i];
    return diffId === undefined ? [] : [[digest, diffId] as [Digest, Digest]];
  });
}

interface ImageStreams {
  readonly digest: Digest;
  readonly manifestBytes: Uint8Array;
  readonly configBytes: Uint8Array;
  readonly configDigest: Digest;
  /** The config stream's object where it can stay: other manifests name it. */
  readonly configId?: string | undefined;
  /** Diff id to the object of the layer's splitstream. */
  readonly layers: ReadonlyMap<string, string>;
  readonly images: ReadonlyMap<string, string>;
}

function writeImageStreams(repository: Repository, parts: ImageStreams): void {
  const configId = parts.configId ?? writeConfigStream(repository, parts);
  const manifest = createSplitstreamWriter("ocimanif", repository.algorithm);
  manifest.external(repository.writer.put(parts.manifestBytes), parts.manifestBytes.length);
  manifest.nameRef(`config:${parts.configDigest}`, configId);
  for (const [name, id] of parts.layers) manifest.nameRef(name, id);
  const manifestId = repository.writer.put(manifest.finish());
  syncRepository(repository);
  linkStream(repository, streamName("config", parts.configDigest), configId);
  linkStream(repository, streamName("manifest", parts.digest), manifestId);
}

function writeConfigStream(repository: Repository, parts: ImageStreams): string {
  const config = createSplitstreamWriter("ociconfg", repository.algorithm);
  config.external(repository.writer.put(parts.configBytes), parts.configBytes.length);
  for (const [name, id] of [...parts.layers, ...parts.images]) config.nameRef(name, id);
  return repository.writer.put(config.finish());
}

function isImageRef(name: string): boolean {
  return name.startsWith("composefs.image") || name.startsWith("berth.image.");
}

function parseImage(manifestBytes: Uint8Array, configBytes: Uint8Array): Pick<StoredImage, "manifest" | "config"> {
  try {
    const manifest = parseManifest(Buffer.from(manifestBytes).toString("utf8"));
    const { digest, size } = manifest.config;
    const actual = digestOf(configBytes, digestAlgorithm(digest));
    if (actual !== digest || configBytes.length !== size) {
      throw new Failure("digest-mismatch", `Cannot save image: its config hashes to ${actual}, wanted ${digest}`);
    }
    const config = parseImageConfig(Buffer.from(configBytes).toString("utf8"));
    if (config.rootfs.diff_ids.length !== manifest.layers.length) {
      throw new SyntaxError(
        `its config names ${config.rootfs.diff_ids.length} layers, its manifest ${manifest.layers.length}`,
      );
    }
    return { manifest, config };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Failure("bad-input", "Cannot save image: its manifest or config is malformed", { cause: error });
  }
}

/** undefined when the manifest's or config's stream is missing. Failure "corrupt" when the bytes are not the digest's. */
function loadImage(
  repository: Repository,
  digest: Digest,
  names: ReadonlyMap<string, Digest>,
): StoredImage | undefined {
  const manifestStream = openStream(repository, streamName("manifest", digest));
  if (manifestStream === undefined) return undefined;
  const manifestBytes = readDigested(repository, manifestStream, digest);
  const manifest = parseStored(manifestStream.name, () => parseManifest(manifestBytes.toString("utf8")));
  const configStream = openStream(repository, streamName("config", manifest.config.digest));
  if (configStream === undefined) return undefined;
  const configBytes = readDigested(repository, configStream, manifest.config.digest);
  const config = parseStored(configStream.name, () => parseImageConfig(configBytes.toString("utf8")));
  const own = [...names].filter(([, target]) => target === digest).map(([name]) => name);
  return { digest, manifest, manifestBytes, config, configBytes, names: own.sort(compareBytes) };
}

function requireImage(repository: Repository, digest: Digest): StoredImage {
  const image = loadImage(repository, digest, readNames(repository));
  if (image === undefined)
    throw new Failure("io", `Cannot read image "${digest}": it was written a moment ago and is gone`);
  return image;
}

function readDigested(
  repository: Repository,
  stream: NonNullable<ReturnType<typeof openStream>>,
  digest: Digest,
): Buffer {
  const bytes = readSingleObject(repository, stream);
  const actual = digestOf(bytes, digestAlgorithm(digest));
  if (actual !== digest) throw corrupt(stream.name, new Error(`its content hashes to ${actual}`));
  return bytes;
}

function parseStored<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw corrupt(name, error);
  }
}

function readNames(repository: Repository): Map<string, Digest> {
  const { files } = repository.host;
  const names = new Map<string, Digest>();
  for (const fileName of files.listIfAny(repository.paths.names)) {
    const path = `${repository.paths.names}/${fileName}`;
    if (fileName.startsWith(".") || files.lstat(path)?.kind !== "symlink") continue;
    const digest = parseStreamName("manifest", files.readlink(path).replace(/^(?:\.\.\/)+/, ""));
    if (digest !== undefined) names.set(decodeImageName(fileName), digest);
  }
  return names;
}

/** `localhost/os` as `localhost/os:latest`; other texts as they are. */
function withTag(name: string): string {
  try {
    return formatImageRef(parseImageRef(name));
  } catch {
    return name;
  }
}
