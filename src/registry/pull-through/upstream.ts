/**
 * Upstream: another registry, as the pull-through cache needs it. What it says is not trusted: the cache hashes every byte. Each
 * function throws a Failure when the upstream does not answer, answers that it has no time ("network"), or refuses this
 * registry ("unauthorized", "denied"). `path` is the repository's name there.
 */
import type { Digest } from "../../core/digest.ts";
import type { Descriptor } from "../../oci/manifest.ts";

export interface Upstream {
  /** For messages: `docker.io`. */
  readonly name: string;
  /** What the tag names now, by a HEAD that offers `known`; undefined when there is no such tag. */
  tagDigest(path: string, tag: string, known: Digest | undefined): Promise<Digest | undefined>;
  manifest(path: string, selector: string): Promise<UpstreamManifest | undefined>;
  /** Bytes; undefined when there is no such blob. */
  blobSize(path: string, digest: Digest): Promise<number | undefined>;
  /** Goes on by itself after a connection that broke. */
  blob(path: string, digest: Digest, size: number): AsyncIterable<Uint8Array>;
  /** undefined when there is no such repository. */
  tags(path: string): Promise<readonly string[] | undefined>;
  referrers(path: string, subject: Digest): Promise<readonly Descriptor[]>;
}

export interface UpstreamManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
}
