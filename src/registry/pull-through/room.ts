/**
 * createRoom(): whether copies of an upstream may take more space, and when each was last used, for the eviction that makes room. It
 * counts as a quota does, so that what is on its way at the same moment may pass the limit.
 */
import type { Host } from "../../host/host.ts";
import type { Driver } from "../driver.ts";
import type { Repository } from "../repository.ts";
import type { Reference } from "../route.ts";
import type { Leases } from "../upkeep/leases.ts";
import { createQuotas } from "../upkeep/quota.ts";

export interface Room {
  /** Takes `size` bytes for what is about to be kept; false when there are not so many. */
  take(repository: Repository, size: number): Promise<boolean>;
  /** A manifest that is served: no eviction takes it for a while. */
  used(repository: Repository, reference: Reference, leases: Leases): Promise<void>;
}

const USED_MS = 3600 * 1000;
const REMEMBERED_MAX = 100_000;

export function createRoom(
  host: Pick<Host, "clock">,
  driver: Driver,
  { prefix, size }: { readonly prefix: string; readonly size: number },
): Room {
  const quotas = createQuotas(host, driver, [{ repositories: `${prefix}/**`, size }]);
  const noted = new Map<string, number>();
  return {
    async take({ name }, more) {
      if (!(await quotas.fits(name, more))) return false;
      quotas.added(name, more);
      return true;
    },
    async used(repository, reference, leases) {
      const digest = (await repository.findManifest(reference))?.digest;
      if (digest === undefined) return;
      await leases.take(digest);
      const key = `${repository.name}@${digest}`;
      const now = host.clock.elapsed();
      if (now - (noted.get(key) ?? Number.NEGATIVE_INFINITY) < USED_MS) return;
      // With the lease no eviction is at it: what is found now stays.
      const record = await repository.findManifest({ kind: "digest", digest });
      if (record !== undefined) await repository.addManifest(record, undefined);
      if (noted.size >= REMEMBERED_MAX) noted.clear();
      noted.set(key, now);
    },
  };
}
