/**
 * openStore(): opens a composefs repository, or makes one. The lock on the repository's directory is held while the store is
 * open: shared by everyone who reads and imports, exclusive for garbage collection.
 */
import { byteNameToText } from "../core/bytes.ts";
import type { DigestAlgorithm } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { Host, Lock } from "../host/host.ts";
import { lockAlone } from "../host/lock-alone.ts";
import { assembleLayer } from "./assemble-layer.ts";
import { blobSize, hasBlob, readBlob } from "./blobs.ts";
import { readContents } from "./contents.ts";
import { applyDelta } from "./delta/apply-delta.ts";
import { createDelta } from "./delta/create-delta.ts";
import { hasImage, imageId, mountImage, readImage, writeImage } from "./erofs-images.ts";
import { checkRepository } from "./fsck.ts";
import { collectGarbage } from "./gc.ts";
import { findImage, listImages, removeImage, saveImage, tagImage, untagImage } from "./images.ts";
import { addLayer, importLayer } from "./import.ts";
import { layerSize, readLayer, readTree } from "./layers.ts";
import {
  formatMeta,
  parseMeta,
  type RepositoryPaths,
  repositoryPaths,
  streamName,
  TEMPORARY_PREFIX,
} from "./layout.ts";
import { createObjectPool, type ObjectPool } from "./object-pool.ts";
import { createObjectWriter } from "./object-writer.ts";
import type { Repository } from "./repository.ts";
import type { Store } from "./store.ts";
import { findStream, objectPath, readObject } from "./streams.ts";

export interface OpenStoreOptions {
  /** For a new repository; an existing one keeps its own. Default sha512. */
  readonly algorithm?: DigestAlgorithm;
  /** Compressed layers are kept too, in `blobs` beside the repository. */
  readonly keepBlobs: boolean;
  /** Makes the repository when there is none. */
  readonly create?: boolean;
  /** "exclusive" is a Failure "busy" while anybody else has the store open. */
  readonly access: "shared" | "exclusive";
}

/** Failure "not-found" when there is no repository at `path`, "unsupported" for one that berth must not write to. */
export function openStore(host: Host, path: string, options: OpenStoreOptions): Store {
  const paths = repositoryPaths(path);
  const algorithm = prepare(host, paths, options);
  const blobs = options.keepBlobs ? `${path.slice(0, path.lastIndexOf("/"))}/blobs` : undefined;
  if (blobs !== undefined) host.files.makeDirectory(blobs, { mode: 0o700 });
  let lock = options.access === "exclusive" ? lockStore(host, path) : host.files.lock(path, "shared", { wait: true });
  const unique = Buffer.from(host.random(8)).toString("hex");
  const verity = once(() => probeVerity(host, paths, algorithm, unique));
  let pool: ObjectPool | undefined;
  const repository: Repository = {
    host,
    paths,
    algorithm,
    blobs,
    verity,
    writer: createObjectWriter(host.files, { directory: paths.objects, algorithm, verity, unique }),
    pool() {
      if (host.threads !== true) return undefined;
      const workers = Math.min(8, host.cores);
      return (pool ??= createObjectPool({ directory: paths.objects, algorithm, verity: verity(), workers, unique }));
    },
  };
  const dispose = (): void => {
    pool?.close();
    lock.release();
  };
  const exclusively = <Result>(work: () => Result): Result => {
    if (options.access === "exclusive") return work();
    lock.release();
    let exclusive: Lock | undefined;
    try {
      exclusive = lockStore(host, path);
      return work();
    } finally {
      exclusive?.release();
      lock = host.files.lock(path, "shared", { wait: true });
    }
  };
  return assemble(repository, {
    gc: (gc) => exclusively(() => collectGarbage(repository, gc)),
    [Symbol.dispose]: dispose,
  });
}

function lockStore(host: Pick<Host, "files">, path: string): Lock {
  return lockAlone(
    host.files,
    path,
    `Cannot have store "${byteNameToText(path)}" alone: another berth command uses it`,
    "run this again when it has ended",
  );
}

function assemble(repository: Repository, owned: Pick<Store, "gc" | typeof Symbol.dispose>): Store {
  return {
    ...owned,
    path: repository.paths.root,
    algorithm: repository.algorithm,
    get verity() {
      return repository.verity();
    },
    keepsBlobs: repository.blobs !== undefined,
    images: () => listImages(repository),
    image: (name) => findImage(repository, name),
    saveImage: (image) => saveImage(repository, image),
    tag: (name, digest) => tagImage(repository, name, digest),
    removeImage: (digest) => removeImage(repository, digest),
    untag: (name) => untagImage(repository, name),
    hasLayer: (diffId) => findStream(repository, streamName("layer", diffId)) !== undefined,
    hasBlob: (digest, sizeBytes) =>
      hasBlob(repository, digest) && (sizeBytes === undefined || blobSize(repository, digest) === sizeBytes),
    readBlob: (digest, from) => readBlob(repository, digest, from),
    importLayer: (source, options) => importLayer(repository, source, options),
    addLayer: (tar, options) => addLayer(repository, tar, options),
    contents: () => readContents(repository),
    assembleLayer: (parts, options) => assembleLayer(repository, parts, options),
    createDelta: (old, next, options) => createDelta(repository, old, next, options),
    applyDelta: (source, options) => applyDelta(repository, source, options),
    hasDeltaPrograms: (needs) =>
      needs.every((program) => program === "xz" && repository.host.which(program) !== undefined),
    layerSize: (diffId) => layerSize(repository, diffId),
    readLayer: (diffId) => readLayer(repository, diffId),
    readTree: (diffIds) => readTree(repository, diffIds),
    writeImage: (tree) => writeImage(repository, tree),
    imageId: (image, form) => imageId(repository, image, form),
    readImage: (id) => readImage(repository, id),
    hasImage: (id) => hasImage(repository, id),
    putObject: (content) => repository.writer.put(content),
    readObject: (objectId) => readObject(repository, objectId),
    objectPath: (objectId) => objectPath(repository, objectId),
    hasObject: (objectId) => repository.host.files.exists(objectPath(repository, objectId)),
    mountImage: (id, target, options) => mountImage(repository, id, target, options),
    fsck: (options) => checkRepository(repository, options),
  };
}

/** Returns the repository's algorithm. */
function prepare(host: Host, paths: RepositoryPaths, options: OpenStoreOptions): DigestAlgorithm {
  const { files } = host;
  const meta = files.readTextIfAny(paths.meta);
  if (meta !== undefined) {
    try {
      const { algorithm } = parseMeta(meta);
      if (options.create === true) makeDirectories(host, paths);
      return algorithm;
    } catch (error) {
      throw new Failure(
        "unsupported",
        `Cannot open store "${paths.root}": its meta.json is not one that berth writes to`,
        { cause: error },
      );
    }
  }
  if (options.create !== true) {
    throw new Failure("not-found", `Cannot open store "${paths.root}": there is no composefs repository`);
  }
  const algorithm = options.algorithm ?? "sha512";
  makeDirectories(host, paths);
  files.replace(paths.meta, formatMeta(algorithm), { mode: 0o644 });
  return algorithm;
}

function makeDirectories(host: Host, paths: RepositoryPaths): void {
  host.files.makeDirectory(paths.root, { mode: 0o700 });
  for (const path of [paths.objects, paths.images, paths.streams, paths.names]) host.files.makeDirectory(path);
}

/** Whether this file system gives files fs-verity is only known by trying. */
function probeVerity(host: Host, paths: RepositoryPaths, algorithm: DigestAlgorithm, unique: string): boolean {
  const probe = `${paths.objects}/${TEMPORARY_PREFIX}${unique}-probe`;
  host.files.write(probe, "berth");
  try {
    return host.files.enableVerity(probe, algorithm) === "enabled";
  } finally {
    host.files.remove(probe);
  }
}

function once<T>(make: () => T): () => T {
  let value: { readonly it: T } | undefined;
  return () => (value ??= { it: make() }).it;
}
