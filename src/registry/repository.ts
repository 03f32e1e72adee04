/**
 * Repository: what the records of a driver mean. A repository holds links to shared blobs and manifests, so that deleting in
 * one never touches another.
 *
 *   repositories/<name>/blobs/<algorithm>-<hex>                      linked here
 *   repositories/<name>/manifests/<algorithm>-<hex>                  {mediaType, size, subject?}
 *   repositories/<name>/tags/<tag>                                   digest
 *   repositories/<name>/referrers/<subject>/<algorithm>-<hex>        descriptor, as the referrers API lists it
 *
 * `/` in a name is written `+`, which no name contains. Order of writes: content, referrer, manifest, tag; of deletes: tag,
 * manifest, referrer. A crash between two leaves no name for something that is not there.
 */
import { type Digest, parseDigest } from "../core/digest.ts";
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
  manifestTime(digest: Digest): Promise<number | undefined>;
  findManifest(reference: Reference): Promise<ManifestRecord | undefined>;
  /** `referrer` is what the subject's referrers list shows; only with a subject. */
  addManifest(record: ManifestRecord, referrer: Descriptor | undefined): Promise<void>;
  deleteManifest(digest: Digest): Promise<boolean>;
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
  const tagKey = (tag: string): string => `${base}/tags/${tag}`;
  const referrerKey = (subject: Digest, digest: Digest): string =>
    `${base}/referrers/${fileName(subject)}/${fileName(digest)}`;
  const tagged = async (tag: string): Promise<Digest | undefined> => {
    const record = await driver.getRecord(tagKey(tag));
    return record === undefined ? undefined : parseDigest(record);
  };
  const manifest = async (digest: Digest): Promise<ManifestRecord | undefined> => {
    const record = await driver.getRecord(manifestKey(digest));
    return record === undefined ? undefined : parseManifestRecord(record, digest);
  };
  return {
    name,
    hasBlob: (digest) => driver.hasRecord(blobKey(digest)),
    blobTime: (digest) => driver.recordTime(blobKey(digest)),
    blobs: async () => (await driver.listRecords(`${base}/blobs`)).map(parseFileName),
    manifestTime: (digest) => driver.recordTime(manifestKey(digest)),
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
        if ((await tagged(tag)) === digest) await driver.deleteRecord(tagKey(tag));
      }
      await driver.deleteRecord(manifestKey(digest));
      if (found.subject !== undefined) await driver.deleteRecord(referrerKey(found.subject, digest));
      return true;
    },
    async tags() {
      const tags = await driver.listRecords(`${base}/tags`);
      return tags.length > 0 || (await driver.listRecords(base)).length > 0 ? tags : undefined;
    },
    tagTime: (tag) => driver.recordTime(tagKey(tag)),
    setTag: (tag, digest) => driver.putRecord(tagKey(tag), digest),
    deleteTag: (tag) => driver.deleteRecord(tagKey(tag)),
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

function parseManifestRecord(text: string, digest: Digest): ManifestRecord {
  const object = parseJsonObject(text, "manifest record");
  const subject = optional(object["subject"], "manifest record.subject", asString);
  return {
    digest,
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
