/**
 * The commit point: the staged menu takes the place of the menu in one renameat2(RENAME_EXCHANGE). Before it the machine boots as
 * before, after it as staged, for systemd-boot and GRUB alike.
 *
 * FAT has no journal. The exchange swaps the first clusters in two directory entries; both lie in one sector of `loader`, as long as
 * that directory is as small as it should be, and a sector is written whole. Where they do not, a power cut can leave both names on
 * one directory; removing one would then empty the other, so that is looked for before every removal.
 */
import { Failure } from "../core/failure.ts";
import type { Files } from "../host/host.ts";
import { MENU, STAGED_MENU } from "./layout.ts";
import { type MenuEntry, writeMenu } from "./menu.ts";

/** Writes the staged menu over what was there. Durable when it returns. */
export function writeStagedMenu(files: Files, esp: string, ranked: readonly MenuEntry[]): void {
  refuseSharedMenu(files, esp);
  files.remove(`${esp}/${STAGED_MENU}`);
  writeMenu(files, `${esp}/${STAGED_MENU}`, ranked);
  files.syncFileSystem(esp);
}

/** Exchanges the menus. Durable when it returns; the former menu is left under the staged name. */
export function exchangeMenus(files: Files, esp: string): void {
  files.exchange(`${esp}/${STAGED_MENU}`, `${esp}/${MENU}`);
  files.sync(`${esp}/loader`);
  files.syncFileSystem(esp);
}

/** Removes the former menu. Failure "corrupt" when it is the menu itself. */
export function removeStagedMenu(files: Files, esp: string): void {
  refuseSharedMenu(files, esp);
  files.remove(`${esp}/${STAGED_MENU}`);
  files.syncFileSystem(esp);
}

/** On FAT a file's inode stands for the place of its directory entry: the same inode below two directories is the same entry. */
function refuseSharedMenu(files: Files, esp: string): void {
  const inode = (directory: string, name: string): number | undefined =>
    files.lstat(`${esp}/${directory}/${name}`)?.ino;
  for (const name of files.listIfAny(`${esp}/${STAGED_MENU}`)) {
    if (inode(MENU, name) !== inode(STAGED_MENU, name)) continue;
    throw new Failure(
      "corrupt",
      `Cannot change the boot menu: "${MENU}" and "${STAGED_MENU}" on the EFI system partition are one directory`,
      { hint: "the system still boots; repair the partition with `fsck.vfat -a` while it is not mounted" },
    );
  }
}
