/** `berth disk`: a bootable disk image of an operating system image. */
import { byteNameToText, textToByteName } from "../../core/bytes.ts";
import { parseHostname } from "../../core/host-name.ts";
import { Failure, isFailure } from "../../core/failure.ts";
import { applyDiskPlan, type DiskResult, requireFreeName } from "../../disk/apply.ts";
import { formatDiskPlan } from "../../disk/format-plan.ts";
import { readDiskFacts } from "../../disk/image-facts.ts";
import { type DiskPlan, gigabytes, planDisk } from "../../disk/plan.ts";
import {
  type DiskRequest,
  parseAuthorizedKeys,
  parseDiskType,
  parseKarg,
  parseSize,
  parseUsers,
} from "../../disk/request.ts";
import { requireTools } from "../../disk/tools.ts";
import { parseGuid } from "../../format/gpt/guid.ts";
import type { Host } from "../../host/host.ts";
import { formatImageRef, parseImageRef } from "../../oci/reference.ts";
import type { StoredImage } from "../../store/store.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { command } from "../command.ts";
import { findStoredImage } from "../image-names.ts";

export const diskCommand = command({
  name: "disk",
  summary: "Make a bootable disk image",
  description:
    "Writes DIR/disk.raw or DIR/disk.qcow2: GPT, EFI system partition with systemd-boot, GRUB for BIOS, ext4 root with fs-verity on every\n" +
    "object. It needs no mount and no loop device. The same image and flags give the same bytes.\n" +
    "Users, keys and host name become state of the machine: no later image changes them. A user in group sudo gets a rule without password,\n" +
    "because it has none to type.",
  needsRoot: true,
  plans: true,
  flags: {
    type: { type: "string", value: "TYPE", choices: ["raw", "qcow2"], default: "raw", summary: "Kind of disk image" },
    output: { type: "string", short: "o", value: "DIR", default: ".", summary: "Folder of the result" },
    size: { type: "string", value: "SIZE", default: "10G", summary: "Size of the disk; the file is sparse" },
    source: { type: "string", value: "REF", summary: "Image in a registry that the machine follows (default: IMAGE)" },
    "root-ssh-authorized-keys": { type: "string", value: "FILE", summary: "Public keys that may log in as root" },
    user: {
      type: "list",
      value: "NAME[:GROUPS][:KEYFILE]",
      summary: "Add a user, e.g. ann:sudo,adm:ann.pub",
    },
    hostname: { type: "string", value: "NAME", summary: "Host name" },
    karg: { type: "list", value: "ARG", summary: "Kernel argument" },
    uuid: { type: "string", value: "UUID", summary: "Makes all ids of the disk others than those of an equal disk" },
    force: { type: "boolean", short: "f", summary: "Replace a disk image that is there" },
  },
  operands: [{ name: "IMAGE", summary: "Image in the store: name, digest or id" }],
  examples: [
    ["berth disk registry.example.com/os:12 --type qcow2 -o out --root-ssh-authorized-keys key.pub", "a disk for a VM"],
    ["berth disk localhost/os --source registry.example.com/os:12 --size 20G --dry-run", "show what would be made"],
  ],
  async run(values, [name = ""], context): Promise<DiskValue> {
    const { host, progress, signal } = context;
    const type = parseDiskType(values.type);
    const output = textToByteName(values.output).replace(/(.)\/+$/, "$1");
    const readKeys = (path: string): string => parseAuthorizedKeys(readKeyFile(host, path), path);
    const fixed = {
      type,
      sizeBytes: parseSize(values.size, "--size"),
      kargs: values.karg.map(parseKarg),
      users: parseUsers(values.user, readKeys),
      rootAuthorizedKeys:
        values["root-ssh-authorized-keys"] === undefined ? "" : readKeys(values["root-ssh-authorized-keys"]),
      hostname: values.hostname === undefined ? undefined : parseHostname(values.hostname),
      uuid: values.uuid === undefined ? undefined : readUuid(values.uuid),
    };
    const source = values.source === undefined ? undefined : readSource(values.source);
    if ((host.files.stat(output)?.kind ?? "directory") !== "directory")
      throw new Failure("bad-input", `Cannot write a disk to "${values.output}": it is a file, wanted a folder`);
    if (!values.force && !context.dryRun) requireFreeName(host, output, type);
    requireTools(
      host,
      type === "qcow2"
        ? ["mke2fs", "debugfs", "mkfs.vfat", "mcopy", "qemu-img"]
        : ["mke2fs", "debugfs", "mkfs.vfat", "mcopy"],
    );
    using store = openWorkstationStore(host);
    const image = findStoredImage(store, name);
    const request: DiskRequest = { ...fixed, source: source ?? nameOf(image, name) };
    const facts = await readDiskFacts(host, store, image, name);
    const plan = planDisk(name, request, facts);
    if (context.dryRun) {
      if (!context.json) context.print(formatDiskPlan(plan));
      return { plan: describe(plan) };
    }
    for (const note of plan.notes) progress.warn(note);
    const result = await applyDiskPlan(host, plan, {
      store,
      image,
      request,
      shell: facts.shell,
      output,
      replace: values.force,
      progress,
      signal,
    });
    return { plan: describe(plan), disk: { ...result, path: byteNameToText(result.path) } };
  },
  view: ({ disk }) => disk && `${disk.path} (${gigabytes(disk.sizeBytes)}, ${gigabytes(disk.allocatedBytes)} on disk)`,
});

interface DiskValue {
  readonly plan: PlanSummary;
  /** Absent for a dry run. */
  readonly disk?: DiskResult;
}

interface PlanSummary {
  readonly image: string;
  readonly id: string;
  readonly rootUuid: string;
  readonly source: string;
  readonly steps: readonly string[];
}

function describe(plan: DiskPlan): PlanSummary {
  return {
    image: plan.image,
    id: plan.id,
    rootUuid: plan.layout.root.uuid,
    source: plan.source,
    steps: plan.steps.map((step) => step.kind),
  };
}

function readSource(text: string): string {
  try {
    return formatImageRef(parseImageRef(text));
  } catch (cause) {
    throw new Failure("usage", `Cannot follow --source ${JSON.stringify(text)}`, { cause });
  }
}

/** What the machine follows without --source. Failure "usage" when the image has no name. */
function nameOf(image: StoredImage, typed: string): string {
  const source = image.names.find((name) => [typed, `${typed}:latest`].includes(name)) ?? image.names[0];
  if (source !== undefined) return source;
  throw new Failure("usage", `Cannot make a disk of "${typed}": the image has no name that the machine could follow`, {
    hint: "name one with --source",
  });
}

function readKeyFile(host: Host, path: string): string {
  try {
    return host.files.readText(textToByteName(path));
  } catch (error) {
    if (isFailure(error, "not-found"))
      throw new Failure("not-found", `Cannot read SSH public keys "${path}": there is no such file`);
    throw error;
  }
}

function readUuid(text: string): string {
  try {
    return parseGuid(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new Failure("usage", error.message, { cause: error });
    throw error;
  }
}
