/**
 * findEsp(): the EFI system partition on the disk of the root file system, by partition type; never one of another disk.
 *
 * @see UAPI.2 Discoverable Partitions Specification
 */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { asArray, asObject, parseJsonObject } from "../core/json.ts";
import { devMajor, devMinor } from "../tree/node.ts";

/** Lower case, as lsblk prints it. */
const ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

export interface BlockDevice {
  readonly path: string;
  /** "MAJOR:MINOR". */
  readonly number: string;
  readonly partitionType: string | undefined;
  readonly children: readonly BlockDevice[];
}

/** Device path, e.g. /dev/vda2. Failure "not-found" when the disk has none. */
export async function findEsp(
  host: Pick<Host, "exec" | "files">,
  root: { path: string; source: string },
): Promise<string> {
  // NAME makes it a tree of disks and partitions; without that column lsblk prints a flat list.
  const argv = ["lsblk", "-J", "-o", "NAME,PATH,MAJ:MIN,PARTTYPE"];
  const { stdout } = await host.exec(argv, { timeoutMs: 30_000 });
  const devices = parseLsblk(stdout.toString("utf8"));
  const dev = host.files.stat(root.path)?.dev ?? 0;
  const number = `${devMajor(dev)}:${devMinor(dev)}`;
  const isRoot = (device: BlockDevice): boolean => device.number === number || device.path === root.source;
  const disks = devices.filter((disk) => flatten(disk).some(isRoot));
  const candidates = disks.flatMap(flatten);
  for (const device of candidates) {
    if (device.partitionType === ESP_TYPE) return device.path;
  }
  // Without udev's database lsblk may not know the types.
  for (const device of candidates.filter((one) => one.partitionType === undefined && !isRoot(one))) {
    const probe = ["blkid", "-p", "-s", "PART_ENTRY_TYPE", "-o", "value", device.path];
    const found = await host.exec(probe, { timeoutMs: 30_000, check: false });
    if (found.stdout.toString("utf8").trim().toLowerCase() === ESP_TYPE) return device.path;
  }
  throw new Failure(
    "not-found",
    `Cannot find the EFI system partition: no partition of type ESP on the disk of "${root.path}"`,
  );
}

/** Throws SyntaxError for anything but lsblk's JSON. */
export function parseLsblk(text: string): BlockDevice[] {
  return asArray(parseJsonObject(text, "lsblk output")["blockdevices"], "lsblk output.blockdevices").map(parseDevice);
}

function parseDevice(value: unknown): BlockDevice {
  const object = asObject(value, "lsblk device");
  const text = (key: string): string | undefined => {
    const field = object[key];
    return typeof field === "string" ? field.trim() : undefined;
  };
  const children = object["children"];
  return {
    path: text("path") ?? "",
    number: text("maj:min") ?? "",
    partitionType: text("parttype")?.toLowerCase(),
    children: children === undefined ? [] : asArray(children, "lsblk device.children").map(parseDevice),
  };
}

function flatten(device: BlockDevice): BlockDevice[] {
  return [device, ...device.children.flatMap(flatten)];
}
