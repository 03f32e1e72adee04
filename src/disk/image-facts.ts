/**
 * DiskFacts: what the planner needs to know about an image: its deployment id, the loaders that it brings, how much room it takes.
 * Reads the store, changes nothing (but for the store's own memory of image ids).
 */
import { Failure } from "../core/failure.ts";
import { checkBootable, readDeploymentTree, readKargs } from "../deploy/deployment-tree.ts";
import { readContent } from "../deploy/write-tree.ts";
import { verityHashBytes } from "../format/verity/verity.ts";
import type { Host } from "../host/host.ts";
import { imageTimestamp } from "../oci/config.ts";
import type { Store, StoredImage } from "../store/store.ts";
import type { Directory } from "../tree/node.ts";
import { resolve, walk } from "../tree/walk.ts";
import type { AccountFiles } from "./accounts.ts";
import { grubVersion } from "./grub-bios.ts";
import { verityFileBytes } from "./verity-file.ts";

export interface LoaderFile {
  /** Path in the image. */
  readonly from: string;
  /** Name in EFI/systemd. */
  readonly name: string;
  /** Name in EFI/BOOT, which firmware looks for. */
  readonly fallbackName: string;
}

/** Where the GRUB modules come from: the host's when the image's are of another version than the host's grub-mkimage. */
export interface GrubFacts {
  readonly origin: "image" | "host";
  readonly version: string;
}

export interface DiskFacts {
  /** 128 hex digits. */
  readonly id: string;
  readonly architecture: string;
  readonly kernelVersion: string;
  /** Kernel arguments that the image asks for. */
  readonly kargs: readonly string[];
  readonly loader: LoaderFile;
  readonly grub: GrubFacts | undefined;
  readonly shell: string;
  /** undefined when the image lacks one of them. */
  readonly accounts: AccountFiles | undefined;
  readonly objectCount: number;
  /** Bytes of the objects on the disk, Merkle trees included. */
  readonly objectBytes: number;
  readonly espBytes: number;
  /** Seconds since the epoch: the only time on the disk. */
  readonly epoch: number;
}

export const GRUB_MODULE_DIRECTORY = "usr/lib/grub/i386-pc";

/** FAT counts from here. */
const EPOCH_MIN = 315532800;

const EFI_NAMES: Readonly<Record<string, string>> = { amd64: "x64", arm64: "aa64" };

/** Failure "bad-input" for an image that no disk can boot; `name` is what the user calls it. */
export async function readDiskFacts(
  host: Host,
  store: Store,
  image: StoredImage,
  name = image.names[0] ?? image.digest,
): Promise<DiskFacts> {
  if (image.config.config.Labels?.["containers.bootc"] !== "1") {
    throw new Failure("bad-input", `Cannot make a disk of image "${name}": it lacks the label containers.bootc=1`, {
      hint: "build it FROM a base made by `berth base build`",
    });
  }
  const id = store.imageId(image, "boot");
  const tree = readDeploymentTree(store, id);
  const kernel = checkBootable(tree, name);
  const { architecture } = image.config;
  const objects = distinctObjects(tree);
  const hashBytes = verityHashBytes(store.algorithm);
  const sizes = [...objects.values(), store.readImage(id).length];
  return {
    id,
    architecture,
    kernelVersion: kernel.version,
    kargs: readKargs(tree, store, { files: host.files, architecture }),
    loader: findLoader(tree, architecture, name),
    grub: architecture === "amd64" ? await findGrub(host, store, tree) : undefined,
    shell: resolve(tree, "usr/bin/bash") === undefined ? "/bin/sh" : "/bin/bash",
    accounts: readAccounts(host, store, tree),
    objectCount: sizes.length,
    objectBytes: sizes.reduce((sum, size) => sum + verityFileBytes(size, hashBytes), 0),
    espBytes: kernel.vmlinuz.size + kernel.initramfs.size,
    epoch: buildEpoch(host.env["SOURCE_DATE_EPOCH"], imageTimestamp(image.config)),
  };
}

function readAccounts(host: Host, store: Store, tree: Directory): AccountFiles | undefined {
  const read = (name: string): string | undefined => {
    const node = resolve(tree, `etc/${name}`);
    return node?.kind === "file" ? readContent(host.files, store, node).toString("utf8") : undefined;
  };
  const [passwd, group, shadow, gshadow] = [read("passwd"), read("group"), read("shadow"), read("gshadow")];
  return passwd === undefined || group === undefined || shadow === undefined
    ? undefined
    : { passwd, group, shadow, gshadow };
}

/** Object id to size, each once. */
function distinctObjects(tree: Directory): Map<string, number> {
  const found = new Map<string, number>();
  for (const { node } of walk(tree)) {
    if (node.kind === "file" && node.content.kind === "external" && node.content.objectId !== undefined) {
      found.set(node.content.objectId, node.size);
    }
  }
  return found;
}

function findLoader(tree: Directory, architecture: string, image: string): LoaderFile {
  const suffix = EFI_NAMES[architecture] ?? architecture;
  const name = `systemd-boot${suffix}.efi`;
  const directory = "usr/lib/systemd/boot/efi";
  const from = [`${directory}/${name}.signed`, `${directory}/${name}`].find(
    (path) => resolve(tree, path)?.kind === "file",
  );
  if (from === undefined) {
    throw new Failure("bad-input", `Cannot make a disk of image "${image}": it has no ${directory}/${name}`, {
      hint: "install systemd-boot-efi in the image",
    });
  }
  return { from, name, fallbackName: `BOOT${suffix.toUpperCase()}.EFI` };
}

async function findGrub(host: Host, store: Store, tree: Directory): Promise<GrubFacts | undefined> {
  const program = host.which("grub-mkimage");
  if (program === undefined) return undefined;
  const answer = await host.exec([program, "--version"], { timeoutMs: 10_000 });
  const version = grubVersion(answer.stdout.toString("utf8"));
  if (version === undefined) return undefined;
  const modinfo = resolve(tree, `${GRUB_MODULE_DIRECTORY}/modinfo.sh`);
  if (modinfo?.kind === "file" && grubVersion(readContent(host.files, store, modinfo).toString("utf8")) === version) {
    return { origin: "image", version };
  }
  return host.files.exists(`/${GRUB_MODULE_DIRECTORY}/kernel.img`) ? { origin: "host", version } : undefined;
}

/** SOURCE_DATE_EPOCH, else the image's own time, else 1980. Failure "usage" for a malformed variable. */
export function buildEpoch(variable: string | undefined, timestamp: string | undefined): number {
  if (variable !== undefined && variable !== "") {
    if (!/^[0-9]{1,12}$/.test(variable)) {
      throw new Failure("usage", `Cannot use SOURCE_DATE_EPOCH "${variable}": wanted seconds since 1970`);
    }
    return Math.max(Number(variable), EPOCH_MIN);
  }
  const parsed = Math.floor(Date.parse(timestamp ?? "") / 1000);
  return Number.isFinite(parsed) ? Math.max(parsed, EPOCH_MIN) : EPOCH_MIN;
}
