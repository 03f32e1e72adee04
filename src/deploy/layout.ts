/**
 * Where things are: the physical root of a machine (/sysroot when booted) and its ESP, as bootc's composefs backend lays them out.
 *
 *   <sysroot>/composefs                              the store
 *   <sysroot>/state/deploy/<id>/{etc/, var, <id>.origin}
 *   <sysroot>/state/os/default/var                   the one /var
 *   <esp>/EFI/Linux/bootc_composefs-<id>/{vmlinuz,initrd}
 *   <esp>/loader/entries/{*.conf,grub.cfg}           the menu: what exists is what stands here
 *   <esp>/loader/entries.staged/                     the menu of the next boot, until it is exchanged with `entries`
 *   /run/composefs/staged-deployment                 makes it staged; gone after a crash
 */
import type { Digest } from "../core/digest.ts";

export const PHYSICAL_ROOT = "/sysroot";
export const STAGED_FILE = "/run/composefs/staged-deployment";
export const MENU = "loader/entries";
export const STAGED_MENU = "loader/entries.staged";
export const KERNELS = "EFI/Linux";
/** Held exclusively by every command that changes something. */
export const LOCK = "state/berth.lock";

export function storePath(sysroot: string): string {
  return `${sysroot}/composefs`;
}

export function deploymentsPath(sysroot: string): string {
  return `${sysroot}/state/deploy`;
}

export function deploymentPath(sysroot: string, id: string): string {
  return `${sysroot}/state/deploy/${id}`;
}

export function etcPath(sysroot: string, id: string): string {
  return `${deploymentPath(sysroot, id)}/etc`;
}

/**
 * The next /etc of a deployment that has one already (the rollback deployment staged again), and of every deployment while it is
 * finalised: it takes the place of `etc` together with the exchange of the menus.
 */
export function nextEtcPath(sysroot: string, id: string): string {
  return `${deploymentPath(sysroot, id)}/etc.next`;
}

export function originPath(sysroot: string, id: string): string {
  return `${deploymentPath(sysroot, id)}/${id}.origin`;
}

export function varPath(sysroot: string): string {
  return `${sysroot}/state/os/default/var`;
}

/** What `state/deploy/<id>/var` points to. */
export const VAR_LINK = "../../os/default/var";

/** The name in the store that keeps a deployment's image alive. */
export function deploymentTag(digest: Digest): string {
  return `${DEPLOYMENT_TAG_PREFIX}${digest}`;
}

export const DEPLOYMENT_TAG_PREFIX = "localhost/bootc-";

export function isDeploymentId(text: string): boolean {
  return /^[0-9a-f]{128}$/.test(text);
}
