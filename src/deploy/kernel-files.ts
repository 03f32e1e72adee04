/**
 * Kernel and initrd of a deployment on the ESP. Deployments with the same two files share a directory (FAT has no links), so the name
 * of a directory says nothing about who needs it: only the entries do.
 */
import { createHash } from "node:crypto";
import { bootDirectoryName, isBootDirectoryName } from "../boot/entry-name.ts";
import type { Files } from "../host/host.ts";
import type { Store } from "../store/store.ts";
import type { KernelFiles } from "./deployment-tree.ts";
import { KERNELS } from "./layout.ts";
import { readContent } from "./write-tree.ts";

/** Lower-case hex of sha256 over kernel, then initrd: what tells that two deployments can share them. */
export function kernelDigest(files: Files, store: Pick<Store, "objectPath">, kernel: KernelFiles): string {
  return createHash("sha256")
    .update(readContent(files, store, kernel.vmlinuz))
    .update(readContent(files, store, kernel.initramfs))
    .digest("hex");
}

export function kernelSizeBytes(kernel: KernelFiles): number {
  return kernel.vmlinuz.size + kernel.initramfs.size;
}

/** Writes both files to a directory of the deployment's name, over what an interrupted command left. Returns the name. Not synced. */
export function writeKernel(
  files: Files,
  options: {
    readonly esp: string;
    readonly id: string;
    readonly store: Pick<Store, "objectPath">;
    readonly kernel: KernelFiles;
  },
): string {
  const name = bootDirectoryName(options.id);
  const directory = `${options.esp}/${KERNELS}/${name}`;
  files.remove(directory);
  files.makeDirectory(directory);
  for (const [leaf, target] of [
    [options.kernel.vmlinuz, "vmlinuz"],
    [options.kernel.initramfs, "initrd"],
  ] as const) {
    // Not files.copy(): FAT would take an object's mode 0444 as its read-only attribute.
    files.write(`${directory}/${target}`, readContent(files, options.store, leaf));
  }
  return name;
}

/** Is this directory there, with files of the right sizes? */
export function hasKernel(files: Files, esp: string, name: string, kernel: KernelFiles): boolean {
  const size = (file: string): number | undefined => files.lstat(`${esp}/${KERNELS}/${name}/${file}`)?.size;
  return size("vmlinuz") === kernel.vmlinuz.size && size("initrd") === kernel.initramfs.size;
}

/** What the two files of a directory take; 0 when it is not there. */
export function kernelBytesOn(files: Files, esp: string, name: string): number {
  const size = (file: string): number => files.lstat(`${esp}/${KERNELS}/${name}/${file}`)?.size ?? 0;
  return size("vmlinuz") + size("initrd");
}

/**
 * Removes kernel directories that no entry names; other people's files below EFI/Linux stay. Returns the names. Durable when it
 * returns: FAT has no journal, and clusters that are used again must belong to nobody on the disk before.
 */
export function removeUnusedKernels(files: Files, esp: string, used: ReadonlySet<string>): string[] {
  const unused = files.listIfAny(`${esp}/${KERNELS}`).filter((name) => isBootDirectoryName(name) && !used.has(name));
  for (const name of unused) files.remove(`${esp}/${KERNELS}/${name}`);
  if (unused.length > 0) files.syncFileSystem(esp);
  return unused;
}
