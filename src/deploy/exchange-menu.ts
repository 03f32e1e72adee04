/**
 * The commit point: the staged menu takes the place of the menu in one renameat2(RENAME_EXCHANGE). Before it the machine boots as
 * before, after it as staged, for systemd-boot and GRUB alike.
 */
import type { Files } from "../host/host.ts";
import { MENU, STAGED_MENU } from "./layout.ts";
import { type MenuEntry, writeMenu } from "./menu.ts";

/** Writes the staged menu over what was there. Durable when it returns. */
export function writeStagedMenu(files: Files, esp: string, ranked: readonly MenuEntry[]): void {
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

/** Removes the former menu. */
export function removeStagedMenu(files: Files, esp: string): void {
  files.remove(`${esp}/${STAGED_MENU}`);
  files.syncFileSystem(esp);
}
