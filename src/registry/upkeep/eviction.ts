/**
 * planEviction(): which copies of other registries go so that the rest is no larger than `[[upstream]] size` says: whole images, the
 * longest unused first. applyRetention() carries it out, and the garbage collection that follows frees their content.
 *
 * What was used within the grace stays, however much that is: somebody may be at it.
 */
import type { Digest } from "../../core/digest.ts";
import type { UpstreamConfig } from "../config/upstream.ts";
import type { Driver } from "../driver.ts";
import { listRepositories, openRepository, type Repository } from "../repository.ts";
import { storedFacts } from "./manifest-parts.ts";
import type { RetentionStep } from "./retention.ts";

/** A manifest that nothing else keeps, with all that goes when it goes. */
interface CopiedImage {
  readonly repository: string;
  readonly tags: readonly { readonly tag: string; readonly digest: Digest }[];
  /** Who uses others first. */
  readonly manifests: readonly Digest[];
  /** Manifests and blobs that are here. */
  readonly content: ReadonlySet<Digest>;
  readonly usedMs: number;
}

/** `now` is the storage's time. Failure "corrupt" for a manifest that cannot be read. */
export async function planEviction(
  driver: Driver,
  upstreams: readonly Pick<UpstreamConfig, "prefix" | "size">[],
  { now, graceMs }: { readonly now: number; readonly graceMs: number },
): Promise<RetentionStep[]> {
  const steps: RetentionStep[] = [];
  for (const { prefix, size } of upstreams) {
    if (size === undefined) continue;
    const images: CopiedImage[] = [];
    for (const name of await listRepositories(driver)) {
      if (!name.startsWith(`${prefix}/`)) continue;
      for (const image of await readImages(driver, openRepository(driver, name))) images.push(image);
    }
    const sizes = new Map<Digest, number>();
    for (const digest of images.flatMap(({ content }) => [...content])) {
      if (!sizes.has(digest)) sizes.set(digest, (await driver.blobSize(digest)) ?? 0);
    }
    for (const step of stepsTo(size, images, { sizes, before: now - graceMs })) steps.push(step);
  }
  return steps;
}

function stepsTo(
  limit: number,
  images: readonly CopiedImage[],
  { sizes, before }: { readonly sizes: ReadonlyMap<Digest, number>; readonly before: number },
): RetentionStep[] {
  const steps: RetentionStep[] = [];
  const users = new Map<Digest, number>();
  for (const digest of images.flatMap(({ content }) => [...content])) users.set(digest, (users.get(digest) ?? 0) + 1);
  let total = sizes.values().reduce((sum, size) => sum + size, 0);
  for (const image of images.toSorted((left, right) => left.usedMs - right.usedMs)) {
    if (total <= limit || image.usedMs >= before) break;
    for (const digest of image.content) {
      const left = (users.get(digest) ?? 0) - 1;
      users.set(digest, left);
      if (left === 0) total -= sizes.get(digest) ?? 0;
    }
    const { repository } = image;
    for (const { tag, digest } of image.tags) steps.push({ kind: "delete-tag", repository, tag, digest });
    for (const digest of image.manifests) steps.push({ kind: "delete-manifest", repository, digest });
  }
  return steps;
}

async function readImages(driver: Driver, repository: Repository): Promise<CopiedImage[]> {
  const manifests = new Map<Digest, { blobs: readonly Digest[]; kept: Set<Digest>; usedMs: number }>();
  const subjects: [digest: Digest, subject: Digest][] = [];
  for (const digest of await repository.manifests()) {
    const facts = await storedFacts(driver, repository, digest);
    const usedMs = await repository.manifestTime(digest);
    if (facts === undefined || usedMs === undefined) continue;
    const blobs = [...facts.blobs, ...facts.foreignLayers].map((part) => part.digest);
    manifests.set(digest, { blobs, kept: new Set(facts.manifests.map((child) => child.digest)), usedMs });
    if (facts.subject !== undefined) subjects.push([digest, facts.subject.digest]);
  }
  for (const [digest, subject] of subjects) manifests.get(subject)?.kept.add(digest);

  const linked = new Set(await repository.blobs());
  const tags = await tagsByDigest(repository);
  const kept = new Set(manifests.values().flatMap((manifest) => manifest.kept));
  return [...manifests.keys()]
    .filter((digest) => !kept.has(digest))
    .map((root) => {
      const whole = new Set([root]);
      for (const digest of whole) {
        for (const other of manifests.get(digest)?.kept ?? []) if (manifests.has(other)) whole.add(other);
      }
      const parts = [...whole].flatMap((digest) => manifests.get(digest)?.blobs ?? []);
      return {
        repository: repository.name,
        tags: [...whole].flatMap((digest) => (tags.get(digest) ?? []).map((tag) => ({ tag, digest }))),
        manifests: [...whole],
        content: new Set([...whole, ...parts.filter((digest) => linked.has(digest))]),
        usedMs: whole.values().reduce((last, digest) => Math.max(last, manifests.get(digest)?.usedMs ?? 0), 0),
      };
    });
}

async function tagsByDigest(repository: Repository): Promise<Map<Digest, string[]>> {
  const tags = new Map<Digest, string[]>();
  for (const tag of (await repository.tags()) ?? []) {
    const digest = (await repository.findManifest({ kind: "tag", tag }))?.digest;
    if (digest !== undefined) tags.set(digest, [...(tags.get(digest) ?? []), tag]);
  }
  return tags;
}
