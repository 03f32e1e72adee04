/**
 * copyImage(): an image from one store to another without decompressing anything: the objects are linked where both lie on one
 * file system, shared or copied otherwise. Used to fill the repository of a disk that is being made.
 */
import { verified } from "../core/verified.ts";
import { readSplitstream } from "../format/splitstream/splitstream.ts";
import type { Host } from "../host/host.ts";
import { LAYER } from "../oci/media-types.ts";
import { objectName, streamName, TEMPORARY_PREFIX } from "./layout.ts";
import type { StoredImage, Store } from "./store.ts";

export interface CopyImageOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called for each object, with its size in bytes. */
  readonly onObject?: (sizeBytes: number) => void;
  /** false where the target must not share files with the source (it will be changed). Default true. */
  readonly link?: boolean;
}

/** Both stores on `host`. Returns the image in `to`, under the same manifest digest, not yet named. */
export async function copyImage(
  host: Host,
  from: Store,
  to: Store,
  image: StoredImage,
  options: CopyImageOptions = {},
): Promise<StoredImage> {
  for (const diffId of image.config.rootfs.diff_ids) {
    options.signal?.throwIfAborted();
    if (to.hasLayer(diffId)) continue;
    const bytes = readLayerStream(host, from, diffId);
    const stream = readSplitstream(bytes);
    if (from.algorithm !== to.algorithm) {
      // Other digests: the objects must be hashed anew, so the layer goes in as a tar.
      const descriptor = { mediaType: LAYER, digest: diffId, size: stream.size };
      await to.importLayer(verified(from.readLayer(diffId), descriptor), {
        descriptor,
        diffId,
        signal: options.signal,
      });
      continue;
    }
    for (const objectId of stream.objectRefs) {
      const sizeBytes = copyObject(host, { from, to, objectId, link: options.link ?? true });
      options.onObject?.(sizeBytes);
    }
    const objectId = to.putObject(bytes);
    copyContents(host, { from, to, objectId });
    host.files.syncFileSystem(to.path);
    host.files.replaceSymlink(
      `${to.path}/streams/${streamName("layer", diffId)}`,
      `../objects/${objectName(objectId)}`,
    );
  }
  return to.saveImage({ manifestBytes: image.manifestBytes, configBytes: image.configBytes });
}

function readLayerStream(host: Host, from: Store, diffId: StoredImage["config"]["rootfs"]["diff_ids"][number]): Buffer {
  return host.files.read(`${from.path}/streams/${streamName("layer", diffId)}`);
}

/** So that the first update of the machine need not read all of its files. */
function copyContents(host: Host, { from, to, objectId }: { from: Store; to: Store; objectId: string }): void {
  const source = `${from.path}/contents/${objectId}`;
  if (!host.files.exists(source)) return;
  host.files.makeDirectory(`${to.path}/contents`, { mode: 0o700 });
  host.files.copy(source, `${to.path}/contents/${objectId}`);
}

/** Returns the object's size. */
function copyObject(host: Host, job: { from: Store; to: Store; objectId: string; link: boolean }): number {
  const { files } = host;
  const source = job.from.objectPath(job.objectId);
  const target = job.to.objectPath(job.objectId);
  const size = files.stat(source)?.size ?? 0;
  if (files.stat(target)?.size === size) return size;
  files.makeDirectory(target.slice(0, target.lastIndexOf("/")));
  const temporary = `${job.to.path}/objects/${TEMPORARY_PREFIX}${Buffer.from(host.random(8)).toString("hex")}`;
  const isShared =
    job.link && job.from.verity === job.to.verity && files.stat(source)?.dev === files.stat(job.to.path)?.dev;
  try {
    if (isShared) files.link(source, temporary);
    else {
      files.copy(source, temporary);
      if (job.to.verity) files.enableVerity(temporary, job.to.algorithm);
    }
    files.rename(temporary, target);
  } catch (error) {
    files.remove(temporary);
    throw error;
  }
  return size;
}
