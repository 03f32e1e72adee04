/**
 * checkStorage(): reads all content again and follows all names: blobs hash to their digests, links name blobs
 * that are there, manifests what their repository has, tags and referrers name manifests that are there. With `repair` a damaged blob is put aside, so that clients are told it
 * is missing, and a push brings it back.
 */
import { createDigester, type Digest, digestAlgorithm } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import { compileGlob } from "../access/glob.ts";
import type { Driver, StoredBlob } from "../driver.ts";
import { listRepositories, type ManifestRecord, openRepository, type Repository } from "../repository.ts";
import type { Reference } from "../route.ts";
import { storedFacts } from "./manifest-parts.ts";

export interface CheckOptions {
  readonly repair: boolean;
  /** Globs of repositories whose manifests may name what is not there. */
  readonly sparse?: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

export interface CheckProblem {
  readonly kind:
    | "damaged-blob"
    | "missing-blob"
    | "missing-manifest"
    | "damaged-manifest"
    | "dangling-tag"
    | "dangling-referrer";
  readonly repository?: string;
  readonly digest?: Digest;
  readonly tag?: string;
  readonly quarantined?: boolean;
}

export interface CheckReport {
  readonly blobs: number;
  readonly bytes: number;
  readonly repositories: number;
  readonly problems: readonly CheckProblem[];
}

export async function checkStorage(driver: Driver, options: CheckOptions): Promise<CheckReport> {
  const problems: CheckProblem[] = [];
  const damaged = new Set<Digest>();
  let [blobs, bytes] = [0, 0];
  for await (const blob of driver.listBlobs()) {
    options.signal?.throwIfAborted();
    blobs += 1;
    bytes += blob.size;
    if (await isWhole(driver, blob)) continue;
    damaged.add(blob.digest);
    if (options.repair) await driver.quarantineBlob(blob.digest);
    problems.push({ kind: "damaged-blob", digest: blob.digest, quarantined: options.repair });
  }
  const sparse = (options.sparse ?? []).map(compileGlob);
  const names = await listRepositories(driver);
  for (const name of names) {
    options.signal?.throwIfAborted();
    const isSparse = sparse.some((glob) => glob.test(name));
    for (const problem of await checkRepository(driver, openRepository(driver, name), isSparse))
      if (problem.digest === undefined || !damaged.has(problem.digest)) problems.push(problem);
  }
  return { blobs, bytes, repositories: names.length, problems };
}

/** True also for one that a collection has taken meanwhile. */
async function isWhole(driver: Driver, { digest, size }: StoredBlob): Promise<boolean> {
  const digester = createDigester(digestAlgorithm(digest));
  try {
    for await (const chunk of driver.readBlob(digest, { start: 0, end: size })) digester.update(chunk);
  } catch (error) {
    if (isFailure(error, "not-found") && (await driver.blobSize(digest)) === undefined) return true;
    throw error;
  }
  return digester.digest() === digest;
}

async function checkRepository(driver: Driver, repository: Repository, isSparse: boolean): Promise<CheckProblem[]> {
  const problems: CheckProblem[] = [];
  const report = (problem: CheckProblem): void => {
    problems.push({ ...problem, repository: repository.name });
  };
  for (const digest of await repository.blobs()) {
    if ((await driver.blobSize(digest)) === undefined && (await repository.hasBlob(digest)))
      report({ kind: "missing-blob", digest });
  }
  for (const digest of await repository.manifests()) {
    try {
      const facts = await storedFacts(driver, repository, digest);
      if (facts === undefined || isSparse) continue;
      for (const part of facts.blobs)
        if (!(await repository.hasBlob(part.digest))) report({ kind: "missing-blob", digest: part.digest });
      for (const part of facts.manifests)
        if (!(await hasChild(repository, part.digest))) report({ kind: "missing-manifest", digest: part.digest });
    } catch (error) {
      if (!isFailure(error, "corrupt")) throw error;
      report({ kind: "damaged-manifest", digest });
    }
  }
  for (const tag of (await repository.tags()) ?? []) {
    const named = await findWhole(repository, { kind: "tag", tag });
    if (named === undefined && (await repository.tagTime(tag)) !== undefined) report({ kind: "dangling-tag", tag });
  }
  for (const { subject, digest } of await repository.referrerLinks()) {
    const manifest = await findWhole(repository, { kind: "digest", digest });
    if (manifest?.subject !== subject) report({ kind: "dangling-referrer", digest });
  }
  return problems;
}

/** undefined also where a damaged record stands. */
async function findWhole(repository: Repository, reference: Reference): Promise<ManifestRecord | undefined> {
  try {
    return await repository.findManifest(reference);
  } catch (error) {
    if (isFailure(error, "corrupt")) return undefined;
    throw error;
  }
}

/** An index may list what was pushed as a blob. */
async function hasChild(repository: Repository, digest: Digest): Promise<boolean> {
  return (await findWhole(repository, { kind: "digest", digest })) !== undefined || repository.hasBlob(digest);
}
