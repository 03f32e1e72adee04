/**
 * buildInitramfs(): the small initramfs that mounts a deployment's root: the image's static busybox, its fsverity with
 * libraries, the kernel modules of usual disks, and two scripts of ours. No systemd, no udev; a function of the image's files.
 *
 * @see Linux Documentation/filesystems/ramfs-rootfs-initramfs.rst
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { mapConcurrent } from "../../../core/concurrency.ts";
import { Failure } from "../../../core/failure.ts";
import { type CpioEntry, writeNewc } from "../../../format/cpio/newc.ts";
import type { Files, Host } from "../../../host/host.ts";
import { programFile } from "../../../host/program.ts";
import { findLibraries, resolveInImage } from "./libraries.ts";
import { formatSubset, type ModuleIndex, moduleName, parseModuleIndex, plainPath, resolveModules } from "./modules.ts";

export interface InitramfsOptions {
  /** The image's root directory on this host, without a trailing slash; empty for the running system. */
  readonly root: string;
  readonly kernelVersion: string;
  readonly signal?: AbortSignal | undefined;
}

const SCRIPTS = "src/build/base/initramfs";
/** In this order they are loaded on every machine. */
const ALWAYS = ["ext4", "erofs", "overlay", "loop"];
/** Loaded when the hardware asks for them, by their aliases, or by the kernel when a file system is mounted. */
const ON_DEMAND = [
  "crc32c_generic crc32c_intel btrfs xfs",
  "virtio_pci virtio_mmio virtio_blk virtio_scsi virtio_net",
  "sd_mod sr_mod ahci ata_piix ata_generic nvme mmc_block sdhci_pci sdhci_acpi",
  "xhci_pci ehci_pci ohci_pci uhci_hcd usb_storage uas hid_generic usbhid vmd",
  "megaraid_sas mpt3sas mptspi mptsas aacraid hpsa smartpqi mvsas isci",
  "vmw_pvscsi hv_storvsc hv_vmbus hv_netvsc xen_blkfront",
].flatMap((line) => line.split(" "));
const APPLETS =
  "sh mount umount mkdir modprobe insmod lsmod switch_root reboot sleep cat echo ls findfs dmesg sort find grep xargs sed tr dd hexdump readlink setsid test [ ps vi".split(
    " ",
  );
/** Where an image's loader looks, Debian's own order first. */
const LIBRARY_DIRECTORIES = ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib"];
/** Level 19 is a tenth smaller and takes twenty times as long. */
const LEVEL = 9;

/** The compressed archive. */
export async function buildInitramfs(
  host: Pick<Host, "files" | "exec" | "cores">,
  options: InitramfsOptions,
): Promise<Buffer> {
  const { files } = host;
  const directory = `${options.root}/usr/lib/modules/${options.kernelVersion}`;
  const index = readIndex(files, directory);
  const modules = resolveModules(index, { required: ALWAYS, optional: ON_DEMAND });
  const always = resolveModules(index, { required: ALWAYS, optional: [] });
  const contents = await mapConcurrent(
    modules,
    { limit: host.cores, ...(options.signal && { signal: options.signal }) },
    (path) => readModule(host, options, `${directory}/${path}`),
  );
  const tree = new Map<string, CpioEntry>();
  const put = (path: string, mode: number, content: Uint8Array | string): void => {
    tree.set(path, { kind: "file", path, mode, content: typeof content === "string" ? Buffer.from(content) : content });
  };
  for (const [link, target] of [
    ["bin", "usr/bin"],
    ["sbin", "usr/bin"],
    ["lib", "usr/lib"],
    ["lib64", "usr/lib64"],
  ] as const) {
    tree.set(link, { kind: "symlink", path: link, mode: 0o777, target });
  }
  for (const path of ["dev", "proc", "run", "sys", "sysroot", "usr/lib64"])
    tree.set(path, { kind: "directory", path, mode: 0o755 });
  tree.set("dev/console", { kind: "char", path: "dev/console", mode: 0o600, major: 5, minor: 1 });
  putPrograms(files, options.root, put);
  for (const applet of APPLETS) {
    tree.set(`usr/bin/${applet}`, { kind: "symlink", path: `usr/bin/${applet}`, mode: 0o777, target: "busybox" });
  }
  const below = `usr/lib/modules/${options.kernelVersion}`;
  modules.forEach((path, i) => put(`${below}/${plainPath(path)}`, 0o644, contents[i] ?? Buffer.alloc(0)));
  const subset = formatSubset(index, modules);
  put(`${below}/modules.dep`, 0o644, subset.dep);
  put(`${below}/modules.alias`, 0o644, subset.alias);
  put("usr/lib/berth/modules", 0o644, always.map((path) => `${moduleName(path)}\n`).join(""));
  put("init", 0o755, programFile(`${SCRIPTS}/init`));
  put("usr/bin/composefs-setup", 0o755, programFile(`${SCRIPTS}/composefs-setup`));
  put("etc/initrd-release", 0o644, 'NAME="berth initramfs"\nID=berth-initramfs\n');
  return compress(writeNewc(withParents(tree)));
}

function readIndex(files: Pick<Files, "readTextIfAny">, directory: string): ModuleIndex {
  const text = (name: string): string | undefined => files.readTextIfAny(`${directory}/${name}`);
  const dep = text("modules.dep");
  if (dep === undefined) {
    throw new Failure(
      "not-found",
      `Cannot make an initramfs: "${directory}" has no modules.dep, wanted an installed kernel`,
    );
  }
  return parseModuleIndex({
    dep,
    builtin: text("modules.builtin") ?? "",
    softdep: text("modules.softdep") ?? "",
    alias: text("modules.alias") ?? "",
  });
}

async function readModule(
  host: Pick<Host, "files" | "exec">,
  options: InitramfsOptions,
  path: string,
): Promise<Buffer> {
  if (path.endsWith(".ko")) return host.files.read(path);
  if (path.endsWith(".zst")) return zstdDecompressSync(host.files.read(path));
  const applet = path.endsWith(".xz") ? "xzcat" : path.endsWith(".gz") ? "zcat" : undefined;
  if (applet === undefined)
    throw new Failure("unsupported", `Cannot read kernel module "${path}": its compression is unknown`);
  const argv = [`${options.root}/usr/bin/busybox`, applet, path];
  return (await host.exec(argv, { timeoutMs: 60_000, signal: options.signal })).stdout;
}

function putPrograms(files: Files, root: string, put: (path: string, mode: number, content: Uint8Array) => void): void {
  for (const program of ["busybox", "fsverity"]) {
    const path = resolveInImage(files, root, `usr/bin/${program}`);
    if (path === undefined) {
      throw new Failure("not-found", `Cannot make an initramfs: the image has no /usr/bin/${program}`, {
        hint: "install Debian's busybox-static and fsverity in it",
      });
    }
    put(`usr/bin/${program}`, 0o755, files.read(path));
  }
  for (const [path, hostPath] of findLibraries(files, root, "usr/bin/fsverity", LIBRARY_DIRECTORIES)) {
    put(path, 0o755, files.read(hostPath));
  }
}

/** Sorted, each directory before what it holds. */
function withParents(tree: ReadonlyMap<string, CpioEntry>): CpioEntry[] {
  const all = new Map(tree);
  for (const path of tree.keys()) {
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
      const parent = path.slice(0, slash);
      if (!all.has(parent)) all.set(parent, { kind: "directory", path: parent, mode: 0o755 });
    }
  }
  return [...all.keys()].sort().flatMap((path) => all.get(path) ?? []);
}

function compress(archive: Buffer): Buffer {
  return zstdCompressSync(archive, { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } });
}
