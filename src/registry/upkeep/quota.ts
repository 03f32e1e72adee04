/**
 * createQuotas(): how much a repository may still take, by the rules that match its name. What it holds is counted from the
 * storage, content that several of its repositories share once, and the count is kept for a moment: replicas that push at the
 * same moment may together pass a limit by what they push in it.
 */
import type { Digest } from "../../core/digest.ts";
import { formatBytes } from "../../core/units.ts";
import type { Host } from "../../host/host.ts";
import { compileGlob } from "../access/glob.ts";
import type { QuotaRule } from "../config/rules.ts";
import type { Driver } from "../driver.ts";
import { RegistryError } from "../errors.ts";
import { listRepositories, openRepository } from "../repository.ts";

export interface Quotas {
  /** Throws RegistryError DENIED when `repository` may not take `size` bytes more. */
  require(repository: string, size: number): Promise<void>;
  /** The same while bytes arrive, of which `before` have arrived already. */
  limit(
    repository: string,
    before: number,
    source: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined>;
  /** `repository` holds so much more now. */
  added(repository: string, size: number): void;
}

const COUNT_LIFE_MS = 10_000;

interface Limit extends QuotaRule {
  readonly matches: (repository: string) => boolean;
  used: number;
  countedAt: number;
}

export function createQuotas(host: Pick<Host, "clock">, driver: Driver, rules: readonly QuotaRule[]): Quotas {
  const limits = rules.map((rule): Limit => {
    const glob = compileGlob(rule.repositories);
    return { ...rule, matches: (name) => glob.test(name), used: 0, countedAt: Number.NEGATIVE_INFINITY };
  });
  const sizes = new Map<Digest, number>();
  const sizeOf = async (digest: Digest): Promise<number> => {
    const size = sizes.get(digest) ?? (await driver.blobSize(digest)) ?? 0;
    sizes.set(digest, size);
    return size;
  };
  const count = async (limit: Limit): Promise<void> => {
    if (host.clock.elapsed() - limit.countedAt < COUNT_LIFE_MS) return;
    const held = new Set<Digest>();
    for (const name of (await listRepositories(driver)).filter(limit.matches)) {
      const repository = openRepository(driver, name);
      for (const digest of [...(await repository.blobs()), ...(await repository.manifests())]) held.add(digest);
    }
    let used = 0;
    for (const digest of held) used += await sizeOf(digest);
    Object.assign(limit, { used, countedAt: host.clock.elapsed() });
  };
  const tightest = async (repository: string): Promise<Limit | undefined> => {
    let found: Limit | undefined;
    for (const limit of limits.filter(({ matches }) => matches(repository))) {
      await count(limit);
      if (found === undefined || limit.size - limit.used < found.size - found.used) found = limit;
    }
    return found;
  };
  return {
    async require(repository, size) {
      const limit = await tightest(repository);
      if (limit !== undefined && size > limit.size - limit.used) throw exceeded(limit);
    },
    async *limit(repository, before, source) {
      const limit = await tightest(repository);
      let size = before;
      for await (const chunk of source) {
        size += chunk.length;
        if (limit !== undefined && size > limit.size - limit.used) throw exceeded(limit);
        yield chunk;
      }
    },
    added(repository, size) {
      for (const limit of limits) if (limit.matches(repository)) limit.used += size;
    },
  };
}

/** Without how much is used: that tells of repositories which the client may not read. */
function exceeded({ repositories, size }: Limit): RegistryError {
  const message = `quota of "${repositories}" is exceeded: it is ${formatBytes(size)}`;
  return new RegistryError(403, "DENIED", message, { detail: { quota: size } });
}
