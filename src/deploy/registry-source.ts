/** createRegistrySource(): updates from a registry, with the machine's own registries.conf, certificates and pull secrets. */
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { type ImageRef, parseImageRef } from "../oci/reference.ts";
import type { RemoteContext } from "../remote/context.ts";
import { fetchConfig, pullImage } from "../remote/pull.ts";
import { type ResolvedImage, resolveImage } from "../remote/resolve.ts";
import { planTransfer, type TransferPlan } from "../remote/transfer-plan.ts";
import type { StoredImage } from "../store/store.ts";
import type { ImageSource, OfferedImage, PlanOptions } from "./image-source.ts";
import { describeFetch } from "./layer-diff.ts";

/** What an offer of this source remembers: the connection that it came over, and how its layers come. */
interface Remembered {
  readonly resolved: ResolvedImage;
  plan?: TransferPlan;
  receivedBytes: number;
}

const remembered = new WeakMap<OfferedImage, Remembered>();

export function createRegistrySource(context: RemoteContext): ImageSource {
  const planOf = async (offered: OfferedImage, { store, signal }: PlanOptions): Promise<Remembered> => {
    const known = remembered.get(offered);
    if (known === undefined) throw new Error("the offer is another source's");
    known.plan ??= await planTransfer({
      context: { ...context, signal },
      store,
      resolved: known.resolved,
      config: offered.config,
      onReceived: (count) => void (known.receivedBytes += count),
    });
    return known;
  };
  return {
    async offer(reference, { store, signal }) {
      const known = (digest: Digest): StoredImage | undefined => store.image(digest);
      const resolved = await resolveImage({ ...context, signal }, parseReference(reference), { known });
      const { config, configBytes } = await fetchConfig(resolved);
      const offered = { digest: resolved.digest, manifest: resolved.manifest, config };
      remembered.set(offered, { resolved: { ...resolved, configBytes }, receivedBytes: 0 });
      return offered;
    },
    async plan(offered, options) {
      const { plan } = await planOf(offered, options);
      if (plan === undefined) throw new Error("no plan was made");
      return describeFetch(plan);
    },
    async fetch(reference, offered, { store, progress, signal }) {
      const known = await planOf(offered, { store, signal });
      const { resolved, plan } = known;
      const image = await pullImage({ ...context, progress, signal }, store, parseReference(reference), {
        resolved,
        ...(plan && { plan }),
        tag: false,
      });
      return { image, bytes: known.receivedBytes };
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
