/**
 * LayerSource: how a layer that the store lacks gets into it. The one here fetches the whole blob, keeping what has arrived on
 * disk, so that it goes on after a crash; others may build the layer from what the store holds.
 */
import type { Digest } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import type { ProgressTask } from "../core/progress.ts";
import type { Host } from "../host/host.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { isComplete } from "../store/oci-layout.ts";
import type { Store } from "../store/store.ts";
import type { RemoteContext } from "./context.ts";
import { fetchBlob } from "./fetch-blob.ts";
import { openPartialBlob, readThrough } from "./partial-blob.ts";
import type { Session } from "./session.ts";
import type { TransportResponse } from "./transport.ts";

export interface LayerPlan {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
}

export interface LayerSource {
  /**
   * Afterwards the store has the layer. `task` advances by compressed bytes, `descriptor.size` in all; the answer is the note that
   * ends it, undefined for plain "done".
   */
  obtain(layer: LayerPlan, task: ProgressTask): Promise<string | undefined>;
}

export interface BlobSourceOptions {
  /** Called with each count of bytes that came over the network. */
  readonly onReceived?: ((count: number) => void) | undefined;
  /** As for fetchBlob(). */
  readonly arriving?: ((blob: Digest) => TransportResponse | undefined) | undefined;
}

type BlobStore = Pick<Store, "path" | "keepsBlobs" | "hasLayer" | "hasBlob" | "importLayer">;

/** Whole blobs from one repository. Failure "not-found", "network", "digest-mismatch", "bad-input", "no-space". */
export function createBlobSource(
  context: RemoteContext,
  store: BlobStore,
  session: Session,
  { onReceived, arriving }: BlobSourceOptions = {},
): LayerSource {
  return createLayerSource(context, store, (blob, from) =>
    fetchBlob(context, session, blob, { from, onReceived, arriving: () => arriving?.(blob.digest) }),
  );
}

/** Whole blobs from wherever `open` reads them, from a position on. */
export function createLayerSource(
  context: Pick<RemoteContext, "signal"> & { readonly host: Pick<Host, "files" | "clock"> },
  store: BlobStore,
  open: (blob: Descriptor, from: number) => AsyncIterable<Uint8Array>,
): LayerSource {
  return {
    async obtain(layer, task) {
      const { descriptor } = layer;
      using partial = await openPartialBlob(context.host, store.path, descriptor.digest, context.signal);
      // Another process may have pulled it while we waited for its file.
      if (isComplete(store, layer.descriptor, layer.diffId)) {
        partial.remove();
        return "skipped: already exists";
      }
      const importOnce = (onBytes: (count: number) => void): Promise<void> =>
        store.importLayer(
          readThrough(partial, descriptor.size, (from) => open(descriptor, from)),
          { ...layer, signal: context.signal, onBytes },
        );
      const kept = partial.size;
      try {
        await importOnce((count) => task.advance(count));
      } catch (error) {
        if (!isFailure(error, "digest-mismatch")) throw error;
        partial.reset();
        if (kept === 0) {
          partial.remove();
          throw error;
        }
        // Bytes kept from before a power cut may be wrong: once more, from the first byte.
        await importOnce(() => {});
      }
      partial.remove();
      return undefined;
    },
  };
}
