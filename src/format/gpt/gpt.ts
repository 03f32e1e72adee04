/**
 * Gpt: a GUID partition table of 128 entries on 512-byte sectors: protective MBR, primary header and entries at the start of
 * the disk, their backup at its end. What is written passes `sfdisk --verify` and `sgdisk --verify`.
 *
 * @see UEFI 2.10, chapter 5 "GUID Partition Table (GPT) Disk Layout"
 */
import { crc32 } from "node:zlib";
import { toSafeInteger } from "../../core/bytes.ts";
import { struct } from "../../core/struct.ts";
import { bytesToGuid, type Guid, guidToBytes, parseGuid } from "./guid.ts";

export const SECTOR_BYTES = 512;

export const PARTITION_TYPES = {
  biosBoot: parseGuid("21686148-6449-6e6f-744e-656564454649"),
  esp: parseGuid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
  /** Discoverable Partitions Specification: root, x86-64. */
  rootAmd64: parseGuid("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
  /** Discoverable Partitions Specification: root, 64-bit ARM. */
  rootArm64: parseGuid("b921b045-1df0-41c3-af44-4c6f280d3fae"),
  linux: parseGuid("0fc63daf-8483-4772-8e79-3d69d8477de4"),
} as const;

export interface Partition {
  /** From 1; the slot in the table. */
  readonly number: number;
  readonly type: Guid;
  readonly guid: Guid;
  readonly firstSector: number;
  /** Inclusive. */
  readonly lastSector: number;
  /** At most 36 UTF-16 units. */
  readonly name: string;
  readonly attributes: bigint;
}

export interface Gpt {
  readonly guid: Guid;
  readonly diskSectors: number;
  readonly partitions: readonly Partition[];
}

/** Bytes and where they go. */
export interface DiskPiece {
  readonly offsetBytes: number;
  readonly bytes: Buffer;
}

const Header = struct("GPT header", 92, {
  signature: "bytes:8",
  revision: "u32",
  headerBytes: "u32",
  headerCrc: "u32",
  reserved: "zero:4",
  ownSector: "u64",
  otherSector: "u64",
  firstUsable: "u64",
  lastUsable: "u64",
  diskGuid: "bytes:16",
  entriesSector: "u64",
  entryCount: "u32",
  entryBytes: "u32",
  entriesCrc: "u32",
});

const Entry = struct("GPT entry", 128, {
  type: "bytes:16",
  guid: "bytes:16",
  firstSector: "u64",
  lastSector: "u64",
  attributes: "u64",
  name: "bytes:72",
});

const Mbr = struct("protective MBR", 512, {
  bootCode: "bytes:446",
  bootIndicator: "u8",
  startChs: "bytes:3",
  type: "u8",
  endChs: "bytes:3",
  firstSector: "u32",
  sectorCount: "u32",
  otherEntries: "bytes:48",
  signature: "u16",
});

const ENTRIES = 128;
const ENTRY_SECTORS = (ENTRIES * Entry.sizeBytes) / SECTOR_BYTES;
const SIGNATURE = Buffer.from("EFI PART", "latin1");
const REVISION = 0x00010000;

/** First sector that a partition may use. */
export const FIRST_USABLE_SECTOR = 2 + ENTRY_SECTORS;

/** Last sector that a partition may use: entries and header of the backup follow it. */
export function lastUsableSector(diskSectors: number): number {
  return diskSectors - ENTRY_SECTORS - 2;
}

/**
 * The pieces of the table, in the order in which they lie on the disk. The first 440 bytes (boot code) are zero.
 * Throws RangeError for partitions that overlap, repeat a number or leave the usable range.
 */
export function writeGpt(gpt: Gpt): readonly DiskPiece[] {
  checkPartitions(gpt);
  const entries = Buffer.alloc(ENTRIES * Entry.sizeBytes);
  for (const partition of gpt.partitions) writeEntry(entries, partition);
  const last = gpt.diskSectors - 1;
  const header = (own: number, other: number, firstEntry: number): Buffer =>
    writeHeader(gpt, { own, other, firstEntry, entriesCrc: crc32(entries) });
  return [
    { offsetBytes: 0, bytes: writeProtectiveMbr(gpt.diskSectors) },
    { offsetBytes: SECTOR_BYTES, bytes: header(1, last, 2) },
    { offsetBytes: 2 * SECTOR_BYTES, bytes: entries },
    { offsetBytes: (last - ENTRY_SECTORS) * SECTOR_BYTES, bytes: entries },
    { offsetBytes: last * SECTOR_BYTES, bytes: header(last, 1, last - ENTRY_SECTORS) },
  ];
}

/** Reads the primary table from the first 34 sectors of a disk. Throws RangeError with the field that is wrong. */
export function readGpt(start: Uint8Array): Gpt {
  const disk = Buffer.from(start.buffer, start.byteOffset, start.length);
  if (disk.length < FIRST_USABLE_SECTOR * SECTOR_BYTES) {
    throw new RangeError(
      `Cannot read GPT: ${disk.length} bytes, wanted at least ${FIRST_USABLE_SECTOR * SECTOR_BYTES}`,
    );
  }
  if (!disk.subarray(SECTOR_BYTES, SECTOR_BYTES + SIGNATURE.length).equals(SIGNATURE)) {
    throw new RangeError('Cannot read GPT: sector 1 has no signature "EFI PART"');
  }
  const header = Header.read(disk, SECTOR_BYTES);
  const unsigned = Buffer.alloc(Header.sizeBytes);
  Header.write(unsigned, 0, { ...header, headerCrc: 0 });
  const entries = disk.subarray(2 * SECTOR_BYTES, FIRST_USABLE_SECTOR * SECTOR_BYTES);
  expect("revision", header.revision, REVISION);
  expect("header size", header.headerBytes, Header.sizeBytes);
  expect("header CRC", header.headerCrc, crc32(unsigned));
  expect("own sector", Number(header.ownSector), 1);
  expect("entries sector", Number(header.entriesSector), 2);
  expect("entry count", header.entryCount, ENTRIES);
  expect("entry size", header.entryBytes, Entry.sizeBytes);
  expect("entries CRC", header.entriesCrc, crc32(entries));
  const slots = Array.from({ length: ENTRIES }, (_, index) => readEntry(entries, index));
  const gpt: Gpt = {
    guid: bytesToGuid(header.diskGuid),
    diskSectors: toSafeInteger(header.otherSector, "GPT backup sector") + 1,
    partitions: slots.filter((slot) => slot !== undefined),
  };
  checkPartitions(gpt);
  return gpt;
}

function checkPartitions(gpt: Gpt): void {
  const last = lastUsableSector(gpt.diskSectors);
  const numbers = new Set<number>();
  let end = FIRST_USABLE_SECTOR - 1;
  for (const partition of [...gpt.partitions].sort((left, right) => left.firstSector - right.firstSector)) {
    const what = `Cannot place partition ${partition.number} "${partition.name}" at sectors ${partition.firstSector}-${partition.lastSector}`;
    if (
      !Number.isInteger(partition.number) ||
      partition.number < 1 ||
      partition.number > ENTRIES ||
      numbers.has(partition.number)
    ) {
      throw new RangeError(`${what}: its number is taken or not within 1-${ENTRIES}`);
    }
    if (partition.lastSector < partition.firstSector || partition.lastSector > last) {
      throw new RangeError(`${what}: the disk's usable sectors end at ${last}`);
    }
    if (partition.firstSector <= end) throw new RangeError(`${what}: sectors up to ${end} are in use`);
    if (partition.name.length > 36) throw new RangeError(`${what}: the name is longer than 36 characters`);
    numbers.add(partition.number);
    end = partition.lastSector;
  }
}

interface HeaderPlaces {
  readonly own: number;
  readonly other: number;
  readonly firstEntry: number;
  readonly entriesCrc: number;
}

function writeHeader(gpt: Gpt, places: HeaderPlaces): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  const header = {
    signature: SIGNATURE,
    revision: REVISION,
    headerBytes: Header.sizeBytes,
    headerCrc: 0,
    ownSector: BigInt(places.own),
    otherSector: BigInt(places.other),
    firstUsable: BigInt(FIRST_USABLE_SECTOR),
    lastUsable: BigInt(lastUsableSector(gpt.diskSectors)),
    diskGuid: guidToBytes(gpt.guid),
    entriesSector: BigInt(places.firstEntry),
    entryCount: ENTRIES,
    entryBytes: Entry.sizeBytes,
    entriesCrc: places.entriesCrc,
  };
  Header.write(sector, 0, header);
  Header.write(sector, 0, { ...header, headerCrc: crc32(sector.subarray(0, Header.sizeBytes)) });
  return sector;
}

function writeEntry(entries: Buffer, partition: Partition): void {
  const name = Buffer.alloc(72);
  name.write(partition.name, "utf16le");
  Entry.write(entries, (partition.number - 1) * Entry.sizeBytes, {
    type: guidToBytes(partition.type),
    guid: guidToBytes(partition.guid),
    firstSector: BigInt(partition.firstSector),
    lastSector: BigInt(partition.lastSector),
    attributes: partition.attributes,
    name,
  });
}

function readEntry(entries: Buffer, index: number): Partition | undefined {
  const entry = Entry.read(entries, index * Entry.sizeBytes);
  if (entry.type.every((byte) => byte === 0)) return undefined;
  return {
    number: index + 1,
    type: bytesToGuid(entry.type),
    guid: bytesToGuid(entry.guid),
    firstSector: toSafeInteger(entry.firstSector, "GPT first sector"),
    lastSector: toSafeInteger(entry.lastSector, "GPT last sector"),
    name: Buffer.from(entry.name).toString("utf16le").replace(/\0.*$/su, ""),
    attributes: entry.attributes,
  };
}

/** One partition of type 0xEE over the whole disk, so that tools without GPT keep their hands off. */
function writeProtectiveMbr(diskSectors: number): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  Mbr.write(sector, 0, {
    bootCode: Buffer.alloc(446),
    bootIndicator: 0,
    startChs: Buffer.from([0x00, 0x02, 0x00]),
    type: 0xee,
    endChs: Buffer.from([0xff, 0xff, 0xff]),
    firstSector: 1,
    sectorCount: Math.min(diskSectors - 1, 0xffffffff),
    otherEntries: Buffer.alloc(48),
    signature: 0xaa55,
  });
  return sector;
}

function expect(field: string, value: number, wanted: number): void {
  if (value !== wanted) throw new RangeError(`Cannot read GPT: ${field} is ${value}, wanted ${wanted}`);
}
