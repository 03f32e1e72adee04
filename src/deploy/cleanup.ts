/**
 * cleanUp(): removes what no menu names: leftovers of interrupted commands, deployments that fell off the menu. Only the menus
 * decide, and only while they can be believed: when an entry cannot be read, or the running deployment has none, nothing is removed.
 */
import { isFailure } from "../core/failure.ts";
import { type Deployments, readDeployments } from "./deployments.ts";
import type { Files } from "../host/host.ts";
import { removeStagedMenu } from "./exchange-menu.ts";
import { removeUnusedKernels } from "./kernel-files.ts";
import {
  DEPLOYMENT_TAG_PREFIX,
  deploymentPath,
  deploymentsPath,
  deploymentTag,
  isDeploymentId,
  STAGED_MENU,
} from "./layout.ts";
import type { Machine } from "./machine.ts";
import { kernelDirectoriesOf } from "./menu.ts";
import { settleNextEtc } from "./next-etc.ts";
import { removeStaged } from "./staged-file.ts";

/**
 * Drops the staged deployment (`keepStaged: false`), or what only looks like one, then everything unreferenced but the store's
 * objects. Returns what is there now.
 */
export function cleanUp(
  machine: Pick<Machine, "host" | "sysroot" | "progress">,
  options: { keepStaged: boolean },
): Deployments {
  const { files } = machine.host;
  const { sysroot } = machine;
  const before = readDeployments(files, sysroot);
  for (const problem of before.problems) machine.progress.warn(problem);
  if (before.staged === undefined || !options.keepStaged) {
    // The marker first: without it nothing below is staged any more.
    removeStaged(files);
    if (files.exists(`${sysroot.esp}/${STAGED_MENU}`)) removeStagedMenu(files, sysroot.esp);
  }
  const now = readDeployments(files, sysroot);
  const live = liveIds(now);
  const complete = menusAreComplete(now);
  for (const id of files.listIfAny(deploymentsPath(sysroot.path))) {
    if (!isDeploymentId(id)) continue;
    if (!live.has(id) && complete) files.remove(deploymentPath(sysroot.path, id));
    else {
      removeTemporaryFiles(files, deploymentPath(sysroot.path, id));
      // Under the running system its /etc is never exchanged, whatever the menu says.
      const inPlace = id === sysroot.bootedId || now.menu.entries[0]?.id === id;
      if (now.staged?.id !== id) settleNextEtc(files, sysroot.path, { id, isDefault: inPlace });
    }
  }
  if (complete) removeUnusedKernels(files, sysroot.esp, kernelDirectoriesOf([now.menu, now.stagedMenu]));
  return now;
}

/** Do the menus name everything that must stay? Not when a file was skipped, and not without the running deployment. */
function menusAreComplete({ menu, stagedMenu, bootedId }: Deployments): boolean {
  return menu.readable && stagedMenu.readable && menu.entries.some((entry) => entry.id === bootedId);
}

/** What `files.replace` leaves when it is interrupted. */
function removeTemporaryFiles(files: Files, directory: string): void {
  for (const name of files.list(directory)) {
    if (/^\..*\.tmp$/.test(name)) files.remove(`${directory}/${name}`);
  }
}

/** Everything that must stay bootable. */
export function liveIds(deployments: Deployments): Set<string> {
  const entries = [...deployments.menu.entries, ...deployments.stagedMenu.entries];
  return new Set([deployments.bootedId, ...entries.map((entry) => entry.id)]);
}

/**
 * Frees what no deployment needs in the store. It is upkeep: when it cannot be done now, a warning says so and the next command
 * does it. `onlyWhenDropped`: only if a deployment has fallen off the menu since.
 */
export function collectGarbage(machine: Machine, options: { onlyWhenDropped?: boolean } = {}): void {
  const { host, sysroot, store, progress } = machine;
  const deployments = readDeployments(host.files, sysroot);
  if (!menusAreComplete(deployments)) {
    progress.warn("Unused objects stay for now: the boot menu cannot be read in full");
    return;
  }
  const live = liveIds(deployments);
  const wanted = new Set<string>();
  for (const [id, origin] of deployments.origins) {
    if (live.has(id) && origin.manifestDigest !== undefined) wanted.add(deploymentTag(origin.manifestDigest));
  }
  try {
    let dropped = 0;
    for (const image of store.images()) {
      for (const name of image.names) {
        if (name.startsWith(DEPLOYMENT_TAG_PREFIX) && !wanted.has(name) && store.untag(name)) dropped += 1;
      }
      const tag = deploymentTag(image.digest);
      if (wanted.has(tag) && !image.names.includes(tag)) store.tag(tag, image.digest);
    }
    if (dropped === 0 && options.onlyWhenDropped === true) return;
    store.gc({ dryRun: false, liveIds: [...live].sort() });
  } catch (error) {
    if (!isFailure(error)) throw error;
    if (error.code !== "busy") progress.warn(`Unused objects stay for now: ${error.message}`);
  }
}
