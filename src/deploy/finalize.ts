/**
 * finalize(): at shutdown, makes the staged deployment the default. /etc is merged again from the live files, so that edits made
 * after staging are not lost; then /etc and menus are exchanged. When the merge has conflicts, the machine boots what it runs now.
 */
import { Failure } from "../core/failure.ts";
import type { Progress } from "../core/progress.ts";
import type { Host } from "../host/host.ts";
import { cleanUp } from "./cleanup.ts";
import { exchangeMenus, removeStagedMenu } from "./exchange-menu.ts";
import { readBootTree } from "./deployment-tree.ts";
import { nextEtcPath } from "./layout.ts";
import { type Machine, openMachine } from "./machine.ts";
import { missingPart } from "./missing-part.ts";
import { mergeLiveEtc, settleNextEtc, swapNextEtc } from "./next-etc.ts";
import { readStaged, removeStaged } from "./staged-file.ts";
import { writeTree } from "./write-tree.ts";

export type Finalized =
  | { readonly kind: "nothing" }
  | { readonly kind: "locked"; readonly id: string }
  | { readonly kind: "finalized"; readonly id: string };

/** Opens the machine only when there is something to do. */
export async function finalizeHost(host: Host, progress: Progress): Promise<Finalized> {
  if (readStaged(host.files) === undefined) return { kind: "nothing" };
  using machine = await openMachine(host, { access: "write", wait: true, progress });
  return finalize(machine);
}

/** Failures "conflict" and "corrupt": nothing has changed. */
export function finalize(machine: Machine): Finalized {
  const { host, store, sysroot } = machine;
  const { files } = host;
  const { staged, menu } = cleanUp(machine, { keepStaged: true });
  if (staged === undefined) return { kind: "nothing" };
  const { id } = staged;
  if (staged.locked) return { kind: "locked", id };
  const missing = missingPart(files, sysroot, staged.entry);
  if (missing !== undefined) {
    throw new Failure("corrupt", `Cannot boot deployment "${id}" next: "${missing}" is missing`, {
      hint: "what runs now stays the default; give the upgrade or switch again",
    });
  }
  const isDefault = menu.entries[0]?.id === id;
  const trees = { booted: readBootTree(store, sysroot.bootedId), next: readBootTree(store, id) };
  const etc = mergeLiveEtc({ host, store, sysroot: sysroot.path, bootedId: sysroot.bootedId }, trees);

  settleNextEtc(files, sysroot.path, { id, isDefault });
  const next = nextEtcPath(sysroot.path, id);
  writeTree(etc.merged, next, { host, store });
  swapNextEtc(files, sysroot.path, id);
  exchangeMenus(files, sysroot.esp);

  removeStaged(files);
  removeStagedMenu(files, sysroot.esp);
  settleNextEtc(files, sysroot.path, { id, isDefault: true });
  files.syncFileSystem(sysroot.path);
  return { kind: "finalized", id };
}
