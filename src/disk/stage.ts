/**
 * Staging: the two folders that become a disk's root file system and its ESP. Everything here is ordinary files in a work directory; the
 * workstation's store is only read.
 */
import { Failure } from "../core/failure.ts";
import type { Progress } from "../core/progress.ts";
import { contentPath, readContent } from "../deploy/write-tree.ts";
import { readDeploymentTree } from "../deploy/deployment-tree.ts";
import { type InstalledDeployment, installDeployment } from "../deploy/install.ts";
import { deploymentTag, storePath } from "../deploy/layout.ts";
import type { Host } from "../host/host.ts";
import { copyImage } from "../store/copy-image.ts";
import { openStore } from "../store/open.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { resolve } from "../tree/walk.ts";
import { GRUB_MODULE_DIRECTORY, type LoaderFile } from "./image-facts.ts";

export interface StageOptions {
  readonly store: Store;
  readonly image: StoredImage;
  /** 128 hex digits. */
  readonly id: string;
  readonly signal: AbortSignal;
}

/** The machine's repository with this image, tagged as a deployment's. Failure "corrupt" when the image's id comes out different. */
export async function stageRepository(
  host: Host,
  root: string,
  options: StageOptions & { progress: Progress; objectCount: number },
): Promise<void> {
  const scratch = withoutSync(host);
  const task = options.progress.task("Copying objects", { total: options.objectCount, unit: "steps" });
  host.files.makeDirectory(root, { mode: 0o755 });
  using staged = openStore(scratch, storePath(root), {
    algorithm: options.store.algorithm,
    keepBlobs: false,
    create: true,
    access: "shared",
  });
  const { signal } = options;
  const image = await copyImage(scratch, options.store, staged, options.image, {
    signal,
    onObject: () => task.advance(1),
  });
  const id = staged.imageId(image, "boot");
  if (id !== options.id)
    throw new Failure(
      "corrupt",
      `Cannot stage image "${options.image.digest}": its id came out as ${id}, wanted ${options.id}`,
    );
  staged.tag(deploymentTag(image.digest), image.digest);
  task.done();
}

/** A power cut leaves nothing but a work directory to remove: syncing hundreds of megabytes of it would be for nothing. */
function withoutSync(host: Host): Host {
  return { ...host, files: { ...host.files, syncFileSystem: () => {}, sync: () => {} } };
}

/** The first deployment. */
export function stageDeployment(
  host: Host,
  folders: { root: string; esp: string },
  options: StageOptions & {
    rootKargs: readonly string[];
    kargs: readonly string[];
    source: string;
    architecture: string;
  },
): InstalledDeployment {
  const { store, image, rootKargs, kargs, source, architecture } = options;
  return installDeployment(host, {
    store,
    image,
    sysroot: folders.root,
    esp: folders.esp,
    rootKargs,
    kargs,
    source,
    architecture,
  });
}

/** systemd-boot, where firmware looks without being told and where bootctl keeps it. */
export function stageUefiLoader(
  host: Pick<Host, "files">,
  esp: string,
  options: Pick<StageOptions, "store" | "id"> & { loader: LoaderFile },
): void {
  const node = resolve(readDeploymentTree(options.store, options.id), options.loader.from);
  if (node?.kind !== "file")
    throw new Failure("corrupt", `Cannot read "${options.loader.from}" of the image: it is gone`);
  const bytes = readContent(host.files, options.store, node);
  for (const path of [`EFI/systemd/${options.loader.name}`, `EFI/BOOT/${options.loader.fallbackName}`]) {
    host.files.makeDirectory(`${esp}/${path.slice(0, path.lastIndexOf("/"))}`);
    host.files.write(`${esp}/${path}`, bytes);
  }
}

/** GRUB's modules of the image as files, for grub-mkimage. Returns their folder. */
export function stageGrubModules(
  host: Pick<Host, "files">,
  folder: string,
  options: Pick<StageOptions, "store" | "id">,
): string {
  const modules = resolve(readDeploymentTree(options.store, options.id), GRUB_MODULE_DIRECTORY);
  if (modules?.kind !== "directory")
    throw new Failure("corrupt", `Cannot read "${GRUB_MODULE_DIRECTORY}" of the image: it is gone`);
  host.files.makeDirectory(folder);
  for (const [name, node] of modules.children) {
    if (node.kind !== "file") continue;
    if (node.content.kind === "inline") host.files.write(`${folder}/${name}`, node.content.bytes);
    else host.files.copy(contentPath(options.store, node), `${folder}/${name}`);
  }
  return folder;
}
