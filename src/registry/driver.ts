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
import type { Digest, DigestAlgorithm } from "../core/digest.ts";

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

export interface Driver {
  getRecord(key: string): Promise<string | undefined>;
  putRecord(key: string, value: string): Promise<void>;
  hasRecord(key: string): Promise<boolean>;
  /** false when there was none. */
  deleteRecord(key: string): Promise<boolean>;
  /** Names directly below `prefix` (records and deeper levels), in byte order; empty when there is nothing. */
  listRecords(prefix: string): Promise<string[]>;

  /** Bytes; undefined when there is no such blob. */
  blobSize(digest: Digest): Promise<number | undefined>;
  /** The blob must exist. */
  readBlob(digest: Digest, range: ByteRange): AsyncIterable<Uint8Array>;
  /** Stores `bytes`, whose digest the caller has computed. */
  putBlob(digest: Digest, bytes: Uint8Array): Promise<void>;
  deleteBlob(digest: Digest): Promise<boolean>;

  /** Returns the session's id. `algorithm`: what the blob's digest will likely be made with; another one still works. */
  startUpload(repository: string, algorithm: DigestAlgorithm): Promise<string>;
  uploadInfo(id: string): Promise<UploadInfo | undefined>;
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
