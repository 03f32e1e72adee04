/**
 * cleanUp(): removes what no menu names: leftovers of interrupted commands, deployments that fell off the menu. Only the menus
 * decide; the booted deployment stays whatever they say; when an entry cannot be read nothing is removed.
 */
import { bootDirectoryName } from "../boot/entry-name.ts";
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
  for (const id of files.listIfAny(deploymentsPath(sysroot.path))) {
    if (!isDeploymentId(id)) continue;
    if (!live.has(id) && now.menu.readable && now.stagedMenu.readable) files.remove(deploymentPath(sysroot.path, id));
    else {
      removeTemporaryFiles(files, deploymentPath(sysroot.path, id));
      if (now.staged?.id !== id) settleNextEtc(files, sysroot.path, { id, isDefault: now.menu.entries[0]?.id === id });
    }
  }
  if (now.menu.readable && now.stagedMenu.readable) {
    const used = kernelDirectoriesOf([now.menu, now.stagedMenu]);
    // An entry of the booted deployment that vanished does not take its kernel with it.
    if (!now.menu.entries.some((entry) => entry.id === sysroot.bootedId)) used.add(bootDirectoryName(sysroot.bootedId));
    removeUnusedKernels(files, sysroot.esp, used);
  }
  return now;
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
