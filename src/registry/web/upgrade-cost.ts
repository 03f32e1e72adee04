/**
 * createUpgradeCosts(): what an upgrade between two images of a repository moves, planned by the client (which `cli/` brings), so that
 * the page and `berth upgrade --check` name one number. The answer is remembered: a plan reads megabytes of tables.
 */
import type { Digest } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import type { HttpHandler } from "../../host/host.ts";
import type { ImageView } from "./image-view.ts";

export interface UpgradeCost {
  /** Over the network. */
  readonly bytes: number;
  /** How, for people. */
  readonly ways: string;
}

export interface Upgrade {
  readonly repository: string;
  readonly from: Digest;
  readonly to: Digest;
}

/** `registry` answers every question about the repository. Failures and SyntaxError when parts of the images are not there or malformed. */
export type PlanUpgrade = (registry: HttpHandler, upgrade: Upgrade) => Promise<UpgradeCost>;

/** undefined when it cannot be told. */
export type UpgradeCosts = (repository: string, from: ImageView, to: ImageView) => Promise<UpgradeCost | undefined>;

const REMEMBERED_MAX = 200;

export function createUpgradeCosts(registry: HttpHandler, plan: PlanUpgrade): UpgradeCosts {
  const known = new Map<string, Promise<UpgradeCost | undefined>>();
  return (repository, from, to) => {
    if (from.variants.length + to.variants.length > 0) return Promise.resolve(undefined);
    const referrers = to.referrers.map(({ digest }) => digest);
    const key = [repository, from.digest, to.digest, ...referrers].join(" ");
    const cost = known.get(key) ?? planned(plan(registry, { repository, from: from.digest, to: to.digest }));
    if (known.size >= REMEMBERED_MAX) known.clear();
    known.set(key, cost);
    cost.catch(() => known.delete(key));
    return cost;
  };
}

async function planned(cost: Promise<UpgradeCost>): Promise<UpgradeCost | undefined> {
  try {
    return await cost;
  } catch (error) {
    if (isFailure(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
