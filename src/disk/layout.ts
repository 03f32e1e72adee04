/**
 * DiskLayout: which partition lies where on a berth disk. One layout boots by UEFI and by BIOS:
 *
 *   1  BIOS boot   1 MiB     GRUB's core image
 *   2  EFI-SYSTEM  512 MiB   FAT32: systemd-boot, kernels, boot entries (GRUB reads them there too)
 *   3  root        the rest  ext4 with fs-verity: the composefs repository and the machine's state
 *
 * Every id is derived from `identity`, so that the same request gives the same bytes.
 *
 * @see UAPI Group, Discoverable Partitions Specification
 */
import { Failure } from "../core/failure.ts";
import { type Gpt, type Partition, PARTITION_TYPES, SECTOR_BYTES, lastUsableSector } from "../format/gpt/gpt.ts";
import { deriveGuid, type Guid } from "../format/gpt/guid.ts";

const MIB = 1024 * 1024;
const MIB_SECTORS = MIB / SECTOR_BYTES;
const ESP_MIB = 512;

export const BIOS_BOOT_PARTITION = 1;
export const ESP_PARTITION = 2;
export const ROOT_PARTITION = 3;
export const ESP_LABEL = "EFI-SYSTEM";
export const ROOT_LABEL = "root";

/** A stretch of the disk. */
export interface Extent {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

export interface DiskLayout {
  readonly sizeBytes: number;
  readonly gpt: Gpt;
  readonly biosBoot: Extent;
  /** `volumeId`: 8 hex digits, as mkfs.vfat takes them. */
  readonly esp: Extent & { readonly volumeId: string };
  readonly root: Extent & { readonly uuid: Guid; readonly hashSeed: Guid };
}

export interface LayoutRequest {
  readonly sizeBytes: number;
  /** OCI architecture name. */
  readonly architecture: string;
  /** Seed of all ids. */
  readonly identity: string;
}

/** Bytes of a disk that are not its root file system. */
export const LAYOUT_OVERHEAD_BYTES = (1 + 1 + ESP_MIB + 1) * MIB;

/** Failure "unsupported" for an architecture without a root type, RangeError for a disk too small for any root. */
export function planLayout(request: LayoutRequest): DiskLayout {
  const sizeBytes = Math.ceil(request.sizeBytes / MIB) * MIB;
  const diskSectors = sizeBytes / SECTOR_BYTES;
  const guid = (purpose: string): Guid => deriveGuid(request.identity, purpose);
  const partition = (number: number, type: Guid, name: string, first: number, last: number): Partition => ({
    number,
    type,
    guid: guid(`partition ${number}`),
    firstSector: first,
    lastSector: last,
    name,
    attributes: 0n,
  });
  const biosFirst = MIB_SECTORS;
  const espFirst = 2 * MIB_SECTORS;
  const rootFirst = espFirst + ESP_MIB * MIB_SECTORS;
  const rootEnd = Math.floor((lastUsableSector(diskSectors) + 1) / MIB_SECTORS) * MIB_SECTORS;
  if (rootEnd <= rootFirst)
    throw new RangeError(`Cannot lay out a disk of ${sizeBytes} bytes: no space is left for root`);
  const gpt: Gpt = {
    guid: guid("disk"),
    diskSectors,
    partitions: [
      partition(BIOS_BOOT_PARTITION, PARTITION_TYPES.biosBoot, "BIOS-BOOT", biosFirst, espFirst - 1),
      partition(ESP_PARTITION, PARTITION_TYPES.esp, ESP_LABEL, espFirst, rootFirst - 1),
      partition(ROOT_PARTITION, rootType(request.architecture), ROOT_LABEL, rootFirst, rootEnd - 1),
    ],
  };
  return {
    sizeBytes,
    gpt,
    biosBoot: extent(biosFirst, espFirst),
    esp: { ...extent(espFirst, rootFirst), volumeId: guid("esp").slice(0, 8) },
    root: { ...extent(rootFirst, rootEnd), uuid: guid("root"), hashSeed: guid("root hash seed") },
  };
}

function extent(firstSector: number, endSector: number): Extent {
  return { offsetBytes: firstSector * SECTOR_BYTES, sizeBytes: (endSector - firstSector) * SECTOR_BYTES };
}

function rootType(architecture: string): Guid {
  if (architecture === "amd64") return PARTITION_TYPES.rootAmd64;
  if (architecture === "arm64") return PARTITION_TYPES.rootArm64;
  throw new Failure("unsupported", `Cannot make a disk for architecture "${architecture}": amd64 and arm64 are known`);
}
