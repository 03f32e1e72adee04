/** An image in berth's own store (`berth:`). */
import { collectBytes, streamOf } from "../../core/bytes.ts";
import { Failure } from "../../core/failure.ts";
import { verified } from "../../core/verified.ts";
import { createLayerSource } from "../layer-source.ts";
import { isComplete } from "../../store/oci-layout.ts";
import type { StoredImage, Store } from "../../store/store.ts";
import { toDocument } from "./documents.ts";
import type { CopyContext, ImageSink, ImageSource } from "./image-io.ts";

export function readStoreImage(store: Store, image: StoredImage, name: string): ImageSource {
  return {
    name,
    manifest: async () => ({
      ...toDocument(image.manifestBytes, name, image.digest),
      mediaType: image.manifest.mediaType,
    }),
    blob: (blob, from) =>
      blob.digest === image.manifest.config.digest
        ? streamOf(image.configBytes.subarray(from))
        : store.readBlob(blob.digest, from),
    requireTrust: async () => {},
    async [Symbol.asyncDispose]() {},
  };
}

/** `tag` is the image's full name there. */
export function writeStoreImage(context: CopyContext, store: Store, tag: string, name: string): ImageSink {
  let configBytes: Buffer | undefined;
  return {
    name,
    takesIndex: false,
    rewrites: undefined,
    begin() {},
    hasBlob: async ({ blob, role, diffId }) =>
      role === "layer" && diffId !== undefined && isComplete(store, blob, diffId),
    async putBlob({ blob, role, diffId, open, onBytes }) {
      if (role === "config") {
        configBytes = await collectBytes(verified(open(0), blob));
        return undefined;
      }
      if (diffId === undefined)
        throw new Failure(
          "unsupported",
          `Cannot write "${name}": the store holds images only, this is another artifact`,
        );
      const source = createLayerSource(context, store, (_blob, from) => open(from));
      return source.obtain({ descriptor: blob, diffId }, { advance: onBytes, total() {}, done() {} });
    },
    putManifest: async () => {},
    async finish({ bytes, digest }) {
      store.saveImage({ manifestBytes: bytes, configBytes: configBytes ?? Buffer.alloc(0) });
      store.tag(tag, digest);
    },
    async [Symbol.asyncDispose]() {},
  };
}
