/**
 * What kind of system this is: a container, a machine booted from a deployment, or something else; read from the mount table.
 *
 * The booted deployment is what the root's mount source says. /proc/cmdline is not asked: it lies after a soft reboot.
 */
import { Failure } from "../core/failure.ts";
import type { Host, MountInfo } from "../host/host.ts";
import type { Bootloader, UsrOverlay } from "./host-object.ts";
import { isDeploymentId, PHYSICAL_ROOT } from "./layout.ts";

export type Environment =
  | { readonly kind: "container" }
  | { readonly kind: "booted"; readonly bootedId: string }
  | { readonly kind: "other" };

export function detectEnvironment(host: Pick<Host, "files" | "mounts" | "env">): Environment {
  const { files } = host;
  if (host.env["container"] !== undefined || CONTAINER_MARKS.some((path) => files.exists(path)))
    return { kind: "container" };
  const root = lastMount(host.mounts.list(), "/");
  const id = /^(?:composefs:|transient:composefs=)([0-9a-f]+)$/.exec(root?.source ?? "")?.[1];
  return id !== undefined && isDeploymentId(id) ? { kind: "booted", bootedId: id } : { kind: "other" };
}

/** The booted deployment's id, for commands that change the machine. Failure in bootc's words otherwise. */
export function requireBooted(host: Pick<Host, "files" | "mounts" | "env" | "user">): string {
  const environment = detectEnvironment(host);
  if (environment.kind === "container") {
    throw new Failure("in-container", "Detected container; this command requires a booted host system.", {
      hint: "in a container nothing is deployed: run it on the machine itself",
    });
  }
  requireRoot(host);
  if (environment.kind === "other") {
    throw new Failure("not-a-host", "System not booted via bootc", {
      hint: "only machines installed from an image by berth or bootc can do this; make one with `berth disk`",
    });
  }
  return environment.bootedId;
}

export function requireRoot(host: Pick<Host, "user">): void {
  if (host.user.uid !== 0)
    throw new Failure("not-root", "This command must be executed as the root user", { hint: "run it with sudo" });
}

/** The mount that is on top at `target`. */
export function lastMount(mounts: readonly MountInfo[], target: string): MountInfo | undefined {
  return mounts.findLast((mount) => mount.target === target);
}

/** The overlay that `usr-overlay` has put on /usr. */
export function readUsrOverlay(mounts: readonly MountInfo[]): UsrOverlay | undefined {
  const mount = lastMount(mounts, "/usr");
  if (mount?.type !== "overlay") return undefined;
  return {
    accessMode: mount.options.split(",").includes("rw") ? "readWrite" : "readOnly",
    persistence: mount.source === USR_OVERLAY_SOURCE ? "transient" : "persistent",
  };
}

export const USR_OVERLAY_SOURCE = "transient";

/** The physical root's file system itself is read-only, as on a live ISO; the mount is read-only always. */
export function isReadOnlyMedium(mounts: readonly MountInfo[]): boolean {
  return lastMount(mounts, PHYSICAL_ROOT)?.superOptions.split(",").includes("ro") ?? false;
}

/** By what the boot loader left in EFI variables; no EFI means GRUB. */
export function detectBootloader(files: Host["files"]): Bootloader {
  if (!files.exists(LOADER_INFO)) return "grub";
  // Four bytes of attributes, then UTF-16.
  return files.read(LOADER_INFO).subarray(4).toString("utf16le").includes("systemd-boot") ? "systemd" : "grub";
}

const LOADER_INFO = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const CONTAINER_MARKS = ["/run/.containerenv", "/.dockerenv", "/run/systemd/container"];
