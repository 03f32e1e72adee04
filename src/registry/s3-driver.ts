/**
 * s3Driver(): a registry in a bucket, under one prefix. Any number of processes may serve the same one: nothing is kept between
 * requests but what cannot change (and a hash on its way, see s3-uploads.ts).
 *
 *   records/<key>                     small objects
 *   blobs/<algorithm>/<2 hex>/<hex>   content, shared by all repositories
 *   uploads/<id>/…                    sessions
 *   quarantine/<algorithm>-<hex>      content that was not what its name says
 */
import { type Digest, digestAlgorithm, digestHex } from "../core/digest.ts";
import type { Bucket } from "../host/bucket.ts";
import type { Host } from "../host/host.ts";
import { type Driver, parseBlobPath, type StoredBlob } from "./driver.ts";
import { s3Uploads } from "./s3-uploads.ts";

export interface S3DriverOptions {
  /** Of all keys; empty or ending with `/`. */
  readonly prefix: string;
  /** Send readers of blobs to the store itself. */
  readonly redirect: boolean;
}

/** How long a redirected reader may take until it begins. */
const ADDRESS_LIFE_SECONDS = 1200;

export function s3Driver(host: Pick<Host, "random">, bucket: Bucket, options: S3DriverOptions): Driver {
  const { prefix } = options;
  const recordKey = (key: string): string => `${prefix}records/${key}`;
  const blobKey = (digest: Digest): string => {
    const hex = digestHex(digest);
    return `${prefix}blobs/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}`;
  };
  const removeExisting = async (key: string): Promise<boolean> => {
    if ((await bucket.stat(key)) === undefined) return false;
    await bucket.remove(key);
    return true;
  };
  return {
    getRecord: async (key) => (await bucket.read(recordKey(key)))?.toString(),
    putRecord: (key, value) => bucket.write(recordKey(key), value),
    hasRecord: async (key) => (await bucket.stat(recordKey(key))) !== undefined,
    recordTime: async (key) => (await bucket.stat(recordKey(key)))?.modifiedMs,
    deleteRecord: (key) => removeExisting(recordKey(key)),
    listRecords: (key) => bucket.listNames(`${recordKey(key)}/`),

    blobSize: async (digest) => (await bucket.stat(blobKey(digest)))?.size,
    async *readBlob(digest, range) {
      if (range.end > range.start) yield* bucket.readStream(blobKey(digest), range);
    },
    async putBlob(digest, bytes) {
      const found = await bucket.stat(blobKey(digest));
      if (found?.size !== bytes.length) await bucket.write(blobKey(digest), bytes);
    },
    deleteBlob: (digest) => removeExisting(blobKey(digest)),
    async *listBlobs(): AsyncGenerator<StoredBlob, void, undefined> {
      for await (const { key, size, modifiedMs } of bucket.list(`${prefix}blobs/`)) {
        const digest = parseBlobPath(key.slice(prefix.length + "blobs/".length));
        if (digest !== undefined) yield { digest, size, modifiedMs };
      }
    },
    async quarantineBlob(digest) {
      const found = await bucket.stat(blobKey(digest));
      if (found === undefined) return;
      await bucket.assemble(`${prefix}quarantine/${digest.replace(":", "-")}`, [found]);
      await bucket.remove(blobKey(digest));
    },
    ...(options.redirect && { blobAddress: (digest: Digest) => bucket.presign(blobKey(digest), ADDRESS_LIFE_SECONDS) }),

    ...s3Uploads(host, bucket, { prefix: `${prefix}uploads/`, blobPrefix: `${prefix}blobs/`, blobKey }),
  };
}
