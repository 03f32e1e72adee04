/**
 * The tar header block: ustar with the GNU base-256 numbers that every writer uses for what octal cannot hold. Reading never
 * trusts a field: the checksum is verified, numbers are bounded, names end inside their field.
 *
 * @see POSIX.1-2024 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format"
 */
import type { ByteName } from "../../core/bytes.ts";

export const BLOCK_BYTES = 512;

/** Where each field of the block lies: offset and length in bytes. */
const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkname: [157, 100],
  magic: [257, 6],
  version: [263, 2],
  devmajor: [329, 8],
  devminor: [337, 8],
  prefix: [345, 155],
} as const satisfies Readonly<Record<string, readonly [offset: number, length: number]>>;

type FieldName = keyof typeof FIELDS;

export interface TarHeader {
  /** Prefix and name joined, as they stand. */
  readonly name: ByteName;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeSec: number;
  /** One character; "0" for the NUL of pre-POSIX archives. */
  readonly type: string;
  readonly linkname: ByteName;
  readonly devMajor: number;
  readonly devMinor: number;
}

/** Largest values of the octal fields. */
export const OCTAL_ID_MAX = 0o7777777;
export const OCTAL_SIZE_MAX = 0o77777777777;
export const NAME_FIELD_BYTES = FIELDS.name[1];
export const PREFIX_FIELD_BYTES = FIELDS.prefix[1];

/** True for a block of zeros: half of an end-of-archive mark. */
export function isZeroBlock(bytes: Buffer, offset: number): boolean {
  for (let i = offset; i < offset + BLOCK_BYTES; i += 1) if (bytes[i] !== 0) return false;
  return true;
}

/** Throws SyntaxError naming the field. `offset` is where the block starts in `bytes`. */
export function readHeader(bytes: Buffer, offset: number): TarHeader {
  verifyChecksum(bytes, offset);
  const magic = bytes.toString("latin1", offset + FIELDS.magic[0], offset + FIELDS.version[0]);
  const isUstar = magic === "ustar\0";
  const name = readText(bytes, offset, "name");
  const prefix = isUstar ? readText(bytes, offset, "prefix") : "";
  const type = bytes[offset + FIELDS.type[0]] ?? 0;
  const hasDevice = (isUstar || magic === "ustar ") && (type === 0x33 || type === 0x34);
  return {
    name: (prefix === "" ? name : `${prefix}/${name}`) as ByteName,
    mode: readNumber(bytes, offset, "mode"),
    uid: readNumber(bytes, offset, "uid"),
    gid: readNumber(bytes, offset, "gid"),
    size: readNumber(bytes, offset, "size"),
    mtimeSec: readNumber(bytes, offset, "mtime"),
    type: type === 0 ? "0" : String.fromCharCode(type),
    linkname: readText(bytes, offset, "linkname") as ByteName,
    devMajor: hasDevice ? readNumber(bytes, offset, "devmajor") : 0,
    devMinor: hasDevice ? readNumber(bytes, offset, "devminor") : 0,
  };
}

/** `name` is what stands in the name field, at most 100 bytes; every number fits its octal field. */
export function writeHeader(header: TarHeader, prefix: string): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  writeText(block, "name", header.name);
  writeOctal(block, "mode", header.mode);
  writeOctal(block, "uid", header.uid);
  writeOctal(block, "gid", header.gid);
  writeOctal(block, "size", header.size);
  writeOctal(block, "mtime", header.mtimeSec);
  writeText(block, "type", header.type);
  writeText(block, "linkname", header.linkname);
  writeText(block, "magic", "ustar\0");
  writeText(block, "version", "00");
  writeOctal(block, "devmajor", header.devMajor);
  writeOctal(block, "devminor", header.devMinor);
  writeText(block, "prefix", prefix);
  const sum = sumOf(block, 0).unsigned;
  writeText(block, "checksum", `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}

/** Zeros that fill the last block of `size` bytes. */
export function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

function verifyChecksum(bytes: Buffer, offset: number): void {
  const wanted = readNumber(bytes, offset, "checksum");
  const { unsigned, signed } = sumOf(bytes, offset);
  if (wanted !== unsigned && wanted !== signed) {
    throw new SyntaxError(`header checksum is ${wanted}, wanted ${unsigned}`);
  }
}

/** Both sums in use: POSIX adds unsigned bytes, some old writers added signed ones. The checksum field counts as spaces. */
function sumOf(bytes: Buffer, offset: number): { unsigned: number; signed: number } {
  let sum = 0;
  let high = 0;
  const end = offset + BLOCK_BYTES;
  for (let i = offset; i < end; i += 1) {
    const byte = bytes[i] ?? 0;
    sum += byte;
    if (byte > 0x7f) high += 1;
  }
  const field = offset + FIELDS.checksum[0];
  for (let i = field; i < field + FIELDS.checksum[1]; i += 1) {
    const byte = bytes[i] ?? 0;
    sum += 0x20 - byte;
    if (byte > 0x7f) high -= 1;
  }
  return { unsigned: sum, signed: sum - high * 256 };
}

function readText(bytes: Buffer, offset: number, field: FieldName): string {
  const start = offset + FIELDS[field][0];
  const end = start + FIELDS[field][1];
  const nul = bytes.indexOf(0, start);
  return bytes.toString("latin1", start, nul >= 0 && nul < end ? nul : end);
}

function readNumber(bytes: Buffer, offset: number, field: FieldName): number {
  const start = offset + FIELDS[field][0];
  const end = start + FIELDS[field][1];
  const first = bytes[start] ?? 0;
  if ((first & 0x80) !== 0) return readBase256(bytes, start, end, field);
  let i = start;
  while (i < end && (bytes[i] === 0x20 || bytes[i] === 0)) i += 1;
  let value = 0;
  for (; i < end; i += 1) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; i < end; i += 1) {
    if (bytes[i] !== 0x20 && bytes[i] !== 0) {
      throw new SyntaxError(
        `field ${field} is ${JSON.stringify(bytes.toString("latin1", start, end))}, wanted octal digits`,
      );
    }
  }
  return value;
}

/** Two's complement, big endian, the top bit set as the mark. Only mtime may be negative. */
function readBase256(bytes: Buffer, start: number, end: number, field: FieldName): number {
  const first = bytes[start] ?? 0;
  const negative = (first & 0x40) !== 0;
  let value = negative ? -1n : 0n;
  value = (value << 6n) | BigInt(first & 0x3f);
  for (let i = start + 1; i < end; i += 1) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new SyntaxError(`field ${field} is ${value}, which does not fit in 53 bits`);
  if (number < 0 && field !== "mtime") throw new SyntaxError(`field ${field} is ${number}, wanted a number >= 0`);
  return number;
}

function writeText(block: Buffer, field: FieldName, text: string): void {
  const [offset, length] = FIELDS[field];
  if (text.length > length)
    throw new RangeError(`Cannot write tar field ${field}: ${text.length} bytes do not fit in ${length}`);
  block.write(text, offset, "latin1");
}

/** Digits with leading zeros and a NUL at the end, as GNU tar and Go write them. */
function writeOctal(block: Buffer, field: FieldName, value: number): void {
  const digits = FIELDS[field][1] - 1;
  const text = value.toString(8).padStart(digits, "0");
  if (value < 0 || !Number.isSafeInteger(value) || text.length > digits) {
    throw new RangeError(`Cannot write tar field ${field}: ${value} does not fit in ${digits} octal digits`);
  }
  writeText(block, field, `${text}\0`);
}
