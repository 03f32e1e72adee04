/**
 * Driver: where a registry keeps its bytes. Three kinds of thing, chosen so that a directory and an S3 bucket can both
 * hold them without a database:
 *
 *   records  small values under a key (`repositories/<name>/tags/<tag>`): replaced atomically, durable when `put` resolves
 *   blobs    content under its digest, shared by all repositories; a blob exists whole or not at all
 *   uploads  append-only sessions that outlive the process and end as a blob
 *
 * A driver knows nothing of repositories, tags or rights: repository.ts gives keys their meaning.
 */
import { type Digest, type DigestAlgorithm, isDigest } from "../core/digest.ts";

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

export interface UploadInfo {
  /** The repository that it was started in. */
  readonly repository: string;
  /** Bytes received. */
  readonly size: number;
}

export interface OpenUpload extends UploadInfo {
  readonly id: string;
}

export interface StoredBlob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** When it was stored: ms since the epoch, by the storage's clock. */
  readonly modifiedMs: number;
}

/** Any number of processes may use one storage at once: each call sees what calls before it, of any of them, have done. */
export interface Driver {
  getRecord(key: string): Promise<string | undefined>;
  /** `durable: false`: seen by all at once, but a power cut may take it. */
  putRecord(key: string, value: string, options?: { readonly durable: boolean }): Promise<void>;
  hasRecord(key: string): Promise<boolean>;
  /** When it was last put: ms since the epoch, by the storage's clock; undefined when there is none. */
  recordTime(key: string): Promise<number | undefined>;
  /** false when there was none. `durable` as with putRecord. */
  deleteRecord(key: string, options?: { readonly durable: boolean }): Promise<boolean>;
  /** Names directly below `prefix` (records and deeper levels), in byte order; empty when there is nothing. */
  listRecords(prefix: string): Promise<string[]>;

  /** Bytes; undefined when there is no such blob. */
  blobSize(digest: Digest): Promise<number | undefined>;
  /** The blob must exist. */
  readBlob(digest: Digest, range: ByteRange): AsyncIterable<Uint8Array>;
  /** Stores `bytes`, whose digest the caller has computed. */
  putBlob(digest: Digest, bytes: Uint8Array): Promise<void>;
  deleteBlob(digest: Digest): Promise<boolean>;
  listBlobs(): AsyncIterable<StoredBlob>;
  /** Puts a damaged blob aside, where no request finds it. */
  quarantineBlob(digest: Digest): Promise<void>;
  /** An address at which the client may fetch the blob from the storage itself; absent when there is none to give. */
  blobAddress?(digest: Digest): string;

  /** Returns the session's id. `algorithm`: what the blob's digest will likely be made with; another one still works. */
  startUpload(repository: string, algorithm: DigestAlgorithm): Promise<string>;
  uploadInfo(id: string): Promise<UploadInfo | undefined>;
  listUploads(): AsyncIterable<OpenUpload>;
  /**
   * Appends at `offset`, which must be the session's size; returns the new size. What arrived before `source` failed stays,
   * so that a client can go on from there. A newer append to the same session makes an older one fail.
   */
  appendUpload(id: string, offset: number, source: AsyncIterable<Uint8Array>): Promise<number>;
  truncateUpload(id: string, size: number): Promise<void>;
  /** The session becomes the blob when its bytes hash to `digest`; "mismatch" ends the session without a blob. */
  finishUpload(id: string, digest: Digest): Promise<"stored" | "mismatch">;
  /** false when there was none. */
  cancelUpload(id: string): Promise<boolean>;
  /** Drops sessions that got no byte since `before` (ms since the epoch); returns how many. */
  expireUploads(before: number): Promise<number>;
}

/** `<algorithm>/<2 hex>/<hex>` of a blob; undefined for another file's path. */
export function parseBlobPath(path: string): Digest | undefined {
  const [algorithm, start, hex, more] = path.split("/");
  const text = `${algorithm}:${hex}`;
  return more === undefined && hex?.startsWith(start ?? "/") === true && isDigest(text) ? text : undefined;
}
