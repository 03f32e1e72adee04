/**
 * createLeases(): what keeps a garbage collection from content that a push is about to use. Who is told that a digest is there
 * (HEAD, mount, the end of an upload, the parts of a manifest) has leased it before; who collects condemns a digest before it looks
 * for a lease. So of the two at least one sees the other, in one process or in several:
 *
 *   push:        put leases/<digest>     then look for condemned/<digest>
 *   collection:  put condemned/<digest>  then look for leases/<digest>
 *
 * A lease is no promise to keep content that nobody asks for: it ends by its age.
 */
import type { Digest } from "../../core/digest.ts";
import type { Host } from "../../host/host.ts";
import type { Driver } from "../driver.ts";
import { RegistryError } from "../errors.ts";

export interface Leases {
  /** When it resolves, no collection takes `digest` for as long as leases last. */
  take(digest: Digest): Promise<void>;
}

export interface LeaseOptions {
  /** How long a lease lasts; the same for all processes on one storage. */
  readonly lifeMs: number;
}

/** A collection condemns for moments; a mark this old is of one that died. */
const CONDEMNED_MS = 60_000;
const WAIT_MS = 5_000;
const PAUSE_MS = 50;
const REMEMBERED_MAX = 100_000;

export function createLeases(host: Pick<Host, "clock">, driver: Driver, { lifeMs }: LeaseOptions): Leases {
  /** When we put the lease; one that is young needs no second. */
  const taken = new Map<Digest, number>();
  const isCondemned = async (digest: Digest): Promise<boolean> => {
    const condemned = await driver.recordTime(condemnedKey(digest));
    if (condemned === undefined) return false;
    const now = (await driver.recordTime(leaseKey(digest))) ?? condemned;
    return now - condemned < CONDEMNED_MS;
  };
  return {
    async take(digest) {
      const now = host.clock.elapsed();
      if (now - (taken.get(digest) ?? Number.NEGATIVE_INFINITY) < lifeMs / 4) return;
      const until = now + WAIT_MS;
      await driver.putRecord(leaseKey(digest), "", { durable: false });
      while (await isCondemned(digest)) {
        if (host.clock.elapsed() >= until) {
          const headers = { "retry-after": String(CONDEMNED_MS / 1000) };
          throw new RegistryError(503, "UNKNOWN", "the content is being collected; try again later", { headers });
        }
        await host.clock.sleep(PAUSE_MS);
      }
      if (taken.size >= REMEMBERED_MAX) taken.clear();
      taken.set(digest, now);
    },
  };
}

/** `work` runs when nobody has leased `digest`, and while nobody can; `now` is the storage's time. False: it is leased. */
export async function withCondemned(
  driver: Driver,
  { digest, now, lifeMs }: { readonly digest: Digest; readonly now: number; readonly lifeMs: number },
  work: () => Promise<void>,
): Promise<boolean> {
  if (await isLeased(driver, digest, now - lifeMs)) return false;
  await driver.putRecord(condemnedKey(digest), "", { durable: false });
  try {
    if (await isLeased(driver, digest, now - lifeMs)) return false;
    await work();
    return true;
  } finally {
    await driver.deleteRecord(condemnedKey(digest), { durable: false });
  }
}

export async function isLeased(driver: Driver, digest: Digest, since: number): Promise<boolean> {
  return ((await driver.recordTime(leaseKey(digest))) ?? Number.NEGATIVE_INFINITY) >= since;
}

/** Forgets leases older than `since`. */
export async function dropLeases(driver: Driver, since: number): Promise<void> {
  for (const name of await driver.listRecords("leases")) {
    const time = await driver.recordTime(`leases/${name}`);
    if (time !== undefined && time < since) await driver.deleteRecord(`leases/${name}`, { durable: false });
  }
}

function leaseKey(digest: Digest): string {
  return `leases/${digest.replace(":", "-")}`;
}

function condemnedKey(digest: Digest): string {
  return `condemned/${digest.replace(":", "-")}`;
}
