/** mountUsrOverlay(): a tmpfs-backed overlay over the image's /usr, for everybody, until the reboot. */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { detectEnvironment, readUsrOverlay, requireRoot, USR_OVERLAY_SOURCE } from "./environment.ts";
import type { UsrOverlay } from "./host-object.ts";

export interface UsrOverlayResult {
  readonly accessMode: UsrOverlay["accessMode"];
  /** false: there was one already. */
  readonly mounted: boolean;
}

/** Failures "not-a-host", "not-root". */
export function mountUsrOverlay(
  host: Pick<Host, "files" | "mounts" | "env" | "user">,
  accessMode: UsrOverlay["accessMode"],
): UsrOverlayResult {
  if (detectEnvironment(host).kind !== "booted")
    throw new Failure("not-a-host", "usroverlay only applies on booted hosts");
  requireRoot(host);
  const present = readUsrOverlay(host.mounts.list());
  if (present !== undefined) return { accessMode: present.accessMode, mounted: false };
  const { files, mounts } = host;
  using scratch = files.temporaryDirectory("/run/berth-usr-");
  mounts.tmpfs(scratch.path);
  try {
    const upper = `${scratch.path}/upper`;
    const work = `${scratch.path}/work`;
    files.makeDirectory(upper, { mode: 0o755 });
    files.makeDirectory(work, { mode: 0o700 });
    mounts.overlay(
      { source: USR_OVERLAY_SOURCE, lower: ["/usr"], upper, work, readOnly: accessMode === "readOnly" },
      "/usr",
    );
  } finally {
    // The overlay holds the tmpfs; its own mount point is not needed any more.
    mounts.unmount(scratch.path, { detach: true });
  }
  return { accessMode, mounted: true };
}
