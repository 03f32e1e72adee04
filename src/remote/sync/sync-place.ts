/** SyncPlace: a registry, or an OCI layout, with the tags of many repositories: one end of a sync. */
import type { Digest } from "../../core/digest.ts";
import type { ImageSink, ImageSource } from "../copy/image-io.ts";

export interface SyncImage {
  /** `team/os`, without registry. */
  readonly repository: string;
  readonly tag: string;
  readonly digest: Digest;
}

export interface SyncPlace extends AsyncDisposable {
  readonly name: string;
  /** Tags that the glob admits; of a destination those of `repositories` only. */
  list(repositories?: readonly string[]): Promise<readonly SyncImage[]>;
  /** Manifests that refer to this one, not those that refer to them. */
  referrers(repository: string, subject: Digest): Promise<readonly Digest[]>;
  source(repository: string, selector: string): Promise<ImageSource>;
  sink(repository: string, selector: string): Promise<ImageSink>;
  /** Failure "unsupported" where tags cannot be deleted. */
  removeTag(image: SyncImage): Promise<void>;
  /** After the last image. */
  finish(): Promise<void>;
}

/** `*` and `?` as in a shell. */
export function globToPattern(glob: string): RegExp {
  const text = glob
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${text}$`, "s");
}
