/**
 * EROFS images: images/<id> links to the object of that id. Only what is linked there is ever mounted, and only after its digest
 * was checked: by the kernel where fs-verity works, here where it does not.
 */
import { Failure } from "../core/failure.ts";
import { writeErofs } from "../format/erofs/write.ts";
import { verityDigest } from "../format/verity/verity.ts";
import type { Mount } from "../host/host.ts";
import { bootTransform } from "../tree/boot-transform.ts";
import type { Directory, FileLeaf } from "../tree/node.ts";
import { ociTransform } from "../tree/oci-transform.ts";
import { rememberedImage, rememberImage } from "./images.ts";
import { readTree } from "./layers.ts";
import { isObjectId, objectLink } from "./layout.ts";
import { type Repository, syncRepository } from "./repository.ts";
import type { ImageForm, MountImageOptions, StoredImage } from "./store.ts";
import { objectPath, readObject, REPAIR_HINT } from "./streams.ts";

/** Returns the image's id. */
export function writeImage(repository: Repository, tree: Directory): string {
  const id = repository.writer.put(toErofs(repository, tree));
  if (!hasImage(repository, id)) {
    syncRepository(repository);
    repository.host.files.replaceSymlink(`${repository.paths.images}/${id}`, objectLink(id));
  }
  return id;
}

/** Failure "bad-input" for a tree that no file system can hold, e.g. a symlink's target of more than 4095 bytes. */
function toErofs(repository: Repository, tree: Directory): Uint8Array {
  try {
    return writeErofs(tree, { algorithm: repository.algorithm });
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
    throw new Failure("bad-input", "Cannot make a file system of the image's layers", { cause: error });
  }
}

/** false for what is no object id, and for a link whose object is gone. */
export function hasImage(repository: Repository, id: string): boolean {
  const { files } = repository.host;
  const path = `${repository.paths.images}/${id}`;
  return isObjectId(id, repository.algorithm) && files.exists(path) && files.stat(path) !== undefined;
}

/** Made on first use and remembered with the image. */
export function imageId(repository: Repository, image: StoredImage, form: ImageForm): string {
  const known = rememberedImage(repository, image, form);
  if (known !== undefined && hasImage(repository, known)) return known;
  const id = writeImage(repository, formTree(repository, image, form));
  rememberImage(repository, image, form, id);
  return id;
}

/** Failure "not-found" that names the image. */
export function readImage(repository: Repository, id: string): Buffer {
  if (!hasImage(repository, id)) throw new Failure("not-found", `Cannot read image "${id}": it is not in the store`);
  return readObject(repository, id);
}

/**
 * EROFS on `target`, the overlay over it on the same `target`: nothing else is needed, and both go together. With `upper` the
 * overlay is writable.
 */
export function mountImage(repository: Repository, id: string, target: string, options: MountImageOptions = {}): Mount {
  if (!hasImage(repository, id)) throw new Failure("not-found", `Cannot mount image "${id}": it is not in the store`);
  const { host } = repository;
  const path = objectPath(repository, id);
  const measured = host.files.measureVerity(path);
  const actual = measured ?? verityDigest(host.files.read(path), repository.algorithm);
  if (actual !== id) {
    throw new Failure("corrupt", `Cannot mount image "${id}": its content has the digest ${actual}`, {
      hint: REPAIR_HINT,
    });
  }
  const image = host.mounts.erofs(path, target);
  try {
    const overlay = host.mounts.overlay(
      {
        source: `composefs:${id}`,
        lower: [target],
        data: [repository.paths.objects],
        verity: measured !== undefined && repository.verity(),
        ...(options.upper === undefined || options.work === undefined
          ? { readOnly: true }
          : { upper: options.upper, work: options.work }),
      },
      target,
    );
    const unmount = (): void => {
      overlay.unmount();
      image.unmount();
    };
    return { target, unmount, [Symbol.dispose]: unmount };
  } catch (error) {
    image.unmount();
    throw error;
  }
}

function formTree(repository: Repository, image: StoredImage, form: ImageForm): Directory {
  const tree = readTree(repository, image.config.rootfs.diff_ids);
  switch (form) {
    case "raw":
      return tree;
    case "oci":
      return ociTransform(tree);
    case "boot":
      return bootTransform(ociTransform(tree), { readFile: (leaf) => readLeaf(repository, leaf) });
  }
}

function readLeaf(repository: Repository, leaf: FileLeaf): Uint8Array {
  if (leaf.content.kind === "inline") return leaf.content.bytes;
  return leaf.content.objectId === undefined ? Buffer.alloc(leaf.size) : readObject(repository, leaf.content.objectId);
}
