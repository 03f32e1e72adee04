/**
 * Menu: the boot entries of the ESP, which are the database of deployments: what has no entry does not exist.
 *
 * An entry that cannot be read, or that boots something else, is reported and skipped: status and switch keep working beside it.
 */
import {
  baseName,
  type BlsEntry,
  compareEntries,
  formatBlsEntry,
  type NamedEntry,
  parseBlsEntry,
} from "../boot/bls.ts";
import { joinCommandLine, readComposefs, splitCommandLine, withComposefs } from "../boot/cmdline.ts";
import { bootDirectoryName, entryFileName, sortKey } from "../boot/entry-name.ts";
import { formatGrubConfig, GRUB_CONFIG } from "../boot/grub.ts";
import { type OsRelease, osId, osTitle, osVersion } from "../boot/os-release.ts";
import { isFailure } from "../core/failure.ts";
import type { Files } from "../host/host.ts";
import { KERNELS } from "./layout.ts";

export interface MenuEntry {
  /** Deployment. */
  readonly id: string;
  readonly verityOptional: boolean;
  /** Name below EFI/Linux; undefined for a UKI. */
  readonly kernelDirectory: string | undefined;
  readonly named: NamedEntry;
}

export interface Menu {
  /** In the boot loader's order, default first. */
  readonly entries: readonly MenuEntry[];
  /** One line for each file that was skipped. */
  readonly problems: readonly string[];
  /** false: some file could not be parsed, so a deployment may be missing here. */
  readonly readable: boolean;
}

/** Reads `<esp>/<directory>`; empty when it is missing. */
export function readMenu(files: Files, esp: string, directory: string): Menu {
  const entries: MenuEntry[] = [];
  const problems: string[] = [];
  let readable = true;
  for (const name of files.listIfAny(`${esp}/${directory}`)) {
    if (!name.endsWith(".conf")) continue;
    try {
      const entry = parseBlsEntry(files.readText(`${esp}/${directory}/${name}`));
      const parameter = readComposefs(splitCommandLine(entry.options));
      if (parameter === undefined) {
        problems.push(`Boot entry ${directory}/${name} names no deployment: skipped`);
        continue;
      }
      const kernelDirectory = entry.linux === undefined ? undefined : KERNEL_PATH.exec(entry.linux)?.[1];
      entries.push({
        id: parameter.id,
        verityOptional: parameter.verityOptional,
        kernelDirectory,
        named: { name, entry },
      });
    } catch (error) {
      if (!(error instanceof SyntaxError || isFailure(error))) throw error;
      problems.push(`Boot entry ${directory}/${name} cannot be read: ${error.message}`);
      readable = false;
    }
  }
  entries.sort((left, right) => compareEntries(left.named, right.named));
  return { entries, problems, readable };
}

export interface NewEntry {
  readonly id: string;
  readonly verityOptional: boolean;
  readonly release: OsRelease;
  /** Name below EFI/Linux. */
  readonly kernelDirectory: string;
  /** All kernel arguments but `composefs=`. */
  readonly options: readonly string[];
}

/** The entry of a new deployment, as primary. */
export function createEntry(fresh: NewEntry): MenuEntry {
  const { id, verityOptional, release, kernelDirectory } = fresh;
  const entry: BlsEntry = {
    title: osTitle(release),
    version: osVersion(release) ?? id,
    machineId: undefined,
    sortKey: sortKey(osId(release), "primary"),
    linux: `/${KERNELS}/${kernelDirectory}/vmlinuz`,
    initrd: [`/${KERNELS}/${kernelDirectory}/initrd`],
    options: joinCommandLine(withComposefs(fresh.options, { id, verityOptional })),
    extras: [],
  };
  return { id, verityOptional, kernelDirectory, named: { name: entryFileName(release, id, "primary"), entry } };
}

/** The same deployments in a new order: the first becomes the default of every boot loader. */
export function rankEntries(entries: readonly MenuEntry[]): MenuEntry[] {
  const primary = entries[0];
  if (primary === undefined) return [];
  const group = groupOf(primary);
  return entries.map((entry, i) => {
    const rank = i === 0 ? "primary" : "secondary";
    const base = baseName(entry.named.name).replace(/-[01]$/, "");
    // Past the second, names must still differ and sort last.
    const name = i < 2 ? `${base}-${i === 0 ? 1 : 0}.conf` : `${base}-0.${entries.length - i}.conf`;
    const key = i < 2 ? sortKey(group, rank) : `${sortKey(group, rank)}.${i}`;
    return { ...entry, named: { name, entry: { ...entry.named.entry, sortKey: key } } };
  });
}

/** Writes the menu for both boot loaders into a directory that must not exist. Synced by the caller. */
export function writeMenu(files: Files, directory: string, ranked: readonly MenuEntry[]): void {
  files.makeDirectory(directory);
  for (const { named } of ranked) files.write(`${directory}/${named.name}`, formatBlsEntry(named.entry));
  files.write(`${directory}/${GRUB_CONFIG}`, formatGrubConfig(ranked.map((entry) => entry.named)));
}

/** Names below EFI/Linux that some entry boots from. */
export function kernelDirectoriesOf(menus: readonly Menu[]): Set<string> {
  return new Set(
    menus.flatMap((menu) => menu.entries.map((entry) => entry.kernelDirectory ?? bootDirectoryName(entry.id))),
  );
}

const KERNEL_PATH = /^\/EFI\/Linux\/([^/]+)\/[^/]+$/;

/** What stands in the sort-key between `bootc-` and the rank. */
function groupOf(entry: MenuEntry): string {
  return /^bootc-(.+?)-[01](?:\.\d+)?$/.exec(entry.named.entry.sortKey ?? "")?.[1] ?? "bootc";
}
