/**
 * Repository: what the records of a driver mean. A repository holds links to shared blobs and manifests, so that deleting in
 * one never touches another.
 *
 *   repositories/<name>/blobs/<algorithm>-<hex>                      linked here
 *   repositories/<name>/manifests/<algorithm>-<hex>                  {mediaType, size, subject?}
 *   repositories/<name>/tags/<tag>                                   digest
 *   repositories/<name>/untagged/<algorithm>-<hex>                   empty; its time is when the manifest last lost a tag
 *   repositories/<name>/referrers/<subject>/<algorithm>-<hex>        descriptor, as the referrers API lists it
 *
 * `/` in a name is written `+`, which no name contains. Order of writes: content, referrer, manifest, tag; of deletes: tag,
 * manifest, mark, referrer. A crash between two leaves no name for something that is not there.
 */
import { type Digest, isDigest, parseDigest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { memoized } from "../core/memoized.ts";
import { asCount, asString, optional, parseJsonObject } from "../core/json.ts";
import { type Descriptor, parseDescriptor } from "../oci/manifest.ts";
import type { Driver } from "./driver.ts";
import type { Reference } from "./route.ts";

export interface ManifestRecord {
  readonly digest: Digest;
  /** As it was pushed. */
  readonly mediaType: string;
  readonly size: number;
  readonly subject: Digest | undefined;
}

export interface Repository {
  readonly name: string;
  hasBlob(digest: Digest): Promise<boolean>;
  /** When it was linked, by the storage's clock; undefined when it is not. */
  blobTime(digest: Digest): Promise<number | undefined>;
  blobs(): Promise<Digest[]>;
  linkBlob(digest: Digest): Promise<void>;
  /** false when it was not linked. */
  unlinkBlob(digest: Digest): Promise<boolean>;
  manifests(): Promise<Digest[]>;
  /** When it was last pushed or lost a tag, by the storage's clock. */
  manifestTime(digest: Digest): Promise<number | undefined>;
  /** Failure "corrupt" when the record of the tag or of the manifest is damaged. */
  findManifest(reference: Reference): Promise<ManifestRecord | undefined>;
  /** `referrer` is what the subject's referrers list shows; only with a subject. */
  addManifest(record: ManifestRecord, referrer: Descriptor | undefined): Promise<void>;
  deleteManifest(digest: Digest): Promise<boolean>;
  /** Manifests that lost a tag, the last first. */
  replaced(): Promise<Digest[]>;
  /** In byte order; undefined when the repository does not exist. */
  tags(): Promise<string[] | undefined>;
  /** When the tag was last set, by the storage's clock; undefined when there is none. */
  tagTime(tag: string): Promise<number | undefined>;
  setTag(tag: string, digest: Digest): Promise<void>;
  deleteTag(tag: string): Promise<boolean>;
  referrers(subject: Digest): Promise<Descriptor[]>;
  /** Of all subjects, whether the manifest is there or not. */
  referrerLinks(): Promise<{ readonly subject: Digest; readonly digest: Digest }[]>;
}

export function openRepository(driver: Driver, name: string): Repository {
  const base = `repositories/${name.replaceAll("/", "+")}`;
  const blobKey = (digest: Digest): string => `${base}/blobs/${fileName(digest)}`;
  const manifestKey = (digest: Digest): string => `${base}/manifests/${fileName(digest)}`;
  const untaggedKey = (digest: Digest): string => `${base}/untagged/${fileName(digest)}`;
  const tagKey = (tag: string): string => `${base}/tags/${tag}`;
  const referrerKey = (subject: Digest, digest: Digest): string =>
    `${base}/referrers/${fileName(subject)}/${fileName(digest)}`;
  const corrupt = (what: string, cause: unknown): Failure =>
    new Failure("corrupt", `Cannot read ${what} of "${name}": its record is damaged`, { cause });
  const tagged = async (tag: string): Promise<Digest | undefined> => {
    const record = await driver.getRecord(tagKey(tag));
    if (record === undefined || isDigest(record)) return record;
    throw corrupt(`tag "${tag}"`, undefined);
  };
  /** A damaged record names nothing: it must not stand in the way of a push or deletion that ends it. */
  const taggedBefore = async (tag: string): Promise<Digest | undefined> => {
    const record = await driver.getRecord(tagKey(tag));
    return record !== undefined && isDigest(record) ? record : undefined;
  };
  const manifest = async (digest: Digest): Promise<ManifestRecord | undefined> => {
    const record = await driver.getRecord(manifestKey(digest));
    if (record === undefined) return undefined;
    try {
      return { digest, ...recordOf(record) };
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      throw corrupt(`manifest "${digest}"`, cause);
    }
  };
  /** A manifest that is deleted at the same time takes the mark with it, or does not get one. */
  const markUntagged = async (digest: Digest): Promise<void> => {
    await driver.putRecord(untaggedKey(digest), "");
    if (!(await driver.hasRecord(manifestKey(digest)))) await driver.deleteRecord(untaggedKey(digest));
  };
  return {
    name,
    hasBlob: (digest) => driver.hasRecord(blobKey(digest)),
    blobTime: (digest) => driver.recordTime(blobKey(digest)),
    blobs: async () => (await driver.listRecords(`${base}/blobs`)).map(parseFileName),
    async manifestTime(digest) {
      const pushed = await driver.recordTime(manifestKey(digest));
      return pushed && Math.max(pushed, (await driver.recordTime(untaggedKey(digest))) ?? 0);
    },
    manifests: async () => (await driver.listRecords(`${base}/manifests`)).map(parseFileName),
    async linkBlob(digest) {
      if (!(await driver.hasRecord(blobKey(digest)))) await driver.putRecord(blobKey(digest), "");
    },
    unlinkBlob: (digest) => driver.deleteRecord(blobKey(digest)),
    async findManifest(reference) {
      const digest = reference.kind === "digest" ? reference.digest : await tagged(reference.tag);
      return digest && manifest(digest);
    },
    async addManifest({ digest, ...record }, referrer) {
      if (record.subject !== undefined && referrer !== undefined) {
        await driver.putRecord(referrerKey(record.subject, digest), JSON.stringify(referrer));
      }
      await driver.putRecord(manifestKey(digest), JSON.stringify(record));
    },
    async deleteManifest(digest) {
      const found = await manifest(digest);
      if (found === undefined) return false;
      for (const tag of await driver.listRecords(`${base}/tags`)) {
        if ((await taggedBefore(tag)) === digest) await driver.deleteRecord(tagKey(tag));
      }
      await driver.deleteRecord(manifestKey(digest));
      await driver.deleteRecord(untaggedKey(digest), { durable: false });
      if (found.subject !== undefined) await driver.deleteRecord(referrerKey(found.subject, digest));
      return true;
    },
    async replaced() {
      const found: { readonly digest: Digest; readonly ms: number }[] = [];
      for (const digest of (await driver.listRecords(`${base}/untagged`)).map(parseFileName)) {
        found.push({ digest, ms: (await driver.recordTime(untaggedKey(digest))) ?? 0 });
      }
      return found.sort((left, right) => right.ms - left.ms).map(({ digest }) => digest);
    },
    async tags() {
      const tags = await driver.listRecords(`${base}/tags`);
      return tags.length > 0 || (await driver.listRecords(base)).length > 0 ? tags : undefined;
    },
    tagTime: (tag) => driver.recordTime(tagKey(tag)),
    async setTag(tag, digest) {
      const old = await taggedBefore(tag);
      await driver.putRecord(tagKey(tag), digest);
      if (old !== undefined && old !== digest) await markUntagged(old);
    },
    async deleteTag(tag) {
      const old = await taggedBefore(tag);
      const isDeleted = await driver.deleteRecord(tagKey(tag));
      if (old !== undefined) await markUntagged(old);
      return isDeleted;
    },
    async referrerLinks() {
      const links: { subject: Digest; digest: Digest }[] = [];
      for (const subject of (await driver.listRecords(`${base}/referrers`)).map(parseFileName)) {
        const entries = await driver.listRecords(`${base}/referrers/${fileName(subject)}`);
        for (const digest of entries.map(parseFileName)) links.push({ subject, digest });
      }
      return links;
    },
    async referrers(subject) {
      const found: Descriptor[] = [];
      for (const entry of await driver.listRecords(`${base}/referrers/${fileName(subject)}`)) {
        const digest = parseFileName(entry);
        const record = await driver.getRecord(referrerKey(subject, digest));
        if (record === undefined || !(await driver.hasRecord(manifestKey(digest)))) continue;
        found.push(parseDescriptor(JSON.parse(record), "referrer"));
      }
      return found;
    },
  };
}

/** Names of all repositories, in byte order. */
export async function listRepositories(driver: Driver): Promise<string[]> {
  return (await driver.listRecords("repositories")).map((name) => name.replaceAll("+", "/")).sort();
}

const recordOf = memoized(parseManifestRecord);

function parseManifestRecord(text: string): Omit<ManifestRecord, "digest"> {
  const object = parseJsonObject(text, "manifest record");
  const subject = optional(object["subject"], "manifest record.subject", asString);
  return {
    mediaType: asString(object["mediaType"], "manifest record.mediaType"),
    size: asCount(object["size"], "manifest record.size"),
    subject: subject === undefined ? undefined : parseDigest(subject),
  };
}

function fileName(digest: Digest): string {
  return digest.replace(":", "-");
}

function parseFileName(name: string): Digest {
  return parseDigest(name.replace("-", ":"));
}
