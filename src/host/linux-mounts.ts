/**
 * Mounts of the real host. Mounts are made through a file system context (fsopen, fsconfig), which takes any byte in a path; where
 * the kernel has no such call, or no data-only layers there, mount(2) with escaped options is the fallback.
 *
 * Invariant: a Mount that was returned is mounted until unmount() or disposal, and an unmount that fails is an error.
 *
 * @see linux Documentation/filesystems/overlayfs.rst ("Data-only lower layers"), erofs.rst
 */
import { spawnSync } from "node:child_process";
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { systemFailure } from "./errors.ts";
import type { Mount, Mounts, OverlayOptions } from "./host.ts";
import { readMountInfo } from "./linux-mountinfo.ts";
import * as syscall from "./syscall.ts";
import type { MountParameter } from "./syscall.ts";

const { MOUNT_FLAGS } = syscall;

export function createLinuxMounts(): Mounts {
  return {
    erofs: mountErofs,
    overlay: mountOverlay,
    bind: mountBind,
    tmpfs: (target, options = {}) => {
      const data = [
        ...(options.sizeBytes === undefined ? [] : [`size=${options.sizeBytes}`]),
        `mode=${(options.mode ?? 0o755).toString(8)}`,
      ];
      plainMount({ type: "tmpfs", source: "tmpfs", target, data: data.join(","), flags: 0n });
      return mountHandle(target);
    },
    mount: ({ type, source, target, data, readOnly }) => {
      plainMount({
        type,
        source,
        target,
        ...(data !== undefined && { data }),
        flags: readOnly ? MOUNT_FLAGS.readOnly : 0n,
      });
      return mountHandle(target);
    },
    remount: (target, access) => {
      const flags = MOUNT_FLAGS.remount | MOUNT_FLAGS.bind | (access === "read-only" ? MOUNT_FLAGS.readOnly : 0n);
      plainMount({ type: "", source: "", target, flags });
    },
    isolate: syscall.unshareMounts,
    list: readMountInfo,
    unmount: (target, options = {}) => unmount(target, options.detach ?? false),
  };
}

function mountHandle(target: string): Mount {
  let mounted = true;
  const end = (): void => {
    if (!mounted) return;
    unmount(target, false);
    mounted = false;
  };
  return { target, unmount: end, [Symbol.dispose]: end };
}

function unmount(target: string, detach: boolean): void {
  syscall.check(syscall.unmount(target, detach), { call: "unmount", path: target });
}

function plainMount(options: syscall.MountCall): void {
  syscall.check(syscall.mount(options), { call: `mount ${options.type} on`, path: options.target });
}

/** From the image file itself (kernel 6.12 and newer), else through a loop device. */
function mountErofs(image: string, target: string): Mount {
  const direct = syscall.mount({ type: "erofs", source: image, target, flags: MOUNT_FLAGS.readOnly });
  if (direct.errno === "ENOTBLK") {
    const loop = spawnSync("mount", ["-t", "erofs", "-o", "loop,ro", byteNameToText(image), byteNameToText(target)], {
      encoding: "utf8",
    });
    if (loop.status !== 0) {
      throw new Failure(
        "io",
        `Cannot mount erofs ${JSON.stringify(image)} on ${JSON.stringify(target)}: ${
          loop.error?.message ?? loop.stderr.trim()
        }`,
      );
    }
    return mountHandle(target);
  }
  syscall.check(direct, { call: "mount erofs", path: image, other: target });
  return mountHandle(target);
}

/**
 * The context takes each layer by itself (lowerdir+, datadir+; kernel 6.8). Before that, the list of mount(2): `:` separates
 * layers, `::` starts the data-only ones, `\` escapes.
 */
function mountOverlay(options: OverlayOptions, target: string): Mount {
  const readOnly = options.readOnly ?? options.upper === undefined;
  const modern = syscall.mountByContext({ type: "overlay", target, parameters: overlayParameters(options), readOnly });
  if (modern.errno === undefined) return mountHandle(target);
  const unknown = modern.errno === "EINVAL" || modern.errno === "ENOSYS";
  if (!unknown || !/^(?:fsopen|fsconfig (?:lowerdir|datadir)\+)$/.test(modern.step)) {
    throw systemFailure({ call: `mount overlay (${modern.step}) on`, path: target }, modern.errno);
  }
  plainMount({
    type: "overlay",
    source: options.source,
    target,
    flags: readOnly ? MOUNT_FLAGS.readOnly : 0n,
    data: formatOverlayData(options),
  });
  return mountHandle(target);
}

function overlayParameters(options: OverlayOptions): MountParameter[] {
  return [
    ["source", options.source],
    ...options.lower.map((path): MountParameter => ["lowerdir+", path]),
    ...(options.data ?? []).map((path): MountParameter => ["datadir+", path]),
    ...(options.upper === undefined ? [] : [["upperdir", options.upper] as const]),
    ...(options.work === undefined ? [] : [["workdir", options.work] as const]),
    ...overlayFeatures(options),
  ];
}

/** Data-only layers are reached through redirects of metadata-only copies, so they need both. */
function overlayFeatures(options: OverlayOptions): MountParameter[] {
  if (options.data === undefined || options.data.length === 0) return [];
  return [
    ["metacopy", "on"],
    ["redirect_dir", options.upper === undefined ? "follow" : "on"],
    ...(options.verity === true ? [["verity", "require"] as const] : []),
  ];
}

/** The options of mount(2), with the separators in paths escaped. */
export function formatOverlayData(options: OverlayOptions): string {
  const escape = (path: string): string => path.replace(/[\\:,]/g, "\\$&");
  const lower = [options.lower.map(escape).join(":"), ...(options.data ?? []).map(escape)].join("::");
  return [
    `lowerdir=${lower}`,
    ...(options.upper === undefined ? [] : [`upperdir=${escape(options.upper)}`]),
    ...(options.work === undefined ? [] : [`workdir=${escape(options.work)}`]),
    ...overlayFeatures(options).map(([key, value]) => `${key}=${value}`),
  ].join(",");
}

function mountBind(source: string, target: string, options: { readOnly?: boolean; recursive?: boolean } = {}): Mount {
  const recursive = options.recursive === true ? MOUNT_FLAGS.recursive : 0n;
  const made = syscall.mount({ type: "", source, target, flags: MOUNT_FLAGS.bind | recursive });
  syscall.check(made, { call: "bind", path: source, other: target });
  const mount = mountHandle(target);
  if (options.readOnly !== true) return mount;
  try {
    const flags = MOUNT_FLAGS.remount | MOUNT_FLAGS.bind | MOUNT_FLAGS.readOnly;
    plainMount({ type: "", source: "", target, flags });
  } catch (error) {
    mount.unmount();
    throw error;
  }
  return mount;
}
