/**
 * Names of boot entries. Boot loaders sort in opposite ways, so both ways are written into every entry: GRUB's blscfg takes the file
 * name as an RPM name-version-release and sorts descending, systemd-boot takes `sort-key` and sorts ascending.
 *
 * The sort-keys of all entries of one menu share the primary's ID: with two IDs (a switch to another distribution) the ID would
 * outrank the order that was asked for.
 */
import { type OsRelease, osId, osVersion } from "./os-release.ts";

/** primary: what boots by default. secondary: what it falls back to. */
export type EntryRank = "primary" | "secondary";

/** Directory of a deployment's kernel and initrd, below EFI/Linux; shared by deployments with the same files. */
export function bootDirectoryName(deploymentId: string): string {
  return `bootc_composefs-${deploymentId}`;
}

export function isBootDirectoryName(name: string): boolean {
  return /^bootc_composefs-[0-9a-f]{128}$/.test(name);
}

/** `bootc_<ID>-<version>-<1 or 0>.conf`; `-` in the ID becomes `_` because `-` separates name, version and release. */
export function entryFileName(release: OsRelease, deploymentId: string, rank: EntryRank): string {
  const safe = (text: string): string => text.replace(/[^A-Za-z0-9._~^]/g, "_");
  const version = osVersion(release) ?? deploymentId;
  return `bootc_${safe(osId(release))}-${safe(version)}-${rank === "primary" ? 1 : 0}.conf`;
}

/** `primaryId` is the os-release ID of the menu's primary entry. */
export function sortKey(primaryId: string, rank: EntryRank): string {
  return `bootc-${primaryId}-${rank === "primary" ? 0 : 1}`;
}
