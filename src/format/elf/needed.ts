/**
 * readElf(): what a dynamically linked program needs: its interpreter and the names of its libraries. 64-bit little-endian
 * only; every offset is checked, so any input either gives an answer or a RangeError.
 *
 * @see System V ABI, "Object Files" and "Dynamic Linking"; Linux include/uapi/linux/elf.h
 */

export interface ElfInfo {
  /** PT_INTERP, e.g. /lib64/ld-linux-x86-64.so.2; undefined for a static program or a library. */
  readonly interpreter: string | undefined;
  /** DT_NEEDED, in the file's order. */
  readonly needed: readonly string[];
  /** DT_RUNPATH or DT_RPATH, split. */
  readonly runPath: readonly string[];
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

const ELF_HEADER = { bytes: 64, programOffset: 32, programEntrySize: 54, programCount: 56 } as const;
const PROGRAM_HEADER = { bytes: 56, type: 0, offset: 8, address: 16, fileSize: 32 } as const;
const DYNAMIC_ENTRY_BYTES = 16;
const PT = { load: 1, dynamic: 2, interp: 3 } as const;
const DT = { null: 0, needed: 1, stringTable: 5, stringSize: 10, rpath: 15, runPath: 29 } as const;

export function isElf(file: Uint8Array): boolean {
  return file.length >= 4 && file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;
}

export function readElf(file: Buffer): ElfInfo {
  if (!isElf(file) || file.length < ELF_HEADER.bytes)
    throw new RangeError("Cannot read ELF file: it has no ELF header");
  if (file[4] !== 2 || file[5] !== 1) throw new RangeError("Cannot read ELF file: wanted 64 bit, little-endian");
  const segments = readSegments(file);
  const interp = segments.find((segment) => segment.type === PT.interp);
  return {
    interpreter: interp && textAt(file, interp.offset, interp.size, "PT_INTERP"),
    ...readDynamic(file, segments),
  };
}

function readSegments(file: Buffer): Segment[] {
  const start = offsetAt(file, ELF_HEADER.programOffset, "e_phoff");
  const entrySize = file.readUInt16LE(ELF_HEADER.programEntrySize);
  const count = file.readUInt16LE(ELF_HEADER.programCount);
  if (count > 0 && entrySize < PROGRAM_HEADER.bytes)
    throw new RangeError(`Cannot read ELF file: e_phentsize is ${entrySize}`);
  return Array.from({ length: count }, (_, i) => {
    const at = start + i * entrySize;
    checkRange(file, at, PROGRAM_HEADER.bytes, `program header ${i}`);
    return {
      type: file.readUInt32LE(at + PROGRAM_HEADER.type),
      offset: offsetAt(file, at + PROGRAM_HEADER.offset, "p_offset"),
      address: offsetAt(file, at + PROGRAM_HEADER.address, "p_vaddr"),
      size: offsetAt(file, at + PROGRAM_HEADER.fileSize, "p_filesz"),
    };
  });
}

function readDynamic(file: Buffer, segments: readonly Segment[]): Pick<ElfInfo, "needed" | "runPath"> {
  const dynamic = segments.find((segment) => segment.type === PT.dynamic);
  if (dynamic === undefined) return { needed: [], runPath: [] };
  checkRange(file, dynamic.offset, dynamic.size, "PT_DYNAMIC");
  const entries: [tag: number, value: number][] = [];
  for (let at = dynamic.offset; at + DYNAMIC_ENTRY_BYTES <= dynamic.offset + dynamic.size; at += DYNAMIC_ENTRY_BYTES) {
    const tag = file.readBigInt64LE(at);
    if (tag === BigInt(DT.null)) break;
    if (tag > 0n && tag <= BigInt(DT.runPath)) entries.push([Number(tag), Number(file.readBigUInt64LE(at + 8))]);
  }
  const value = (wanted: number): number | undefined => entries.find(([tag]) => tag === wanted)?.[1];
  const tableAddress = value(DT.stringTable);
  if (tableAddress === undefined) return { needed: [], runPath: [] };
  const table = fileOffset(segments, tableAddress);
  const tableSize = value(DT.stringSize) ?? 0;
  checkRange(file, table, tableSize, "DT_STRTAB");
  const string = (offset: number): string => {
    if (offset >= tableSize) throw new RangeError(`Cannot read ELF file: string offset ${offset} is outside DT_STRTAB`);
    return textAt(file, table + offset, tableSize - offset, "DT_STRTAB entry");
  };
  const path = value(DT.runPath) ?? value(DT.rpath);
  return {
    needed: entries.filter(([tag]) => tag === DT.needed).map(([, offset]) => string(offset)),
    runPath: path === undefined ? [] : string(path).split(":"),
  };
}

function fileOffset(segments: readonly Segment[], address: number): number {
  const holder = segments.find(
    (segment) => segment.type === PT.load && address >= segment.address && address < segment.address + segment.size,
  );
  if (holder === undefined) throw new RangeError(`Cannot read ELF file: address ${address} is in no PT_LOAD`);
  return address - holder.address + holder.offset;
}

function textAt(file: Buffer, at: number, size: number, what: string): string {
  checkRange(file, at, size, what);
  const end = file.indexOf(0, at);
  if (end === -1 || end >= at + size) throw new RangeError(`Cannot read ELF file: ${what} has no end`);
  return file.toString("latin1", at, end);
}

function offsetAt(file: Buffer, at: number, field: string): number {
  const value = file.readBigUInt64LE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError(`Cannot read ELF file: ${field} is ${value}`);
  return Number(value);
}

function checkRange(file: Buffer, at: number, size: number, what: string): void {
  if (at + size > file.length) throw new RangeError(`Cannot read ELF file: ${what} ends outside the file`);
}
