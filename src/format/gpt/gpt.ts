/**
 * Gpt: a GUID partition table of 128 entries on 512-byte sectors: protective MBR, primary header and entries at the start of
 * the disk, their backup at its end. What is written passes `sfdisk --verify` and `sgdisk --verify`.
 *
 * @see UEFI 2.10, chapter 5 "GUID Partition Table (GPT) Disk Layout"
 */
import { crc32 } from "node:zlib";
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

const ENTRIES = 128;
const ENTRY_BYTES = 128;
const ENTRY_SECTORS = (ENTRIES * ENTRY_BYTES) / SECTOR_BYTES;
const HEADER_BYTES = 92;
const SIGNATURE = "EFI PART";
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
  const entries = Buffer.alloc(ENTRIES * ENTRY_BYTES);
  for (const partition of gpt.partitions) writeEntry(partition).copy(entries, (partition.number - 1) * ENTRY_BYTES);
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
    throw new RangeError(`Cannot read GPT: ${disk.length} bytes, wanted at least ${FIRST_USABLE_SECTOR * SECTOR_BYTES}`);
  }
  const header = Buffer.from(disk.subarray(SECTOR_BYTES, SECTOR_BYTES + HEADER_BYTES));
  const fields = cursor(header);
  if (fields.bytes(8).toString("latin1") !== SIGNATURE) throw new RangeError("Cannot read GPT: no signature \"EFI PART\" in sector 1");
  expect("revision", fields.u32(), REVISION);
  expect("header size", fields.u32(), HEADER_BYTES);
  const headerCrc = fields.u32();
  header.writeUInt32LE(0, fields.position() - 4);
  expect("header CRC", headerCrc, crc32(header));
  fields.skip(4);
  expect("own sector", fields.u64(), 1);
  const backup = fields.u64();
  fields.skip(16);
  const guid = bytesToGuid(fields.bytes(16));
  expect("entries sector", fields.u64(), 2);
  expect("entry count", fields.u32(), ENTRIES);
  expect("entry size", fields.u32(), ENTRY_BYTES);
  const entries = disk.subarray(2 * SECTOR_BYTES, FIRST_USABLE_SECTOR * SECTOR_BYTES);
  expect("entries CRC", fields.u32(), crc32(entries));
  const slots = Array.from({ length: ENTRIES }, (_, index) => readEntry(entries, index));
  const gpt: Gpt = { guid, diskSectors: backup + 1, partitions: slots.filter((slot) => slot !== undefined) };
  checkPartitions(gpt);
  return gpt;
}

function checkPartitions(gpt: Gpt): void {
  const last = lastUsableSector(gpt.diskSectors);
  const numbers = new Set<number>();
  let end = FIRST_USABLE_SECTOR - 1;
  for (const partition of [...gpt.partitions].sort((left, right) => left.firstSector - right.firstSector)) {
    const what = `Cannot place partition ${partition.number} "${partition.name}" at sectors ${partition.firstSector}-${partition.lastSector}`;
    if (!Number.isInteger(partition.number) || partition.number < 1 || partition.number > ENTRIES || numbers.has(partition.number)) {
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
  const compose = (headerCrc: number): Buffer =>
    Buffer.concat([
      Buffer.from(SIGNATURE, "latin1"), u32(REVISION), u32(HEADER_BYTES), u32(headerCrc), u32(0),
      u64(places.own), u64(places.other), u64(FIRST_USABLE_SECTOR), u64(lastUsableSector(gpt.diskSectors)),
      guidToBytes(gpt.guid), u64(places.firstEntry), u32(ENTRIES), u32(ENTRY_BYTES), u32(places.entriesCrc),
    ]);
  compose(crc32(compose(0))).copy(sector);
  return sector;
}

function writeEntry(partition: Partition): Buffer {
  const name = Buffer.alloc(72);
  name.write(partition.name, "utf16le");
  const attributes = Buffer.alloc(8);
  attributes.writeBigUInt64LE(partition.attributes);
  return Buffer.concat([
    guidToBytes(partition.type), guidToBytes(partition.guid), u64(partition.firstSector), u64(partition.lastSector), attributes, name,
  ]);
}

function readEntry(entries: Buffer, index: number): Partition | undefined {
  const fields = cursor(entries.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES));
  const type = fields.bytes(16);
  if (type.every((byte) => byte === 0)) return undefined;
  const guid = bytesToGuid(fields.bytes(16));
  const firstSector = fields.u64();
  const lastSector = fields.u64();
  const attributes = fields.bytes(8).readBigUInt64LE();
  const name = fields.bytes(72).toString("utf16le").replace(/\0.*$/su, "");
  return { number: index + 1, type: bytesToGuid(type), guid, firstSector, lastSector, name, attributes };
}

/** One partition of type 0xEE over the whole disk, so that tools without GPT keep their hands off. */
function writeProtectiveMbr(diskSectors: number): Buffer {
  const covered = Math.min(diskSectors - 1, 0xffffffff);
  return Buffer.concat([
    Buffer.alloc(446),
    Buffer.from([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff]), u32(1), u32(covered),
    Buffer.alloc(48),
    Buffer.from([0x55, 0xaa]),
  ]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

interface Cursor {
  bytes(count: number): Buffer;
  u32(): number;
  u64(): number;
  skip(count: number): void;
  position(): number;
}

function cursor(buffer: Buffer): Cursor {
  let at = 0;
  const take = (count: number): Buffer => {
    at += count;
    return buffer.subarray(at - count, at);
  };
  return {
    bytes: take,
    u32: () => take(4).readUInt32LE(),
    u64: () => {
      const value = take(8).readBigUInt64LE();
      if (value > BigInt(Number.MAX_SAFE_INTEGER - 1)) throw new RangeError(`Cannot read GPT: sector ${value} is out of range`);
      return Number(value);
    },
    skip: (count) => {
      at += count;
    },
    position: () => at,
  };
}

function expect(field: string, value: number, wanted: number): void {
  if (value !== wanted) throw new RangeError(`Cannot read GPT: ${field} is ${value}, wanted ${wanted}`);
}
