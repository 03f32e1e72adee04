/**
 * Store: a composefs repository that holds images. On a machine it is /sysroot/composefs; on a workstation it lies under
 * /var/lib/berth and also keeps every layer's original compressed blob, so that digests never change between pull and push.
 *
 *   meta.json                  format, hash algorithm (composefs-rs compatible)
 *   objects/xx/rest            content named by its fs-verity digest
 *   images/<id>                -> ../objects/xx/rest, an EROFS image
 *   streams/oci-layer-<diff id>, oci-config-<digest>, oci-manifest-<digest>   -> ../objects/xx/rest, splitstreams
 *   streams/refs/oci/<name>    -> ../../oci-manifest-<digest>; `/` in a name is written %2F
 *   contents/<object id>       sha256 of the contents of a layer's objects (berth's own addition; may be deleted)
 *   blobs/<algorithm>/<hex>    compressed layers as they came (workstation only; berth's own addition)
 *
 * Durability: objects are written without fsync; one syncfs comes before the stream symlink that makes a layer visible.
 *
 * @see composefs-rs doc/repository.md
 */
import type { Digest, DigestAlgorithm } from "../core/digest.ts";
import type { Progress } from "../core/progress.ts";
import type { Mount } from "../host/host.ts";
import type { ImageConfig } from "../oci/config.ts";
import type { Descriptor, Manifest } from "../oci/manifest.ts";
import type { Directory } from "../tree/node.ts";
import type { AssembleOptions, LayerPart } from "./assemble-layer.ts";
import type { Contents } from "./contents.ts";
import type { ApplyDeltaOptions } from "./delta/apply-delta.ts";
import type { CreateDeltaOptions, Delta } from "./delta/create-delta.ts";
import type { LayerEncoding } from "./layer-encoding.ts";

export interface StoredImage {
  readonly digest: Digest;
  readonly manifest: Manifest;
  readonly manifestBytes: Buffer;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  /** Full names, e.g. `localhost/debian-bootc:12`, sorted. */
  readonly names: readonly string[];
}

/** raw: the layers as they are (containers, builds). oci: the plain composefs image. boot: the deployment's image. */
export type ImageForm = "raw" | "oci" | "boot";

export interface ImportOptions {
  readonly descriptor: Descriptor;
  /** What the uncompressed tar must hash to. */
  readonly diffId: Digest;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: (count: number) => void;
}

export interface AddLayerOptions {
  /** zstd:chunked by default. */
  readonly encoding?: LayerEncoding;
  readonly signal?: AbortSignal | undefined;
}

/** A writable mount: the changes go to `upper` in the same overlay, so that the kernel stacks one file system less. */
export interface MountImageOptions {
  readonly upper?: string;
  readonly work?: string;
}

export interface GcReport {
  readonly objects: number;
  readonly bytes: number;
  readonly images: number;
  readonly streams: number;
  readonly blobs: number;
  /** What broken-off imports and downloads left. */
  readonly leftovers: number;
  readonly dryRun: boolean;
}

export interface FsckProblem {
  readonly what: string;
  readonly path: string;
}

export interface Store extends Disposable {
  /** The repository's directory. */
  readonly path: string;
  readonly algorithm: DigestAlgorithm;
  /** Objects get fs-verity (kernel and file system can). */
  readonly verity: boolean;
  readonly keepsBlobs: boolean;

  // Images
  images(): StoredImage[];
  /** By full name, by manifest digest (`sha256:…`), or by a unique prefix (>= 6) of the config digest's hex (the image id). */
  image(name: string): StoredImage | undefined;
  /** Checks that config and layers are here and make a tree; makes the streams. Returns the image, not yet named. */
  saveImage(image: { manifestBytes: Uint8Array; configBytes: Uint8Array }): StoredImage;
  tag(name: string, digest: Digest): void;
  /** false when there is no such name. */
  untag(name: string): boolean;

  /** Forgets an image that has no name; what only it needed goes with the next gc. false when there is none, "conflict" when it has names. */
  removeImage(digest: Digest): boolean;

  // Layers
  hasLayer(diffId: Digest): boolean;
  /** With `sizeBytes`, whether it has just so many. */
  hasBlob(digest: Digest, sizeBytes?: number): boolean;
  /** The compressed blob as it came, from byte `from` on; Failure "not-found" where blobs are not kept. */
  readBlob(digest: Digest, from?: number): AsyncIterable<Uint8Array>;
  /** Hash, decompress, split and write in one pass; verifies descriptor digest and diff id before anything is visible. */
  importLayer(source: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<void>;
  /** A tar that was made here: imports it and compresses it to a blob in the same pass. */
  addLayer(
    tar: AsyncIterable<Uint8Array>,
    options?: AddLayerOptions,
  ): Promise<{ descriptor: Descriptor; diffId: Digest }>;
  /** Where the contents of files are, by their sha256, over all layers. */
  contents(): Contents;
  /** A layer from objects that are here and bytes that were brought; its blob is not kept. See assemble-layer.ts. */
  assembleLayer(parts: AsyncIterable<LayerPart> | Iterable<LayerPart>, options: AssembleOptions): Promise<void>;
  /** What turns `old` into `next`, both of this store; its bytes depend on nothing else. Failure "bad-input" when no layer is new. */
  createDelta(old: StoredImage, next: StoredImage, options?: CreateDeltaOptions): Promise<Delta>;
  /** Makes the layers of a delta from what is here; each is checked against its diff id before it gets its name. */
  applyDelta(source: AsyncIterable<Uint8Array>, options: ApplyDeltaOptions): Promise<void>;
  /** Whether deltas can be applied that need these programs. */
  hasDeltaPrograms(needs: readonly string[]): boolean;
  /** Bytes of the uncompressed tar; Failure "not-found". */
  layerSize(diffId: Digest): number;
  /** The exact tar again. */
  readLayer(diffId: Digest): AsyncIterable<Uint8Array>;

  // Trees
  /** Layers merged, in order. */
  readTree(diffIds: readonly Digest[]): Directory;
  /** Writes the EROFS image of `tree` and links it under images/. Returns its id: lower-case hex of its fs-verity digest. */
  writeImage(tree: Directory): string;
  /** readTree → transform of `form` → writeImage; remembered with the image, so that asking again costs nothing. */
  imageId(image: StoredImage, form: ImageForm): string;
  /** Bytes of images/<id>; Failure "not-found". */
  readImage(id: string): Buffer;
  hasImage(id: string): boolean;
  /** Writes one object; returns its id. */
  putObject(content: Uint8Array): string;
  readObject(objectId: string): Buffer;
  /** Absolute. */
  objectPath(objectId: string): string;
  hasObject(objectId: string): boolean;
  /**
   * Mounts images/<id> on `target`, objects as data layer; read-only unless `options` brings an upper directory. The EROFS mount
   * underneath (on the same target) is taken down with it.
   */
  mountImage(id: string, target: string, options?: MountImageOptions): Mount;

  // Upkeep
  /** `liveIds`: images/<id> that must stay with all their objects (deployments). */
  gc(options: { dryRun: boolean; liveIds?: readonly string[]; progress?: Progress }): GcReport;
  fsck(options: { repair: boolean; progress?: Progress }): FsckProblem[];
}
