/**
 * Staging: a deployment prepared beside the running system. planStage() reads and decides; applyStage() writes, in the order that
 * makes every interruption harmless: state directory, kernel, staged menu, and last the marker in /run that makes it staged.
 */
import { applyKargsDiff, diffKargs } from "../boot/kargs-d.ts";
import { splitCommandLine } from "../boot/cmdline.ts";
import { Failure } from "../core/failure.ts";
import { formatBytes } from "../core/units.ts";
import type { StoredImage } from "../store/store.ts";
import { cleanUp } from "./cleanup.ts";
import type { Deployments } from "./deployments.ts";
import { checkBootable, type KernelFiles, readBootTree, readKargs, readOsRelease } from "./deployment-tree.ts";
import type { EtcMerge } from "./etc-merge.ts";
import { writeStagedMenu } from "./exchange-menu.ts";
import { hasKernel, kernelBytesOn, kernelDigest, kernelSizeBytes, writeKernel } from "./kernel-files.ts";
import { deploymentPath, deploymentTag, etcPath, nextEtcPath, originPath, VAR_LINK } from "./layout.ts";
import type { Machine } from "./machine.ts";
import { createEntry, kernelDirectoriesOf, type MenuEntry, rankEntries } from "./menu.ts";
import { mergeLiveEtc } from "./next-etc.ts";
import { formatImageSpec, formatOrigin, type ImageSpec, type Origin } from "./origin.ts";
import { writeStaged } from "./staged-file.ts";
import { writeTree } from "./write-tree.ts";
import { bootDirectoryName } from "../boot/entry-name.ts";

export interface StageTarget {
  readonly image: StoredImage;
  /** What the deployment follows from then on. */
  readonly spec: ImageSpec;
  /** Staged, but not made the default at shutdown. */
  readonly locked: boolean;
}

export type StagePlan =
  /** The image's content is that of the running deployment: there is nothing to boot. */
  | { readonly kind: "booted"; readonly id: string; readonly origin: Origin }
  | {
      readonly kind: "stage";
      readonly id: string;
      readonly origin: Origin;
      readonly locked: boolean;
      /** The deployment is in the menu already (the rollback deployment). */
      readonly again: boolean;
      readonly etc: EtcMerge;
      readonly kernel: { readonly files: KernelFiles; readonly directory: string; readonly write: boolean };
      /** The menu of the next boot: the new deployment, then the running one. */
      readonly menu: readonly MenuEntry[];
    };

/** Failures: "bad-input" not bootable, "conflict" in /etc, "no-space" on the ESP. Nothing but the store has changed then. */
export function planStage(machine: Machine, deployments: Deployments, target: StageTarget): StagePlan {
  const { host, store, sysroot } = machine;
  const { files } = host;
  const name = formatImageSpec(target.spec);
  const id = store.imageId(target.image, "boot");
  const tree = readBootTree(store, id);
  const kernel = checkBootable(tree, name);
  const bootDigest = kernelDigest(files, store, kernel);
  const origin: Origin = { image: target.spec, bootType: "bls", bootDigest, manifestDigest: target.image.digest };
  if (id === sysroot.bootedId) return { kind: "booted", id, origin };

  const booted = bootedEntry(deployments);
  const kargs = (of: typeof tree): string[] => readKargs(of, store, { files, architecture: host.architecture });
  const bootedTree = readBootTree(store, sysroot.bootedId);
  const options = applyKargsDiff(
    splitCommandLine(booted.named.entry.options),
    diffKargs(kargs(bootedTree), kargs(tree)),
  );
  const shared = sharedKernel(machine, deployments, { id, bootDigest, kernel });
  const etc = mergeLiveEtc(
    { host, store, sysroot: sysroot.path, bootedId: sysroot.bootedId },
    { booted: bootedTree, next: tree },
  );
  if (shared === undefined) checkEspSpace(machine, deployments, { kernel, name });
  const directory = shared ?? bootDirectoryName(id);
  const release = readOsRelease(tree, store, files);
  const entry = createEntry({
    id,
    verityOptional: booted.verityOptional,
    release,
    kernelDirectory: directory,
    options,
  });
  return {
    kind: "stage",
    id,
    origin,
    locked: target.locked,
    again: deployments.menu.entries.some((other) => other.id === id),
    etc,
    kernel: { files: kernel, directory, write: shared === undefined },
    menu: rankEntries([entry, booted]),
  };
}

/** Restartable: what an interrupted run left is replaced. */
export async function applyStage(machine: Machine, plan: StagePlan & { readonly kind: "stage" }): Promise<void> {
  const { host, store, sysroot } = machine;
  const { files } = host;
  const { id } = plan;
  await armFinalize(machine);
  cleanUp(machine, { keepStaged: false });
  if (plan.origin.manifestDigest !== undefined)
    store.tag(deploymentTag(plan.origin.manifestDigest), plan.origin.manifestDigest);

  const directory = deploymentPath(sysroot.path, id);
  files.makeDirectory(directory, { mode: 0o755 });
  const etc = plan.again ? nextEtcPath(sysroot.path, id) : etcPath(sysroot.path, id);
  files.remove(etc);
  writeTree(plan.etc.merged, etc, { host, store });
  if (!files.exists(`${directory}/var`)) files.symlink(VAR_LINK, `${directory}/var`);
  files.replace(originPath(sysroot.path, id), formatOrigin(plan.origin), { mode: 0o644 });
  files.syncFileSystem(sysroot.path);

  if (plan.kernel.write) writeKernel(files, { esp: sysroot.esp, id, store, kernel: plan.kernel.files });
  writeStagedMenu(files, sysroot.esp, plan.menu);
  writeStaged(files, { id, locked: plan.locked });
}

/** The boot entry of the running deployment. Failure "corrupt" when the menu has none. */
export function bootedEntry(deployments: Deployments): MenuEntry {
  const entry = deployments.menu.entries.find((one) => one.id === deployments.bootedId);
  if (entry === undefined) {
    throw new Failure(
      "corrupt",
      `Cannot change the boot menu: it has no entry for the running deployment "${deployments.bootedId}"`,
      {
        hint: "restore its file below loader/entries on the EFI system partition",
      },
    );
  }
  return entry;
}

export const FINALIZE_UNIT = "berth-finalize-staged.service";

/** The unit does its work when it is stopped; it must run before anything is staged or unlocked. Harmless when it runs. */
export async function armFinalize(machine: Pick<Machine, "host">): Promise<void> {
  await machine.host.exec(["systemctl", "start", "--quiet", FINALIZE_UNIT], { timeoutMs: 60_000 });
}

/** A kernel directory that an entry boots from and that holds the same two files; it is never written again. */
function sharedKernel(
  machine: Machine,
  deployments: Deployments,
  wanted: { id: string; bootDigest: string; kernel: KernelFiles },
): string | undefined {
  const { host, sysroot } = machine;
  for (const entry of deployments.menu.entries) {
    if (entry.kernelDirectory === undefined) continue;
    const same =
      deployments.origins.get(entry.id)?.bootDigest === wanted.bootDigest ||
      entry.kernelDirectory === bootDirectoryName(wanted.id);
    if (!same) continue;
    if (hasKernel(host.files, sysroot.esp, entry.kernelDirectory, wanted.kernel)) return entry.kernelDirectory;
  }
  return undefined;
}

/** Room for menus and FAT's own clusters. */
const ESP_MARGIN_BYTES = 1024 * 1024;

/** The kernel of what is staged now goes before the new one comes. */
function checkEspSpace(
  machine: Machine,
  deployments: Deployments,
  { kernel, name }: { kernel: KernelFiles; name: string },
): void {
  const { files } = machine.host;
  const { esp } = machine.sysroot;
  const kept = kernelDirectoriesOf([deployments.menu]);
  const dropped = [...kernelDirectoriesOf([deployments.stagedMenu])].filter((directory) => !kept.has(directory));
  const freeBytes =
    files.space(esp).freeBytes + dropped.reduce((sum, directory) => sum + kernelBytesOn(files, esp, directory), 0);
  const required = kernelSizeBytes(kernel) + ESP_MARGIN_BYTES;
  if (freeBytes >= required) return;
  throw new Failure(
    "no-space",
    `Insufficient free space for ${name} (available: ${formatBytes(freeBytes)} required: ${formatBytes(required)}) on the EFI system partition`,
    { hint: "kernels of deployments that are in the menu stay; remove other files from the partition" },
  );
}
