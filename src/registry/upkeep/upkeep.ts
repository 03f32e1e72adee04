/**
 * keepUp(): what a serving registry does by itself: drops uploads that nobody goes on with, and collects garbage. Of several
 * replicas one collects at a time. A storage that fails is tried again the next time.
 */
import { isFailure } from "../../core/failure.ts";
import type { Progress } from "../../core/progress.ts";
import { formatBytes } from "../../core/units.ts";
import type { Host } from "../../host/host.ts";
import type { GcConfig } from "../config/gc.ts";
import type { RetentionRule } from "../config/rules.ts";
import type { UpstreamConfig } from "../config/upstream.ts";
import type { Driver } from "../driver.ts";
import { planEviction } from "./eviction.ts";
import { collectGarbage, storageTime } from "./gc.ts";
import { applyRetention, planRetention } from "./retention.ts";

/** Uploads that got no byte for this long are dropped. */
export const UPLOAD_LIFE_MS = 24 * 3600 * 1000;
const ROUND_MS = 3600 * 1000;

export interface UpkeepOptions {
  readonly gc: GcConfig;
  readonly retention: readonly RetentionRule[];
  readonly upstreams: readonly UpstreamConfig[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export async function keepUp(
  host: Pick<Host, "clock" | "random">,
  driver: Driver,
  { gc, retention, upstreams, progress, signal }: UpkeepOptions,
): Promise<void> {
  const { interval, grace } = gc;
  let collected = host.clock.elapsed();
  while (!signal.aborted) {
    try {
      const now = await storageTime(driver);
      await driver.expireUploads(now - UPLOAD_LIFE_MS);
      if (interval !== undefined && host.clock.elapsed() - collected >= interval) {
        collected = host.clock.elapsed();
        const steps = [
          ...(await planRetention(driver, retention, now)),
          ...(await planEviction(driver, upstreams, { now, graceMs: grace })),
        ];
        await applyRetention(host, driver, { steps, graceMs: grace });
        const { blobs, bytes } = await collectGarbage(host, driver, { graceMs: grace, dryRun: false, signal });
        if (blobs > 0) progress.say(`Collected ${blobs} blobs: ${formatBytes(bytes)}`);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isFailure(error)) throw error;
      if (error.code !== "busy") progress.warn(error.message);
    }
    try {
      await host.clock.sleep(Math.min(ROUND_MS, interval ?? ROUND_MS), signal);
    } catch (error) {
      if (!isFailure(error, "aborted")) throw error;
    }
  }
}
