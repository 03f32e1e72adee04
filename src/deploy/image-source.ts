/** ImageSource: where updates come from, as far as an upgrade cares. The registry client is behind it; tests put folders there. */
import type { Digest } from "../core/digest.ts";
import type { Progress } from "../core/progress.ts";
import type { ImageConfig } from "../oci/config.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { FetchPlan } from "./layer-diff.ts";
import type { Store, StoredImage } from "../store/store.ts";

/** What is known of an image before its layers are fetched. */
export interface OfferedImage {
  /** Of the manifest for this machine's platform. */
  readonly digest: Digest;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
}

export interface FetchedImage {
  readonly image: StoredImage;
  /** What came over the network. */
  readonly bytes: number;
}

export interface ImageSource {
  /** Manifest and config of a reference, HOST/NAME[:TAG][@DIGEST]; an image that `store` has is not fetched again to be looked at. */
  offer(reference: string, options: PlanOptions): Promise<OfferedImage>;
  /** What bringing it into the store would move. */
  plan(offered: OfferedImage, options: PlanOptions): Promise<FetchPlan>;
  /** Brings an offered image into the store, untagged; layers that are there are not fetched. */
  fetch(reference: string, offered: OfferedImage, options: FetchOptions): Promise<FetchedImage>;
}

export interface PlanOptions {
  readonly store: Store;
  readonly signal: AbortSignal;
}

export interface FetchOptions extends PlanOptions {
  readonly progress: Progress;
}
