/**
 * A small Debian package of ours that stands for the initramfs generator which kernel packages depend on, so that none of
 * Debian's is installed (they would put files under /boot at each kernel or systemd change). Its hook lets a kernel that a
 * Containerfile installs end up where an image-mode machine boots from. Served to apt as a repository in a directory.
 *
 * @see deb(5); Debian kernel handbook, "Kernel hooks"
 */
import { digestOf } from "../../core/digest.ts";
import type { Host } from "../../host/host.ts";

export const KERNEL_PACKAGE = "berth-kernel";

const CONTROL = `Package: ${KERNEL_PACKAGE}
Version: 1
Architecture: all
Maintainer: berth <root@localhost>
Section: admin
Priority: optional
Provides: linux-initramfs-tool
Conflicts: linux-initramfs-tool
Description: kernel and initramfs of image-mode machines
 Puts each kernel that is installed into /usr/lib/modules/<version>/vmlinuz, with an
 initramfs that mounts a composefs root beside it.
`;

const HOOK = `#!/bin/sh
set -e
version=$1
[ -n "$version" ] || exit 0
# While the base image is made berth is not there yet: the builder does this itself.
[ -x /usr/bin/berth ] || exit 0
exec /usr/bin/berth base kernel "$version"
`;

/** Writes package and index into `directory`; returns the line for sources.list. */
export async function writeKernelPackage(
  host: Pick<Host, "files" | "exec">,
  directory: string,
  options: { epochSec: number; signal?: AbortSignal | undefined },
): Promise<string> {
  const { files } = host;
  const tree = `${directory}/tree`;
  files.makeDirectory(`${tree}/DEBIAN`);
  files.makeDirectory(`${tree}/etc/kernel/postinst.d`);
  files.write(`${tree}/DEBIAN/control`, CONTROL, { mode: 0o644 });
  files.write(`${tree}/etc/kernel/postinst.d/zz-berth`, HOOK, { mode: 0o755 });
  const name = `${KERNEL_PACKAGE}.deb`;
  await host.exec(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, `${directory}/${name}`], {
    timeoutMs: 60_000,
    signal: options.signal,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", SOURCE_DATE_EPOCH: String(options.epochSec) },
  });
  const content = files.read(`${directory}/${name}`);
  const sha256 = digestOf(content).slice("sha256:".length);
  files.write(`${directory}/Packages`, `${CONTROL}Filename: ./${name}\nSize: ${content.length}\nSHA256: ${sha256}\n`, {
    mode: 0o644,
  });
  // The world-readable path that apt's unprivileged user needs.
  for (const path of [directory, tree]) files.chmod(path, 0o755);
  return `deb [trusted=yes] copy:${directory} ./`;
}
