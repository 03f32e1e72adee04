/**
 * Contents: which object holds the content of a given sha256, so that a layer that names its files so can be put together from those
 * of other layers. It is a cache beside the repository and never trusted: whoever uses it checks the whole layer.
 *
 *   contents/<object id of a layer's splitstream>   32 bytes for each object that the stream refers to, in its order
 */
import { hash } from "node:crypto";
import { type Digest, digestHex } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import type { Splitstream } from "../format/splitstream/splitstream.ts";
import { parseStreamName, TEMPORARY_PREFIX } from "./layout.ts";
import { visitInlineFiles } from "./layers.ts";
import type { Repository } from "./repository.ts";
import { type NamedStream, objectPath, openStream, readObject } from "./streams.ts";

export type StoredContent =
  | { readonly kind: "object"; readonly objectId: string }
  | { readonly kind: "inline"; readonly bytes: Uint8Array };

export interface Contents {
  readonly size: number;
  /** A file's content that is here, by its sha256. */
  find(digest: Digest): StoredContent | undefined;
}

const HASH_BYTES = 32;

/** Of all layers in the store. Layers whose part is missing are read once for it; one that is damaged has nothing to offer. */
export function readContents(repository: Repository): Contents {
  const found = new Map<string, StoredContent>();
  for (const name of repository.host.files.listIfAny(repository.paths.streams)) {
    if (parseStreamName("layer", name) === undefined) continue;
    try {
      addLayer(repository, name, found);
    } catch (error) {
      if (!isFailure(error, "corrupt")) throw error;
    }
  }
  return {
    size: found.size,
    find: (digest) => (digest.startsWith("sha256:") ? found.get(digestHex(digest)) : undefined),
  };
}

function addLayer(repository: Repository, name: string, found: Map<string, StoredContent>): void {
  const layer = openStream(repository, name);
  if (layer === undefined) return;
  const hashes = readHashes(repository, layer) ?? makeHashes(repository, layer);
  layer.stream.objectRefs.forEach((objectId, i) => {
    found.set(hashes.toString("hex", i * HASH_BYTES, (i + 1) * HASH_BYTES), { kind: "object", objectId });
  });
  visitInlineFiles(layer, (bytes) => void found.set(hash("sha256", bytes, "hex"), { kind: "inline", bytes }));
}

/** `hashes` as the file has them, for the stream that became `objectId`. */
export function saveContents(repository: Repository, objectId: string, hashes: Uint8Array): void {
  const { host, paths } = repository;
  host.files.makeDirectory(paths.contents, { mode: 0o700 });
  const temporary = `${paths.contents}/${TEMPORARY_PREFIX}${Buffer.from(host.random(8)).toString("hex")}`;
  host.files.write(temporary, hashes);
  host.files.rename(temporary, `${paths.contents}/${objectId}`);
}

function readHashes(repository: Repository, { objectId, stream }: NamedStream): Buffer | undefined {
  const path = `${repository.paths.contents}/${objectId}`;
  if (!repository.host.files.exists(path)) return undefined;
  const hashes = repository.host.files.read(path);
  return hashes.length === sizeOf(stream) ? hashes : undefined;
}

/** An object that is missing or damaged is fsck's matter; here it is content that nothing asks for. */
function makeHashes(repository: Repository, { objectId, stream }: NamedStream): Buffer {
  const { files } = repository.host;
  const hashes = Buffer.alloc(sizeOf(stream));
  stream.objectRefs.forEach((ref, i) => {
    if (files.exists(objectPath(repository, ref)))
      hash("sha256", readObject(repository, ref), "buffer").copy(hashes, i * HASH_BYTES);
  });
  try {
    saveContents(repository, objectId, hashes);
  } catch (error) {
    // A store that is only looked at, on a read-only mount, goes without.
    if (!isFailure(error, "denied")) throw error;
  }
  return hashes;
}

function sizeOf(stream: Splitstream): number {
  return stream.objectRefs.length * HASH_BYTES;
}
