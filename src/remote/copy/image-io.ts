/**
 * ImageSource and ImageSink: an image wherever it lies, to be read and to be written. Each transport is one file with one of each; the
 * copy (copy.ts) knows only these. Sources give bytes as they lie there; whoever takes them checks their digest.
 */
import type { Digest } from "../../core/digest.ts";
import type { Host } from "../../host/host.ts";
import type { Descriptor, Platform } from "../../oci/manifest.ts";
import type { RemoteContext } from "../context.ts";

/** What a transport needs of the world. */
export interface CopyContext extends RemoteContext {
  readonly host: Host;
}

/** A manifest or an index, as it is. */
export interface ManifestDocument {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly mediaType: string;
}

export interface ImageSource extends AsyncDisposable {
  /** As it was asked for, e.g. `oci:/srv/os:1`. */
  readonly name: string;
  /** The image itself, or a manifest that it names. Failure "not-found", "digest-mismatch". */
  manifest(digest?: Digest): Promise<ManifestDocument>;
  /** The blob's bytes from position `from` on. */
  blob(blob: Descriptor, from: number): AsyncIterable<Uint8Array>;
  /** Failure "denied" when the host's policy does not accept an image of these digests: the manifest's, then those of its indexes. */
  requireTrust(digests: readonly Digest[]): Promise<void>;
}

export interface BlobToPut {
  readonly blob: Descriptor;
  readonly role: "config" | "layer";
  /** Of a layer of an image: the digest of its tar. */
  readonly diffId: Digest | undefined;
  readonly open: (from: number) => AsyncIterable<Uint8Array>;
  readonly onBytes: (count: number) => void;
}

export interface ImageSink extends AsyncDisposable {
  readonly name: string;
  /** Can hold an index with its images; where not, exactly one image is put. */
  readonly takesIndex: boolean;
  /** Why the image's manifest cannot stay as it is; undefined where it does. */
  readonly rewrites: string | undefined;
  /** Called before anything is put; until then nothing is written. */
  begin(): void;
  hasBlob(blob: Pick<BlobToPut, "blob" | "role" | "diffId">): Promise<boolean>;
  /** Checks the digest before the blob is visible. Answers the note that ends its task. */
  putBlob(blob: BlobToPut): Promise<string | undefined>;
  /** A manifest that the image names; its blobs are there. */
  putManifest(manifest: ManifestDocument): Promise<void>;
  /** The image itself: from now on it can be seen. `platform` is that of an image, for lists. */
  finish(manifest: ManifestDocument, platform: Platform | undefined): Promise<void>;
}
