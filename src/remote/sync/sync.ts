/**
 * syncImages(): all tags of some repositories, and what refers to them, from one place to another. planSync() compares digests;
 * applySync() copies what is missing, image by image, each whole before the next, so that it can be broken off and run again.
 */
import type { Digest } from "../../core/digest.ts";
import type { Platform } from "../../oci/manifest.ts";
import { applyCopy, planCopy } from "../copy/copy.ts";
import type { CopyContext } from "../copy/image-io.ts";
import type { SyncImage, SyncPlace } from "./sync-place.ts";

export type SyncStep =
  | { readonly kind: "copy"; readonly image: SyncImage; readonly referrers: readonly Digest[] }
  /** The tag is right; some of what refers to it is missing. */
  | { readonly kind: "referrers"; readonly image: SyncImage; readonly referrers: readonly Digest[] }
  | { readonly kind: "delete"; readonly image: SyncImage };

export interface SyncPlan {
  readonly steps: readonly SyncStep[];
  /** Tags that are the same at both ends, referrers too. */
  readonly unchanged: number;
}

export interface SyncResult {
  readonly copied: number;
  readonly deleted: number;
  readonly unchanged: number;
  readonly movedBytes: number;
}

/** What refers to what refers: a signature of a bill of materials. */
const REFERRER_DEPTH_MAX = 4;
/** Never used: a sync takes indexes whole. */
const ANY_PLATFORM: Platform = { os: "linux", architecture: "amd64" };

export async function planSync(from: SyncPlace, to: SyncPlace, options: { delete: boolean }): Promise<SyncPlan> {
  const images = await from.list();
  const repositories = [...new Set(images.map(({ repository }) => repository))];
  const there = await to.list(options.delete ? undefined : repositories);
  const known = new Map(there.map((image) => [keyOf(image), image.digest]));
  const wanted = new Set(images.map(keyOf));
  const steps: SyncStep[] = [];
  let unchanged = 0;
  for (const image of images) {
    const { repository, digest } = image;
    const referrers = await referrersBelow(from, repository, digest);
    const has = new Set(await referrersBelow(to, repository, digest));
    const missing = referrers.filter((referrer) => !has.has(referrer));
    if (known.get(keyOf(image)) !== digest) steps.push({ kind: "copy", image, referrers: missing });
    else if (missing.length > 0) steps.push({ kind: "referrers", image, referrers: missing });
    else unchanged += 1;
  }
  for (const image of options.delete ? there : [])
    if (repositories.includes(image.repository) && !wanted.has(keyOf(image))) steps.push({ kind: "delete", image });
  return { steps, unchanged };
}

export async function applySync(
  context: CopyContext,
  from: SyncPlace,
  to: SyncPlace,
  plan: SyncPlan,
): Promise<SyncResult> {
  let copied = 0;
  let deleted = 0;
  let movedBytes = 0;
  const copy = async (repository: string, selector: string): Promise<void> => {
    await using source = await from.source(repository, selector);
    await using sink = await to.sink(repository, selector);
    const result = await applyCopy(
      context,
      source,
      sink,
      await planCopy(source, sink, { all: true, platform: ANY_PLATFORM }),
    );
    movedBytes += result.movedBytes;
  };
  for (const step of plan.steps) {
    context.signal?.throwIfAborted();
    const { repository, tag } = step.image;
    context.progress.say(`${step.kind === "delete" ? "Deleting" : "Syncing"} ${repository}:${tag}`);
    switch (step.kind) {
      case "copy":
      case "referrers":
        if (step.kind === "copy") await copy(repository, tag);
        for (const referrer of step.referrers) await copy(repository, referrer);
        copied += 1;
        break;
      case "delete":
        await to.removeTag(step.image);
        deleted += 1;
        break;
    }
  }
  await to.finish();
  return { copied, deleted, unchanged: plan.unchanged, movedBytes };
}

async function referrersBelow(place: SyncPlace, repository: string, subject: Digest): Promise<readonly Digest[]> {
  const found = new Set<Digest>();
  let level: readonly Digest[] = [subject];
  for (let depth = 0; depth < REFERRER_DEPTH_MAX && level.length > 0; depth += 1) {
    const next: Digest[] = [];
    for (const digest of level)
      for (const each of await place.referrers(repository, digest)) if (!found.has(each)) next.push(each);
    for (const digest of next) found.add(digest);
    level = next;
  }
  return [...found];
}

function keyOf({ repository, tag }: SyncImage): string {
  return `${repository}:${tag}`;
}
