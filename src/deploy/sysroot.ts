/**
 * openSysroot(): the booted machine, opened for reading or for a change.
 *
 * Invariant: /sysroot and the ESP become writable only inside a mount namespace of this program's own; nobody else ever sees them
 * writable or mounted. One change at a time: a lock on the physical root is held until disposal.
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { isReadOnlyMedium, lastMount, requireBooted } from "./environment.ts";
import { findEsp } from "./esp.ts";
import { LOCK, PHYSICAL_ROOT } from "./layout.ts";

export interface Sysroot extends Disposable {
  /** Physical root. */
  readonly path: string;
  /** The mounted ESP. */
  readonly esp: string;
  readonly bootedId: string;
}

/** Failures of requireBooted(), "busy" while another command changes the machine, "unsupported" on a read-only medium. */
export async function openSysroot(host: Host, options: { access: "read" | "write"; wait?: boolean }): Promise<Sysroot> {
  const bootedId = requireBooted(host);
  const { files, mounts } = host;
  if (options.access === "write" && isReadOnlyMedium(mounts.list())) {
    throw new Failure(
      "unsupported",
      "Cannot perform this operation: /sysroot is on a read-only block device (e.g. a live ISO)",
    );
  }
  mounts.isolate();
  using resources = new DisposableStack();
  if (options.access === "write") {
    mounts.remount(PHYSICAL_ROOT, "read-write");
    resources.use(lockSysroot(files, options.wait ?? false));
  }
  const source = lastMount(mounts.list(), PHYSICAL_ROOT)?.source ?? "";
  const device = await findEsp(host, { path: PHYSICAL_ROOT, source });
  const mounted = mounts.list().findLast((mount) => mount.source === device && mount.type === "vfat");
  let esp = mounted?.target;
  if (esp === undefined || options.access === "write") {
    const directory = resources.use(files.temporaryDirectory("/run/berth-esp-"));
    resources.use(
      mounts.mount({
        type: "vfat",
        source: device,
        target: directory.path,
        data: "fmask=0177,dmask=0077",
        readOnly: options.access === "read",
      }),
    );
    esp = directory.path;
  }
  const owned = resources.move();
  return { path: PHYSICAL_ROOT, esp, bootedId, [Symbol.dispose]: () => owned.dispose() };
}

function lockSysroot(files: Host["files"], wait: boolean): Disposable {
  try {
    return files.lock(`${PHYSICAL_ROOT}/${LOCK}`, "exclusive", { wait });
  } catch (error) {
    if (!isFailure(error, "busy")) throw error;
    throw new Failure("busy", "Cannot change this system: another berth command is changing it", {
      hint: "wait for it to end; `berth status` works meanwhile",
      cause: error,
    });
  }
}
