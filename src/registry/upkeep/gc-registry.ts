/** gcRegistry(): a garbage collection by hand, beside a server or without one, with what its configuration says. */
import type { Host } from "../../host/host.ts";
import { openRegistryStorage, type StorageHost } from "../storage.ts";
import { planEviction } from "./eviction.ts";
import { collectGarbage, storageTime, type GcReport } from "./gc.ts";
import { applyRetention, planRetention, type RetentionStep } from "./retention.ts";
import { UPLOAD_LIFE_MS } from "./upkeep.ts";

export interface GcRegistryReport extends GcReport {
  /** What the rules of retention took, and copies of upstreams that had to make room. With a dry run its content is not counted among the blobs. */
  readonly retention: readonly RetentionStep[];
  /** Uploads that nobody went on with. */
  readonly uploads: number;
}

/** Failure "busy" while another collection runs, "corrupt" when a manifest cannot be read. */
export async function gcRegistry(
  host: StorageHost & Pick<Host, "user" | "clock">,
  directory: string,
  options: { readonly dryRun: boolean; readonly signal: AbortSignal },
): Promise<GcRegistryReport> {
  using registry = await openRegistryStorage(host, directory);

  const { driver, config } = registry;
  const graceMs = config.gc.grace;
  const now = await storageTime(driver);
  const retention = [
    ...(await planRetention(driver, config.retention, now)),
    ...(await planEviction(driver, config.upstream ?? [], { now, graceMs })),
  ];
  if (!options.dryRun) await applyRetention(host, driver, { steps: retention, graceMs });
  const report = await collectGarbage(host, driver, { ...options, graceMs });
  const uploads = options.dryRun ? 0 : await driver.expireUploads(now - UPLOAD_LIFE_MS);
  return { ...report, retention, uploads };
}
