/**
 * Bucket: an object store as a registry needs one. Objects appear whole or not at all, and what was written, removed or listed
 * by one process is seen by the next call of any other (every S3 since 2020, Ceph, MinIO).
 *
 * `s3-bucket.ts` is the real one, `fake-bucket.ts` is in memory.
 */

export interface BucketOptions {
  /** `https://HOST[:PORT]`; undefined: AWS, by region. */
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Of temporary credentials. */
  readonly sessionToken?: string | undefined;
  /** Bucket in the path and not in the host name, as most servers besides AWS want it. */
  readonly pathStyle: boolean;
  /** PEM certificates that sign the endpoint's, besides the system's. */
  readonly ca?: string | undefined;
}

export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
  /** Milliseconds since the epoch, by the store's clock. */
  readonly modifiedMs: number;
}

export interface Bucket {
  /** undefined when there is no such object. For small ones: the whole of it comes into memory. */
  read(key: string): Promise<Buffer | undefined>;
  /** `end` is exclusive and larger than `start`. Failure "not-found". */
  readStream(key: string, range: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
  stat(key: string): Promise<ObjectInfo | undefined>;
  write(key: string, content: Uint8Array | string): Promise<void>;
  /** Missing is fine. */
  remove(key: string): Promise<void>;
  /** All objects whose key begins with `prefix`, in byte order. */
  list(prefix: string): AsyncIterable<ObjectInfo>;
  /** Names directly below `prefix`, which ends with `/`: objects, and deeper levels once. In byte order. */
  listNames(prefix: string): Promise<string[]>;
  /**
   * One object from others, in order, without their bytes passing through here. Each source but the last holds at least
   * `ASSEMBLE_BYTES_MIN` and at most 5 GiB; at most 10,000 of them.
   */
  assemble(key: string, sources: readonly ObjectInfo[]): Promise<void>;
  /** Forgets assemblies that were begun before (ms since the epoch) and not ended: they cost space. */
  dropAssemblies(prefix: string, before: number): Promise<void>;
  /** An address that answers GET of the object to everybody, for so long. */
  presign(key: string, lifeSeconds: number): string;
  /** What is under way fails soon, instead of waiting for a store that does not answer. */
  close(): void;
}

/** S3's least size of a part that is not the last. */
export const ASSEMBLE_BYTES_MIN = 5 * 1024 * 1024;
