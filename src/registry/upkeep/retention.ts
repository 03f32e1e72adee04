/**
 * planRetention(): which tags and manifests the rules of [[retention]] take; applyRetention() deletes them. Their content is
 * freed by the garbage collection that follows.
 *
 * A manifest without a tag stays when an index that stays lists it, or when it refers to a subject that is there.
 */
import type { Digest } from "../../core/digest.ts";
import type { Host } from "../../host/host.ts";
import { compileGlob } from "../access/glob.ts";
import type { RetentionRule } from "../config/rules.ts";
import type { Driver } from "../driver.ts";
import { manifestClaim } from "../manifests.ts";
import { listRepositories, openRepository, type Repository } from "../repository.ts";
import { createClaims } from "./claims.ts";
import { manifestParts } from "./manifest-parts.ts";
import { compileTagGlob } from "./tag-glob.ts";

export type RetentionStep =
  | { readonly kind: "delete-tag"; readonly repository: string; readonly tag: string; readonly digest: Digest }
  | { readonly kind: "delete-manifest"; readonly repository: string; readonly digest: Digest };

interface DatedTag {
  readonly tag: string;
  readonly digest: Digest;
  readonly timeMs: number;
}

/** `now` is the storage's time. Failure "corrupt" for a manifest that cannot be read. */
export async function planRetention(
  driver: Driver,
  rules: readonly RetentionRule[],
  now: number,
): Promise<RetentionStep[]> {
  const steps: RetentionStep[] = [];
  for (const name of rules.length === 0 ? [] : await listRepositories(driver)) {
    const own = rules.filter((rule) => compileGlob(rule.repositories).test(name));
    if (own.length === 0) continue;
    const repository = openRepository(driver, name);
    const tags = await datedTags(repository);
    const taken = new Set(own.flatMap((rule) => takenTags(rule, tags, now)));
    for (const { tag, digest } of taken) steps.push({ kind: "delete-tag", repository: name, tag, digest });
    const ages = own.flatMap(({ untagged }) => untagged ?? []);
    if (ages.length === 0) continue;
    // What loses its tag in this run stays until the next: machines may be at it by its digest.
    const kept = new Set(tags.map(({ digest }) => digest));
    for (const digest of await unneeded(driver, repository, { kept, before: now - Math.min(...ages) })) {
      steps.push({ kind: "delete-manifest", repository: name, digest });
    }
  }
  return steps;
}

/** What changed since the plan stays. */
export async function applyRetention(
  host: Pick<Host, "clock" | "random">,
  driver: Driver,
  steps: readonly RetentionStep[],
): Promise<void> {
  const claims = createClaims(host, driver);
  for (const step of steps) {
    const repository = openRepository(driver, step.repository);
    const claim = manifestClaim(repository, step.digest);
    await claims.hold(claim, { kind: "exclusive", waitMs: 10_000 }, async () => {
      switch (step.kind) {
        case "delete-tag": {
          const found = await repository.findManifest({ kind: "tag", tag: step.tag });
          if (found?.digest === step.digest) await repository.deleteTag(step.tag);
          return;
        }
        case "delete-manifest": {
          const tagged = (await datedTags(repository)).some(({ digest }) => digest === step.digest);
          if (!tagged) await repository.deleteManifest(step.digest);
        }
      }
    });
  }
}

async function datedTags(repository: Repository): Promise<DatedTag[]> {
  const tags: DatedTag[] = [];
  for (const tag of (await repository.tags()) ?? []) {
    const manifest = await repository.findManifest({ kind: "tag", tag });
    const timeMs = await repository.tagTime(tag);
    if (manifest !== undefined && timeMs !== undefined) tags.push({ tag, digest: manifest.digest, timeMs });
  }
  return tags;
}

function takenTags(rule: RetentionRule, tags: readonly DatedTag[], now: number): DatedTag[] {
  const { keepLast, olderThan } = rule;
  if (keepLast === undefined && olderThan === undefined) return [];
  const glob = compileTagGlob(rule.tags);
  return tags
    .filter(({ tag }) => glob.test(tag))
    .sort((a, b) => b.timeMs - a.timeMs || (a.tag < b.tag ? 1 : -1))
    .filter(({ timeMs }, index) => index >= (keepLast ?? 0) && now - timeMs > (olderThan ?? -1));
}

async function unneeded(
  driver: Driver,
  repository: Repository,
  { kept, before }: { readonly kept: ReadonlySet<Digest>; readonly before: number },
): Promise<Digest[]> {
  const all = await repository.manifests();
  const subjects = new Map<Digest, Digest>();
  for (const digest of all) {
    const subject = (await repository.findManifest({ kind: "digest", digest }))?.subject;
    if (subject !== undefined) subjects.set(digest, subject);
  }
  const old: Digest[] = [];
  const needed = new Set<Digest>();
  for (const digest of all) {
    const isOld = ((await repository.manifestTime(digest)) ?? Number.POSITIVE_INFINITY) < before;
    if (kept.has(digest) || !isOld) needed.add(digest);
    else old.push(digest);
  }
  // What is needed needs its children, and keeps what refers to it.
  for (const digest of needed) {
    for (const part of (await manifestParts(driver, repository, digest)) ?? []) needed.add(part);
    for (const [referrer, subject] of subjects) if (subject === digest) needed.add(referrer);
  }
  return old.filter((digest) => !needed.has(digest));
}
