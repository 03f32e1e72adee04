/** createRegistrySource(): updates from a registry, with the machine's own registries.conf, certificates and pull secrets. */
import { Failure } from "../core/failure.ts";
import { type ImageRef, parseImageRef } from "../oci/reference.ts";
import type { RemoteContext } from "../remote/context.ts";
import { fetchConfig, pullImage } from "../remote/pull.ts";
import { type ResolvedImage, resolveImage } from "../remote/resolve.ts";
import type { ImageSource, OfferedImage } from "./image-source.ts";

/** An offer of this source remembers the connection that it came over. */
const resolvedOf = new WeakMap<OfferedImage, ResolvedImage>();

export function createRegistrySource(context: RemoteContext): ImageSource {
  return {
    async offer(reference, { signal }) {
      const resolved = await resolveImage({ ...context, signal }, parseReference(reference));
      const { config } = await fetchConfig(resolved);
      const offered = { digest: resolved.digest, manifest: resolved.manifest, config };
      resolvedOf.set(offered, resolved);
      return offered;
    },
    async fetch(reference, offered, { store, progress, signal }) {
      const resolved = resolvedOf.get(offered);
      let bytes = 0;
      const image = await pullImage({ ...context, progress, signal }, store, parseReference(reference), {
        ...(resolved && { resolved }),
        tag: false,
        onReceived: (count) => {
          bytes += count;
        },
      });
      return { image, bytes };
    },
  };
}

function parseReference(text: string): ImageRef {
  try {
    return parseImageRef(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new Failure("bad-input", error.message, { cause: error });
    throw error;
  }
}
