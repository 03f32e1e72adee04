/**
 * What a deployment's image says about itself: its kernel, its os-release, the kernel arguments that it wants. Read from the EROFS
 * image in the store; nothing is mounted.
 */
import type { ByteName } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { type OsRelease, parseOsRelease } from "../boot/os-release.ts";
import { kargsFor, parseKargsFile } from "../boot/kargs-d.ts";
import { readErofs, type ReadErofsOptions } from "../format/erofs/read.ts";
import type { Files } from "../host/host.ts";
import type { Store } from "../store/store.ts";
import { createDirectory, type Directory, type FileLeaf, NO_XATTRS } from "../tree/node.ts";
import { resolve } from "../tree/walk.ts";
import { readContent } from "./write-tree.ts";

export interface KernelFiles {
  /** The name below usr/lib/modules. */
  readonly version: string;
  readonly vmlinuz: FileLeaf;
  readonly initramfs: FileLeaf;
}

/** Failure "not-found" when the image is not in the store, "corrupt" when it cannot be read. */
export function readDeploymentTree(store: Store, id: string): Directory {
  return readTree(store, id, {});
}

/** The parts that staging looks at: /etc, the kernels without their modules, os-release, kargs.d. Failures as above. */
export function readBootTree(store: Store, id: string): Directory {
  return readTree(store, id, { keep: isPartOfBoot });
}

function isPartOfBoot(path: string): boolean {
  if (path === "/" || path === "/usr" || path === "/usr/lib") return true;
  return /^\/(etc|usr\/lib\/bootc|usr\/lib\/modules)(\/|$)/.test(path) && !/^\/usr\/lib\/modules\/[^/]+\/./.test(path);
}

function readTree(store: Store, id: string, options: ReadErofsOptions): Directory {
  const bytes = store.readImage(id);
  try {
    return readErofs(bytes, options);
  } catch (error) {
    throw new Failure("corrupt", `Cannot read image "${id}": it is no valid EROFS image`, { cause: error });
  }
}

/** The directory at `path`, or an empty one. */
export function findDirectory(tree: Directory, path: string): Directory {
  const node = resolve(tree, path);
  return node?.kind === "directory"
    ? node
    : createDirectory({ mode: 0o755, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, xattrs: NO_XATTRS });
}

/** The one usr/lib/modules/<kver> that holds vmlinuz and initramfs.img. Failure "bad-input" when none or several do. */
export function findKernel(tree: Directory, image: string): KernelFiles {
  const found: KernelFiles[] = [];
  for (const [version, modules] of findDirectory(tree, "usr/lib/modules").children) {
    if (modules.kind !== "directory") continue;
    const vmlinuz = modules.children.get("vmlinuz" as ByteName);
    if (vmlinuz?.kind !== "file") continue;
    const initramfs = modules.children.get("initramfs.img" as ByteName);
    if (initramfs?.kind !== "file") throw notBootable(image, `usr/lib/modules/${version} has no initramfs.img`);
    found.push({ version, vmlinuz, initramfs });
  }
  const [kernel, ...others] = found;
  if (kernel === undefined) throw notBootable(image, "it has no usr/lib/modules/*/vmlinuz");
  if (others.length > 0)
    throw notBootable(image, `it has several kernels: ${found.map((one) => one.version).join(", ")}`);
  for (const [name, leaf] of [
    ["vmlinuz", kernel.vmlinuz],
    ["initramfs.img", kernel.initramfs],
  ] as const) {
    if (leaf.size === 0) throw notBootable(image, `its usr/lib/modules/${kernel.version}/${name} is empty`);
  }
  return kernel;
}

/** Where the initramfs and systemd mount something before anything can be made on the read-only root. */
const MOUNT_POINTS = ["dev", "etc", "proc", "run", "sys", "sysroot", "var"];

/** Failure "bad-input" for an image that has no kernel, or whose root lacks a directory without which no boot gets far. */
export function checkBootable(tree: Directory, image: string): KernelFiles {
  const kernel = findKernel(tree, image);
  const missing = MOUNT_POINTS.find((name) => tree.children.get(name as ByteName)?.kind !== "directory");
  if (missing !== undefined) throw notBootable(image, `it has no directory /${missing} to mount on`);
  return kernel;
}

/** Empty when the image has none. */
export function readOsRelease(tree: Directory, store: Store, files: Files): OsRelease {
  const leaf = resolve(tree, "usr/lib/os-release") ?? resolve(tree, "etc/os-release");
  return leaf?.kind === "file" ? parseOsRelease(readContent(files, store, leaf).toString("utf8")) : {};
}

/** What usr/lib/bootc/kargs.d asks for on this architecture. Failure "bad-input" for a malformed file. */
export function readKargs(tree: Directory, store: Store, options: { files: Files; architecture: string }): string[] {
  const directory = findDirectory(tree, "usr/lib/bootc/kargs.d");
  const names = [...directory.children.keys()].filter((name) => name.endsWith(".toml")).sort();
  const files = names.flatMap((name) => {
    const leaf = directory.children.get(name);
    if (leaf?.kind !== "file") return [];
    try {
      return [
        parseKargsFile(readContent(options.files, store, leaf).toString("utf8"), `usr/lib/bootc/kargs.d/${name}`),
      ];
    } catch (error) {
      if (error instanceof SyntaxError) throw new Failure("bad-input", error.message, { cause: error });
      throw error;
    }
  });
  return kargsFor(files, options.architecture);
}

function notBootable(image: string, why: string): Failure {
  return new Failure("bad-input", `Cannot deploy image "${image}": ${why}`, {
    hint: "it is not bootable; build it FROM a base made by `berth base build`",
  });
}
