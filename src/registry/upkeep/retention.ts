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
import { storageTime } from "./gc.ts";
import { withCondemned } from "./leases.ts";
import { storedFacts } from "./manifest-parts.ts";
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

/**
 * What changed since the plan stays: a manifest also when something uses it now, or when a push that is told of it might (leases.ts;
 * `graceMs` as for the collection).
 */
export async function applyRetention(
  host: Pick<Host, "clock" | "random">,
  driver: Driver,
  { steps, graceMs }: { readonly steps: readonly RetentionStep[]; readonly graceMs: number },
): Promise<void> {
  const claims = createClaims(host, driver);
  const known = new Map<Digest, Node>();
  for (const step of steps) {
    const repository = openRepository(driver, step.repository);
    const claim = manifestClaim(repository, step.digest);
    // Most is read before anybody has to wait.
    if (step.kind === "delete-manifest") await readNodes(driver, repository, known);
    await claims.hold(claim, { kind: "exclusive", waitMs: 10_000 }, async () => {
      switch (step.kind) {
        case "delete-tag": {
          const found = await repository.findManifest({ kind: "tag", tag: step.tag });
          if (found?.digest === step.digest) await repository.deleteTag(step.tag);
          return;
        }
        case "delete-manifest": {
          const { digest } = step;
          if ((await datedTags(repository)).some((tag) => tag.digest === digest)) return;
          await withCondemned(driver, { digest, now: await storageTime(driver), lifeMs: graceMs }, async () => {
            const nodes = await readNodes(driver, repository, known);
            if (!isUsed(nodes, digest)) await repository.deleteManifest(digest);
          });
        }
      }
    });
  }
}

function isUsed(nodes: ReadonlyMap<Digest, Node>, digest: Digest): boolean {
  const subject = nodes.get(digest)?.subject;
  const hasSubject = subject !== undefined && nodes.has(subject);
  return hasSubject || [...nodes.values()].some(({ children }) => children.includes(digest));
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

/** A manifest that uses its parts, and what it refers to. Its digest names it, so that what was read once stays true. */
interface Node {
  readonly children: readonly Digest[];
  readonly subject: Digest | undefined;
}

/** The manifests that are there now. `known` is what was read before, and gets the rest. */
async function readNodes(driver: Driver, repository: Repository, known: Map<Digest, Node>): Promise<Map<Digest, Node>> {
  const nodes = new Map<Digest, Node>();
  for (const digest of await repository.manifests()) {
    const node = known.get(digest) ?? (await readNode(driver, repository, digest));
    if (node === undefined) continue;
    known.set(digest, node);
    nodes.set(digest, node);
  }
  return nodes;
}

async function readNode(driver: Driver, repository: Repository, digest: Digest): Promise<Node | undefined> {
  const facts = await storedFacts(driver, repository, digest);
  return facts && { children: facts.manifests.map((child) => child.digest), subject: facts.subject?.digest };
}

async function unneeded(
  driver: Driver,
  repository: Repository,
  { kept, before }: { readonly kept: ReadonlySet<Digest>; readonly before: number },
): Promise<Digest[]> {
  const nodes = await readNodes(driver, repository, new Map());
  const old: Digest[] = [];
  const needed = new Set<Digest>();
  for (const digest of nodes.keys()) {
    const isOld = ((await repository.manifestTime(digest)) ?? Number.POSITIVE_INFINITY) < before;
    if (kept.has(digest) || !isOld) needed.add(digest);
    else old.push(digest);
  }
  // What is needed needs its children, and keeps what refers to it.
  const keeps = keptBy(nodes);
  for (const digest of needed) for (const other of keeps(digest)) needed.add(other);
  return keepersFirst(
    old.filter((digest) => !needed.has(digest)),
    keeps,
  );
}

/** Which manifests stay because of one that does. */
function keptBy(nodes: ReadonlyMap<Digest, Node>): (digest: Digest) => readonly Digest[] {
  const referrers = new Map<Digest, Digest[]>();
  for (const [digest, { subject }] of nodes) {
    if (subject !== undefined) referrers.set(subject, [...(referrers.get(subject) ?? []), digest]);
  }
  return (digest) => [...(nodes.get(digest)?.children ?? []), ...(referrers.get(digest) ?? [])];
}

/** So that when a manifest's turn comes nothing keeps it any more but what stays. */
function keepersFirst(digests: readonly Digest[], keeps: (digest: Digest) => readonly Digest[]): Digest[] {
  const levels: (readonly Digest[])[] = [];
  let rest = digests;
  while (rest.length > 0) {
    const kept = new Set(rest.flatMap(keeps));
    const free = rest.filter((digest) => !kept.has(digest));
    if (free.length === 0) break;
    levels.push(free);
    rest = rest.filter((digest) => kept.has(digest));
  }
  return [...levels.flat(), ...rest];
}
