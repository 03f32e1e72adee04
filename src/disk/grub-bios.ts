/**
 * GRUB for BIOS on a disk that is a plain file: the boot sector and the core image, patched the way grub-bios-setup would patch
 * them, without probing any device.
 *
 * boot.img (in the MBR, around the partition table) loads the first sector of the core image; that sector (diskboot.img) loads
 * the rest by its block list. The core image's prefix has no disk, only a partition (`(,gpt2)/…`): GRUB completes it with the disk that
 * the BIOS booted, so the same bytes boot from whichever drive they are on.
 *
 * @see GRUB include/grub/i386/pc/boot.h (offsets), grub-core/boot/i386/pc/{boot,diskboot}.S
 */
import type { DiskPiece } from "../format/gpt/gpt.ts";
import { SECTOR_BYTES } from "../format/gpt/gpt.ts";
import type { Extent } from "./layout.ts";

/** Modules that a menu over FAT needs; nothing is loaded from the disk later. */
export const GRUB_MODULES = [
  "biosdisk",
  "part_gpt",
  "part_msdos",
  "fat",
  "normal",
  "configfile",
  "linux",
  "echo",
  "test",
  "search",
  "search_fs_file",
  "search_fs_uuid",
  "search_label",
  "all_video",
  "serial",
  "terminal",
  "ls",
  "cat",
  "halt",
  "reboot",
  "sleep",
  "loadenv",
  "minicmd",
  "gzio",
  "true",
] as const;

/** Up to here the MBR is code; then disk signature and partition table follow. */
const BOOT_CODE_BYTES = 440;
/** GRUB_BOOT_MACHINE_KERNEL_SECTOR: u64, first sector of the core image. */
const KERNEL_SECTOR_AT = 0x5c;
/** GRUB_BOOT_MACHINE_DRIVE_CHECK: a two-byte jump; two NOPs make it keep the drive number that the BIOS gave. */
const DRIVE_CHECK_AT = 0x66;
/** GRUB_DISKBOOT block list: the last record of the first sector is (u64 start, u16 sectors, u16 segment). */
const BLOCK_LIST_AT = SECTOR_BYTES - 12;
/** GRUB_BOOT_MACHINE_KERNEL_SEG + 0x20: where the second sector is loaded. */
const LOAD_SEGMENT = 0x820;

export interface BiosLoader {
  readonly bootImage: Uint8Array;
  readonly coreImage: Uint8Array;
}

/** What to write where. The first piece covers 440 bytes and leaves the partition table alone. Throws RangeError. */
export function placeBiosLoader(loader: BiosLoader, biosBoot: Extent): readonly DiskPiece[] {
  if (loader.bootImage.length !== SECTOR_BYTES)
    throw new RangeError(`boot.img has ${loader.bootImage.length} bytes, wanted 512`);
  if (loader.coreImage.length <= SECTOR_BYTES || loader.coreImage.length > biosBoot.sizeBytes) {
    throw new RangeError(`core.img has ${loader.coreImage.length} bytes, wanted 513 to ${biosBoot.sizeBytes}`);
  }
  const start = biosBoot.offsetBytes / SECTOR_BYTES;
  const boot = Buffer.from(loader.bootImage).subarray(0, BOOT_CODE_BYTES);
  boot.writeBigUInt64LE(BigInt(start), KERNEL_SECTOR_AT);
  boot.writeUInt16LE(0x9090, DRIVE_CHECK_AT);
  const core = Buffer.from(loader.coreImage);
  core.writeBigUInt64LE(BigInt(start + 1), BLOCK_LIST_AT);
  core.writeUInt16LE(Math.ceil((core.length - SECTOR_BYTES) / SECTOR_BYTES), BLOCK_LIST_AT + 8);
  core.writeUInt16LE(LOAD_SEGMENT, BLOCK_LIST_AT + 10);
  return [
    { offsetBytes: 0, bytes: boot },
    { offsetBytes: biosBoot.offsetBytes, bytes: core },
  ];
}

/** grub-mkimage for a core image that reads `grub.cfg` in `directory` of the partition numbered `partition`. */
export function mkimageArgv(options: {
  modules: string;
  partition: number;
  directory: string;
  output: string;
}): readonly string[] {
  return [
    "grub-mkimage",
    "--format=i386-pc",
    `--directory=${options.modules}`,
    `--prefix=(,gpt${options.partition})${options.directory}`,
    `--output=${options.output}`,
    ...GRUB_MODULES,
  ];
}

/** `2.06` of `grub-mkimage (GRUB) 2.06-13+deb12u1` or of a modinfo.sh; undefined when there is none. */
export function grubVersion(text: string): string | undefined {
  return /(?:\(GRUB\)\s*|grub_version=["']?)([0-9]+(?:\.[0-9]+)+)/.exec(text)?.[1];
}
