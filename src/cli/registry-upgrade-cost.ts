/** planUpgradeCost(): the client's plan of an upgrade, asked of a registry in this process, for the registry's page. */
import type { PlanUpgrade } from "../registry/web/upgrade-cost.ts";
import type { RemoteContext } from "../remote/context.ts";
import { planUpgrade } from "../remote/plan-upgrade.ts";
import { describeTransfer, layerBytes } from "../remote/transfer-plan.ts";
import { localSession } from "./local-session.ts";

export function planUpgradeCost(context: RemoteContext): PlanUpgrade {
  return async (registry, { repository, from, to }) => {
    const plan = await planUpgrade(context, localSession(registry, repository, "pull"), { from, to });
    return { bytes: layerBytes(plan), ways: describeTransfer(plan) };
  };
}
