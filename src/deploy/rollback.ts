/** rollback(): the other deployment becomes the default of the next boot, at once; a second time undoes it. Drops what is staged. */
import { Failure } from "../core/failure.ts";
import { cleanUp } from "./cleanup.ts";
import type { Deployments } from "./deployments.ts";
import { exchangeMenus, removeStagedMenu, writeStagedMenu } from "./exchange-menu.ts";
import type { Machine } from "./machine.ts";
import { type MenuEntry, rankEntries } from "./menu.ts";
import { missingPart } from "./missing-part.ts";
import { bootedEntry } from "./stage.ts";

export interface RollbackPlan {
  /** What boots next. */
  readonly next: "rollback" | "current";
  readonly menu: readonly MenuEntry[];
}

/** Failure "not-found" with a single deployment. Pure. */
export function planRollback(deployments: Deployments): RollbackPlan {
  const { rollback } = deployments;
  if (rollback === undefined) {
    throw new Failure("not-found", "No rollback available", {
      hint: "only one deployment is on this system; an upgrade or a switch adds one",
    });
  }
  const booted = bootedEntry(deployments);
  const others = deployments.menu.entries.filter((entry) => entry.id !== booted.id && entry.id !== rollback.id);
  return deployments.rollbackQueued
    ? { next: "current", menu: rankEntries([booted, rollback, ...others]) }
    : { next: "rollback", menu: rankEntries([rollback, booted, ...others]) };
}

export function applyRollback(machine: Machine, plan: RollbackPlan): void {
  const { files } = machine.host;
  const { esp } = machine.sysroot;
  checkRollback(machine, plan);
  cleanUp(machine, { keepStaged: false });
  writeStagedMenu(files, esp, plan.menu);
  exchangeMenus(files, esp);
  removeStagedMenu(files, esp);
}

/** Failure "corrupt" when what boots next is not all there. */
export function checkRollback(machine: Pick<Machine, "host" | "sysroot">, plan: RollbackPlan): void {
  const entry = plan.menu[0];
  if (entry === undefined) return;
  const missing = missingPart(machine.host.files, machine.sysroot, entry);
  if (missing === undefined) return;
  throw new Failure(
    "corrupt",
    `Cannot roll back to deployment "${entry.id}": "${missing}" is missing, so it would not boot`,
  );
}
