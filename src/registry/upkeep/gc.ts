/**
 * collectGarbage(): deletes content that no manifest needs, while the registry serves, and while other processes push to the
 * same storage. Three conditions, all of them: no manifest of the repository names it, nothing happened to it for the grace, and
 * nobody has leased it (leases.ts). Links go before blobs: a crash between leaves a blob that the next run finds, never a link
 * to nothing.
 *
 * One collection runs at a time on a storage. A manifest that cannot be read ends it: what it needs is unknown.
 */
import type { Digest } from "../../core/digest.ts";
import { Failure, isFailure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import type { Driver } from "../driver.ts";
import { listRepositories, openRepository } from "../repository.ts";
import { type Claim, createClaims } from "./claims.ts";
import { manifestParts } from "./manifest-parts.ts";
import { dropLeases, isLeased, withCondemned } from "./leases.ts";

export interface GcOptions {
  /** Content younger than this stays, and as long does a lease last. */
  readonly graceMs: number;
  readonly dryRun: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface GcReport {
  readonly dryRun: boolean;
  /** Deleted, or with a dry run to be deleted. */
  readonly blobs: number;
  readonly bytes: number;
  /** Names of blobs in repositories that needed them no more. */
  readonly links: number;
  /** Unneeded too, but young or leased. */
  readonly kept: number;
}

/** What is left when all that manifests need is taken away. */
interface Unneeded {
  /** By digest, the repositories that name it in vain. */
  readonly links: ReadonlyMap<Digest, readonly string[]>;
  /** Needed by some repository. */
  readonly needed: ReadonlySet<Digest>;
}

/** Failure "busy" while another collection runs, "corrupt" when a manifest cannot be read. */
export async function collectGarbage(
  host: Pick<Host, "clock" | "random">,
  driver: Driver,
  options: GcOptions,
): Promise<GcReport> {
  try {
    return await createClaims(host, driver).hold("garbage collection", { kind: "exclusive", waitMs: 0 }, (claim) =>
      collect(driver, claim, options),
    );
  } catch (error) {
    if (!isFailure(error, "busy")) throw error;
    throw new Failure("busy", "Cannot collect garbage: another collection runs on this storage", { cause: error });
  }
}

async function collect(driver: Driver, claim: Claim, options: GcOptions): Promise<GcReport> {
  const { graceMs, dryRun, signal } = options;
  const now = await storageTime(driver);
  const before = now - graceMs;
  const { links, needed } = await findUnneeded(driver, claim, signal);
  const count = { blobs: 0, bytes: 0, links: 0, kept: 0 };
  const seen = new Set<Digest>();
  const sweep = async (digest: Digest, size: number | undefined, isYoung: boolean): Promise<void> => {
    signal?.throwIfAborted();
    await claim.renew();
    const unlinked: string[] = [];
    for (const name of links.get(digest) ?? []) {
      if (((await openRepository(driver, name).blobTime(digest)) ?? 0) < before) unlinked.push(name);
    }
    const isWhole = unlinked.length === (links.get(digest)?.length ?? 0) && !needed.has(digest) && !isYoung;
    const work = async (): Promise<void> => {
      if (dryRun) return;
      for (const name of unlinked) await openRepository(driver, name).unlinkBlob(digest);
      if (isWhole) await driver.deleteBlob(digest);
    };
    const isFree = dryRun
      ? !(await isLeased(driver, digest, before))
      : (isWhole || unlinked.length > 0) && (await withCondemned(driver, { digest, now, lifeMs: graceMs }, work));
    count.links += isFree ? unlinked.length : 0;
    if (size === undefined || needed.has(digest)) return;
    if (isFree && isWhole) {
      count.blobs += 1;
      count.bytes += size;
    } else count.kept += 1;
  };
  for await (const { digest, size, modifiedMs } of driver.listBlobs()) {
    seen.add(digest);
    if (!needed.has(digest) || links.has(digest)) await sweep(digest, size, modifiedMs >= before);
  }
  for (const digest of links.keys()) if (!seen.has(digest)) await sweep(digest, undefined, false);
  if (!dryRun) await dropLeases(driver, before);
  return { dryRun, ...count };
}

async function findUnneeded(driver: Driver, claim: Claim, signal: AbortSignal | undefined): Promise<Unneeded> {
  const links = new Map<Digest, string[]>();
  const needed = new Set<Digest>();
  for (const name of await listRepositories(driver)) {
    const repository = openRepository(driver, name);
    const here = new Set<Digest>();
    // Links first: a blob that is linked later than this is not looked at, whatever its manifest.
    const linked = await repository.blobs();
    for (const digest of await repository.manifests()) {
      signal?.throwIfAborted();
      await claim.renew();
      here.add(digest);
      for (const part of (await manifestParts(driver, repository, digest)) ?? []) here.add(part);
    }
    for (const digest of here) needed.add(digest);
    for (const digest of linked) {
      if (!here.has(digest)) links.set(digest, [...(links.get(digest) ?? []), name]);
    }
  }
  return { links, needed };
}

/** The storage's clock, which dates its content, in ms since the epoch. */
export async function storageTime(driver: Driver): Promise<number> {
  await driver.putRecord("clock", "", { durable: false });
  return (await driver.recordTime("clock")) ?? 0;
}
