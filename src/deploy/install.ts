/**
 * installDeployment(): the first deployment of a machine, written into the folders that become its root file system and its ESP:
 * state directories, /etc and /var of the image, kernel, boot menu, loader.conf. It mounts nothing.
 */
import { formatLoaderConf } from "../boot/loader-conf.ts";
import { withParameters } from "../boot/cmdline.ts";
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { formatImageRef, parseImageRef } from "../oci/reference.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { findDirectory, checkBootable, readDeploymentTree, readKargs, readOsRelease } from "./deployment-tree.ts";
import { imageTree } from "./etc-merge.ts";
import { kernelDigest, writeKernel } from "./kernel-files.ts";
import { deploymentPath, deploymentTag, etcPath, MENU, originPath, storePath, VAR_LINK, varPath } from "./layout.ts";
import { createEntry, rankEntries, writeMenu } from "./menu.ts";
import { formatOrigin } from "./origin.ts";
import { writeTree } from "./write-tree.ts";

export interface InstallOptions {
  /** Holds `image` and its objects. When it is `<sysroot>/composefs`, the image is also tagged there as a deployment's. */
  readonly store: Store;
  readonly image: StoredImage;
  /** Folder that becomes the physical root. */
  readonly sysroot: string;
  /** Folder that becomes the ESP. */
  readonly esp: string;
  /** `root=UUID=…`, `rw`: first on the command line. */
  readonly rootKargs: readonly string[];
  /** What the user asked for; after them come `composefs=` and the image's own. */
  readonly kargs: readonly string[];
  /** The registry reference that the machine follows: HOST/NAME[:TAG]. */
  readonly source: string;
  /** OCI architecture of the machine. */
  readonly architecture: string;
  /** `composefs=?<id>`: for file systems without fs-verity. Off by default. */
  readonly verityOptional?: boolean;
  /** systemd-boot's menu; 0 by default. */
  readonly timeoutSeconds?: number;
}

export interface InstalledDeployment {
  /** 128 hex digits. */
  readonly id: string;
  /** `<sysroot>/state/deploy/<id>/etc`: the machine's /etc, for users, keys, host name. */
  readonly etc: string;
  /** `<sysroot>/state/os/default/var`. */
  readonly var: string;
  /** Kernel version, the name below /usr/lib/modules. */
  readonly kernelVersion: string;
  /** The full kernel command line. */
  readonly commandLine: string;
}

/** Failure "bad-input" when the image has no kernel, is for another architecture, or `source` is no reference. */
export function installDeployment(host: Pick<Host, "files">, options: InstallOptions): InstalledDeployment {
  const { store, image, sysroot, esp } = options;
  const { files } = host;
  const source = sourceImage(options.source);
  if (image.config.architecture !== options.architecture) {
    throw new Failure(
      "bad-input",
      `Cannot install "${options.source}": Image has architecture ${image.config.architecture}; expected ${options.architecture}`,
    );
  }
  const id = store.imageId(image, "boot");
  const tree = readDeploymentTree(store, id);
  const kernel = checkBootable(tree, options.source);
  const kargs = readKargs(tree, store, { files, architecture: options.architecture });

  files.makeDirectory(deploymentPath(sysroot, id), { mode: 0o755 });
  writeTree(imageTree(findDirectory(tree, "etc")), etcPath(sysroot, id), { host, store });
  files.remove(`${etcPath(sysroot, id)}/.updated`);
  files.makeDirectory(`${sysroot}/state/os/default`, { mode: 0o755 });
  if (!files.exists(varPath(sysroot)))
    writeTree(imageTree(findDirectory(tree, "var")), varPath(sysroot), { host, store });
  files.symlink(VAR_LINK, `${deploymentPath(sysroot, id)}/var`);
  const origin = {
    image: { transport: "registry", image: source },
    bootType: "bls",
    bootDigest: kernelDigest(files, store, kernel),
    manifestDigest: image.digest,
  } as const;
  files.write(originPath(sysroot, id), formatOrigin(origin), { mode: 0o644 });

  const entry = createEntry({
    id,
    verityOptional: options.verityOptional ?? false,
    release: readOsRelease(tree, store, files),
    kernelDirectory: writeKernel(files, { esp, id, store, kernel }),
    options: withParameters([...options.rootKargs, ...options.kargs, `composefs=${id}`], kargs),
  });
  files.remove(`${esp}/${MENU}`);
  writeMenu(files, `${esp}/${MENU}`, rankEntries([entry]));
  files.write(`${esp}/loader/loader.conf`, formatLoaderConf({ timeoutSeconds: options.timeoutSeconds ?? 0 }));
  if (store.path === storePath(sysroot)) store.tag(deploymentTag(image.digest), image.digest);
  return {
    id,
    etc: etcPath(sysroot, id),
    var: varPath(sysroot),
    kernelVersion: kernel.version,
    commandLine: entry.named.entry.options,
  };
}

function sourceImage(text: string): string {
  try {
    return formatImageRef(parseImageRef(text));
  } catch (error) {
    if (error instanceof SyntaxError) throw new Failure("bad-input", error.message, { cause: error });
    throw error;
  }
}
