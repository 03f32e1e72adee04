/**
 * struct(): a fixed-size record of a byte format as a table of fields: its size is checked where it is declared, and reader
 * and writer come from the same table, so that no offset is written twice. Reserved bytes (`zero:N`) are written as zero and
 * must be zero when read.
 */

/**
 * u64 and i64 are bigint at this edge; u53 and i53 are 64 bits wide too, but hold a safe integer and are numbers; `bytes:N` is raw;
 * `zero:N` is reserved.
 */
export type FieldType = NumberType | "u64" | "i64" | `bytes:${number}` | `zero:${number}`;
type NumberType = "u8" | "u16" | "u32" | "u53" | "i53";
export type Fields = Readonly<Record<string, FieldType>>;

export type StructValues<F extends Fields> = {
  readonly [Name in keyof F as F[Name] extends `zero:${number}` ? never : Name]: F[Name] extends "u64" | "i64"
    ? bigint
    : F[Name] extends `bytes:${number}`
      ? Uint8Array
      : number;
};

export interface Struct<F extends Fields> {
  readonly name: string;
  readonly sizeBytes: number;
  /** Of each field within the record: for code that writes so many that write() is too slow, field by field. */
  readonly offsets: { readonly [Name in keyof F]: number };
  /** Throws RangeError past the end or for a u53 beyond it, SyntaxError for reserved bytes that are not zero. `bytes` are views. */
  read(bytes: Buffer, offset: number): StructValues<F>;
  /** Returns the offset after the record. Throws RangeError for a value that its field cannot hold. */
  write(bytes: Buffer, offset: number, values: StructValues<F>): number;
  /** `name=value` pairs, for people. */
  dump(values: StructValues<F>): string;
}

interface Field {
  readonly name: string;
  readonly type: NumberType | "u64" | "i64" | "bytes" | "zero";
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface StructOptions {
  /** Byte order; little by default. */
  readonly endian?: "little" | "big";
}

export function struct<const F extends Fields>(
  name: string,
  sizeBytes: number,
  fields: F,
  options: StructOptions = {},
): Struct<F> {
  const table = layOut(name, sizeBytes, fields);
  const little = options.endian !== "big";
  const offsets = Object.fromEntries(table.map((field) => [field.name, field.offset]));
  return {
    name,
    sizeBytes,
    offsets: offsets as Struct<F>["offsets"],
    read(bytes, offset) {
      if (offset < 0 || offset + sizeBytes > bytes.length) {
        throw new RangeError(`Cannot read ${name} at ${offset}: it ends past the ${bytes.length} bytes there are`);
      }
      const values: Record<string, number | bigint | Uint8Array> = {};
      for (const field of table) {
        if (field.type === "zero") requireZero(bytes, offset + field.offset, field, name);
        else values[field.name] = readField(bytes, offset + field.offset, field, little);
      }
      return values as StructValues<F>;
    },
    write(bytes, offset, values) {
      const source = values as Readonly<Record<string, number | bigint | Uint8Array>>;
      for (const field of table) {
        const value = source[field.name];
        if (value === undefined) writeZero(bytes, offset + field.offset, field);
        else if (typeof value === "number") writeNumber(bytes, offset + field.offset, field, value, little);
        else if (typeof value === "bigint") writeBig(bytes, offset + field.offset, field, value, little);
        else writeBytes(bytes, offset + field.offset, field, value, name);
      }
      return offset + sizeBytes;
    },
    dump(values) {
      return Object.entries(values as Readonly<Record<string, number | bigint | Uint8Array>>)
        .map(([key, value]) => `${key}=${value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value}`)
        .join(" ");
    },
  };
}

function layOut(name: string, sizeBytes: number, fields: Fields): readonly Field[] {
  const table: Field[] = [];
  let offset = 0;
  for (const [fieldName, type] of Object.entries(fields)) {
    const [kind = "", count = ""] = type.split(":");
    const fixed = { u8: 1, u16: 2, u32: 4, u53: 8, i53: 8, u64: 8, i64: 8 }[kind];
    const size = fixed ?? Number(count);
    table.push({ name: fieldName, type: kind as Field["type"], offset, sizeBytes: size });
    offset += size;
  }
  if (offset !== sizeBytes)
    throw new TypeError(`Cannot declare ${name}: its fields take ${offset} of ${sizeBytes} bytes`);
  return table;
}

function requireZero(bytes: Buffer, at: number, field: Field, name: string): void {
  for (let index = at; index < at + field.sizeBytes; index++) {
    if (bytes[index] !== 0) {
      throw new SyntaxError(`Cannot read ${name}: reserved byte at ${index} (${field.name}) is not zero`);
    }
  }
}

function readField(bytes: Buffer, at: number, field: Field, little: boolean): number | bigint | Uint8Array {
  switch (field.type) {
    case "u8":
      return bytes.readUInt8(at);
    case "u16":
      return little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
    case "u32":
      return little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
    case "u53":
    case "i53":
      return readWide(bytes, at, field, little);
    case "u64":
      return little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at);
    case "i64":
      return little ? bytes.readBigInt64LE(at) : bytes.readBigInt64BE(at);
    case "bytes":
    case "zero":
      return bytes.subarray(at, at + field.sizeBytes);
  }
}

const WORD = 2 ** 32;

function readWide(bytes: Buffer, at: number, field: Field, little: boolean): number {
  const low = little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at + 4);
  const highAt = little ? at + 4 : at;
  const unsigned = little ? bytes.readUInt32LE(highAt) : bytes.readUInt32BE(highAt);
  const value = (field.type === "i53" ? unsigned | 0 : unsigned) * WORD + low;
  if (!Number.isSafeInteger(value))
    throw new RangeError(`Cannot read ${field.name} at ${at}: it does not fit in 53 bits`);
  return value;
}

function writeWide(bytes: Buffer, at: number, field: Field, value: number, little: boolean): void {
  if (!Number.isSafeInteger(value) || (field.type === "u53" && value < 0)) {
    throw new RangeError(`Cannot write ${field.name}: ${value} does not fit`);
  }
  if (little) {
    writeInt53LE(bytes, value, at);
    return;
  }
  const high = Math.floor(value / WORD);
  bytes.writeInt32BE(high, at);
  bytes.writeUInt32BE(value - high * WORD, at + 4);
}

/** A safe integer in 64 bits, as fields u53 and i53 hold it. Throws RangeError for any other number. */
export function writeInt53LE(bytes: Buffer, value: number, at: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError(`Cannot write ${value}: it is no safe integer`);
  const high = Math.floor(value / WORD);
  bytes.writeUInt32LE(value - high * WORD, at);
  bytes.writeInt32LE(high, at + 4);
}

/** Not fill(): most reserved fields are a few bytes. */
function writeZero(bytes: Buffer, at: number, field: Field): void {
  for (let index = at; index < at + field.sizeBytes; index++) bytes[index] = 0;
}

function writeNumber(bytes: Buffer, at: number, field: Field, value: number, little: boolean): void {
  switch (field.type) {
    case "u8":
      bytes.writeUInt8(value, at);
      return;
    case "u16":
      if (little) bytes.writeUInt16LE(value, at);
      else bytes.writeUInt16BE(value, at);
      return;
    case "u32":
      if (little) bytes.writeUInt32LE(value, at);
      else bytes.writeUInt32BE(value, at);
      return;
    case "u53":
    case "i53":
      writeWide(bytes, at, field, value, little);
      return;
    case "bytes":
    case "i64":
    case "u64":
    case "zero":
      throw new TypeError(`Cannot write ${field.name}: a number stands where ${field.type} is wanted`);
  }
}

function writeBig(bytes: Buffer, at: number, field: Field, value: bigint, little: boolean): void {
  if (field.type === "u64") {
    if (little) bytes.writeBigUInt64LE(value, at);
    else bytes.writeBigUInt64BE(value, at);
  } else if (little) bytes.writeBigInt64LE(value, at);
  else bytes.writeBigInt64BE(value, at);
}

function writeBytes(bytes: Buffer, at: number, field: Field, value: Uint8Array, name: string): void {
  if (value.length !== field.sizeBytes) {
    throw new RangeError(`Cannot write ${name}: ${field.name} has ${value.length} bytes, wanted ${field.sizeBytes}`);
  }
  bytes.set(value, at);
}
