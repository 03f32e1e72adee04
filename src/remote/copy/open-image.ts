/** openSource(), openSink(): the transport that a name stands for. */
import { textToByteName } from "../../core/bytes.ts";
import type { Store, StoredImage } from "../../store/store.ts";
import { readContainersStorageImage, writeContainersStorageImage } from "./containers-storage-image.ts";
import { readDirectoryImage, writeDirectoryImage } from "./directory-image.ts";
import { readDockerArchiveImage, writeDockerArchiveImage } from "./docker-archive-image.ts";
import { openFolder, writeFolder } from "./folder.ts";
import type { CopyContext, ImageSink, ImageSource } from "./image-io.ts";
import type { ImageName } from "./image-name.ts";
import { readLayoutImage, readLayoutIndex, writeLayoutImage } from "./layout-image.ts";
import { readRegistryImage, writeRegistryImage } from "./registry-image.ts";
import { readStoreImage, writeStoreImage } from "./store-image.ts";
import { openTar, writeTar } from "./tar-archive.ts";
import { requireLayoutOrNothing } from "./layout-folder.ts";

/** The store, and how it is searched and named: only asked for when a name needs it. */
export interface StoreAccess {
  store(): Store;
  find(name: string): StoredImage;
  fullName(name: string): string;
}

/** `text` is the name as it was written. */
export async function openSource(
  context: CopyContext,
  image: ImageName,
  text: string,
  access: StoreAccess,
): Promise<ImageSource> {
  const { host } = context;
  switch (image.kind) {
    case "docker":
      return readRegistryImage(context, image.ref);
    case "oci":
      return readLayoutImage(openFolder(host, textToByteName(image.path)), { name: text, ref: image.ref });
    case "oci-archive":
      return readLayoutImage(openTar(host, textToByteName(image.path)), { name: text, ref: image.ref });
    case "docker-archive":
      return readDockerArchiveImage(openTar(host, textToByteName(image.path)), { name: text, ref: image.ref });
    case "dir":
      return readDirectoryImage(host, textToByteName(image.path), text);
    case "containers-storage":
      return readContainersStorageImage(context, image.name);
    case "berth":
      return readStoreImage(access.store(), access.find(image.name), text);
  }
}

export async function openSink(
  context: CopyContext,
  image: ImageName,
  text: string,
  access: StoreAccess,
): Promise<ImageSink> {
  const { host, signal } = context;
  switch (image.kind) {
    case "docker":
      return writeRegistryImage(context, image.ref);
    case "oci": {
      const path = textToByteName(image.path);
      const isLayout = requireLayoutOrNothing(host, path, text);
      const old = isLayout ? await readLayoutIndex(openFolder(host, path), text) : undefined;
      return writeLayoutImage(writeFolder(host, path, signal), { name: text, ref: image.ref }, old);
    }
    case "oci-archive":
      return writeLayoutImage(
        writeTar(host, textToByteName(image.path), signal),
        { name: text, ref: image.ref },
        undefined,
      );
    case "docker-archive":
      return writeDockerArchiveImage(writeTar(host, textToByteName(image.path), signal), {
        name: text,
        ref: image.ref,
      });
    case "dir":
      return writeDirectoryImage(host, textToByteName(image.path), text, signal);
    case "containers-storage":
      return writeContainersStorageImage(context, image.name);
    case "berth":
      return writeStoreImage(context, access.store(), access.fullName(image.name), text);
  }
}
