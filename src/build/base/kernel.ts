/** installKernel(): a kernel that a package put under /boot goes beside its modules, with an initramfs. */
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import { buildInitramfs } from "./initramfs/build-initramfs.ts";

export interface InstalledKernel {
  readonly version: string;
  readonly vmlinuz: string;
  readonly initramfs: string;
  /** Bytes. */
  readonly initramfsSize: number;
}

const BOOT_FILES = ["vmlinuz", "initrd.img", "config", "System.map"];

/** `root` is a directory of this host, without a trailing slash; empty for the system that runs. */
export async function installKernel(
  host: Pick<Host, "files" | "exec" | "cores">,
  options: { root: string; version: string; signal?: AbortSignal | undefined },
): Promise<InstalledKernel> {
  const { root, version } = options;
  if (!/^[A-Za-z0-9][A-Za-z0-9.+~_-]*$/.test(version))
    throw new Failure("usage", `Cannot install kernel "${version}": wanted a kernel version`);
  const modules = `${root}/usr/lib/modules/${version}`;
  const inBoot = `${root}/boot/vmlinuz-${version}`;
  const vmlinuz = `${modules}/vmlinuz`;
  if (!host.files.exists(`${modules}/modules.dep`)) {
    throw new Failure(
      "not-found",
      `Cannot install kernel "${version}": "${modules}" has no modules.dep, wanted an installed kernel`,
    );
  }
  if (!host.files.exists(inBoot) && !host.files.exists(vmlinuz)) {
    throw new Failure("not-found", `Cannot install kernel "${version}": neither "${inBoot}" nor "${vmlinuz}" is there`);
  }
  const image = await buildInitramfs(host, { root, kernelVersion: version, signal: options.signal });
  if (host.files.exists(inBoot)) host.files.replace(vmlinuz, host.files.read(inBoot), { mode: 0o644 });
  host.files.replace(`${modules}/initramfs.img`, image, { mode: 0o644 });
  for (const name of BOOT_FILES) host.files.remove(`${root}/boot/${name}-${version}`);
  return { version, vmlinuz, initramfs: `${modules}/initramfs.img`, initramfsSize: image.length };
}
