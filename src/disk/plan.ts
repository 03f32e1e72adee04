/**
 * planDisk(): from a request and the facts about an image to the steps that make the disk. Pure: the same inputs give the same plan,
 * and the plan the same bytes.
 */
import { createHash } from "node:crypto";
import { Failure } from "../core/failure.ts";
import { addAccount } from "./accounts.ts";
import type { DiskFacts, GrubFacts, LoaderFile } from "./image-facts.ts";
import { type DiskLayout, ESP_PARTITION, LAYOUT_OVERHEAD_BYTES, planLayout } from "./layout.ts";
import type { DiskRequest, DiskType } from "./request.ts";

export type DiskStep =
  /** The machine's own repository, with the image and nothing else. */
  | { readonly kind: "stage-repository" }
  | { readonly kind: "install-deployment"; readonly rootKargs: readonly string[]; readonly kargs: readonly string[] }
  | {
      readonly kind: "write-machine-state";
      readonly users: readonly string[];
      readonly rootKeys: boolean;
      readonly hostname: string | undefined;
    }
  | { readonly kind: "stage-uefi-loader"; readonly loader: LoaderFile }
  | { readonly kind: "create-disk" }
  | { readonly kind: "write-esp" }
  | { readonly kind: "write-root"; readonly objectCount: number }
  | {
      readonly kind: "write-bios-loader";
      readonly grub: GrubFacts;
      readonly partition: number;
      readonly directory: string;
    }
  | { readonly kind: "convert"; readonly format: "qcow2" }
  | { readonly kind: "publish"; readonly name: string };

export interface DiskPlan {
  readonly image: string;
  readonly id: string;
  readonly architecture: string;
  readonly kernelVersion: string;
  readonly source: string;
  readonly layout: DiskLayout;
  readonly epoch: number;
  readonly objectCount: number;
  /** Bytes that the result and its making take at most in the output folder. */
  readonly outputBytes: number;
  /** Bytes that are staged beside the store: objects are linked there, not copied. */
  readonly stagingBytes: number;
  readonly steps: readonly DiskStep[];
  /** What the user should know before the disk is used. */
  readonly notes: readonly string[];
}

const MIB = 1024 * 1024;
/** Journal, inode tables in use, directories, /etc, /var: what the root needs besides objects. */
const ROOT_FIXED_BYTES = 160 * MIB;

/** /etc, /var, GRUB's modules, scripts. */
const STAGING_FIXED_BYTES = 128 * MIB;

/** The menu that both loaders read. */
const MENU_DIRECTORY = "/loader/entries";

/**
 * Failure "conflict", "not-found" or "bad-input" for users that the image cannot take, "no-space" when the disk is too small for the image,
 * "bad-input" when its kernel does not fit the ESP.
 */
export function planDisk(image: string, request: DiskRequest, facts: DiskFacts): DiskPlan {
  checkUsers(request, facts);
  const rootBytes = Math.ceil(facts.objectBytes * 1.08) + ROOT_FIXED_BYTES;
  const neededBytes = rootBytes + LAYOUT_OVERHEAD_BYTES;
  if (request.sizeBytes < neededBytes) {
    throw new Failure(
      "no-space",
      `Cannot fit image "${image}" on a disk of ${gigabytes(request.sizeBytes)}: it needs ${gigabytes(neededBytes)}`,
      {
        hint: "use a larger --size; an upgrade needs room for a second image",
      },
    );
  }
  const layout = planLayout({
    sizeBytes: request.sizeBytes,
    architecture: facts.architecture,
    identity: identity(request, facts),
  });
  if (facts.espBytes * 3 > layout.esp.sizeBytes) {
    throw new Failure(
      "bad-input",
      `Cannot make a disk of image "${image}": kernel and initramfs take ${gigabytes(facts.espBytes)}, three of them must fit the ESP`,
    );
  }
  return {
    image,
    id: facts.id,
    architecture: facts.architecture,
    kernelVersion: facts.kernelVersion,
    source: request.source,
    layout,
    epoch: facts.epoch,
    objectCount: facts.objectCount,
    outputBytes: (request.type === "raw" ? 1 : 2) * (rootBytes + facts.espBytes),
    stagingBytes: facts.espBytes + STAGING_FIXED_BYTES,
    steps: planSteps(request, facts, layout),
    notes: notes(request, facts),
  };
}

/** Adds the users in thought only, so that what is wrong with them is told before anything is written. */
function checkUsers(request: DiskRequest, facts: DiskFacts): void {
  let accounts = facts.accounts;
  for (const { name, groups } of request.users) {
    if (accounts === undefined)
      throw new Failure("bad-input", `Cannot add user "${name}": the image has no /etc/passwd, group and shadow`);
    accounts = addAccount(accounts, { name, groups, home: `/home/${name}`, shell: facts.shell }).files;
  }
}

function planSteps(request: DiskRequest, facts: DiskFacts, layout: DiskLayout): readonly DiskStep[] {
  const users = request.users.map((user) => user.name);
  const rootKeys = request.rootAuthorizedKeys !== "";
  const { hostname } = request;
  return [
    { kind: "stage-repository" },
    { kind: "install-deployment", rootKargs: [`root=UUID=${layout.root.uuid}`, "rw"], kargs: request.kargs },
    ...(users.length > 0 || rootKeys || hostname !== undefined
      ? ([{ kind: "write-machine-state", users, rootKeys, hostname }] as const)
      : []),
    { kind: "stage-uefi-loader", loader: facts.loader },
    { kind: "create-disk" },
    { kind: "write-esp" },
    { kind: "write-root", objectCount: facts.objectCount },
    ...(facts.grub === undefined
      ? []
      : ([
          { kind: "write-bios-loader", grub: facts.grub, partition: ESP_PARTITION, directory: MENU_DIRECTORY },
        ] as const)),
    ...(request.type === "raw" ? [] : ([{ kind: "convert", format: request.type }] as const)),
    { kind: "publish", name: diskName(request.type) },
  ];
}

export function diskName(type: DiskType): string {
  return `disk.${type}`;
}

function notes(request: DiskRequest, facts: DiskFacts): readonly string[] {
  const found: string[] = [];
  if (request.rootAuthorizedKeys === "" && request.users.every((user) => user.authorizedKeys === "")) {
    found.push(
      "no SSH key is on the disk: nobody can log in unless the image allows it (--root-ssh-authorized-keys, --user)",
    );
  }
  if (facts.architecture === "amd64" && facts.grub === undefined) {
    found.push(
      "the disk boots by UEFI only: GRUB's i386-pc modules or grub-mkimage are missing (packages grub-pc-bin, grub-common)",
    );
  }
  if (request.source.startsWith("localhost/")) {
    found.push(`the machine will look for updates at ${request.source}, which no machine can reach (--source)`);
  }
  return found;
}

/** Everything that makes one disk differ from another, so that equal disks have equal ids and others do not. */
function identity(request: DiskRequest, facts: DiskFacts): string {
  const { type: _, uuid, ...content } = request;
  return createHash("sha256")
    .update(JSON.stringify([facts.id, uuid ?? "", content]))
    .digest("hex");
}

export function gigabytes(bytes: number): string {
  return bytes >= 1024 * MIB ? `${(bytes / (1024 * MIB)).toFixed(1)} GiB` : `${Math.ceil(bytes / MIB)} MiB`;
}
