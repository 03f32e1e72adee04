/**
 * readXzFile(): how an xz file was packed, as far as its headers say, and what it expands to. Checks nothing that `xz` checks itself
 * when it expands the file; a file that lies about its sizes does so within its own length only.
 *
 * @see tukaani.org/xz/xz-file-format.txt
 */
import { struct } from "../../core/struct.ts";

export interface XzFile {
  readonly settings: XzSettings;
  /** As its index says. */
  readonly expandedBytes: number;
}

/** Of the program `xz`. What no header says (how hard it tried) is that of its presets 6 to 9. */
export interface XzSettings {
  readonly check: XzCheck;
  /** Of the dictionary, as an exponent with a half: 2^12 for 0, 3 * 2^11 for 1, 2^13 for 2, … */
  readonly dictionary: number;
  /** Before LZMA2, the filter for x86 code. */
  readonly x86: boolean;
  /** Written by the encoder with threads: it cuts into blocks, whose headers say their sizes. */
  readonly threads: boolean;
}

export type XzCheck = (typeof XZ_CHECKS)[number];
export const XZ_CHECKS = ["none", "crc32", "crc64", "sha256"] as const;
/** 8 MiB, that of preset 6: to pack takes about twelve times as much memory. */
export const XZ_DICTIONARY_MAX = 22;

const Header = struct("xz stream header", 12, { magic: "bytes:6", zero: "u8", check: "u8", crc: "u32" });
const Footer = struct("xz stream footer", 12, {
  crc: "u32",
  indexWords: "u32",
  zero: "u8",
  check: "u8",
  magic: "bytes:2",
});

const MAGIC = Buffer.from("fd377a585a00", "hex");
const FOOTER_MAGIC = Buffer.from("YZ", "latin1");
const CHECK_IDS: Readonly<Record<number, XzCheck>> = { 0: "none", 1: "crc32", 4: "crc64", 10: "sha256" };
const X86_ID = 4;
const LZMA2_ID = 0x21;
/** Of a block header's flags; the lowest two bits count the filters. */
const HAS_SIZES = 0xc0;
const RESERVED_FLAGS = 0x3c;
const NUMBER_BYTES_MAX = 9;

export function isXz(start: Uint8Array): boolean {
  return MAGIC.equals(start.subarray(0, MAGIC.length));
}

/** undefined for anything but one stream, whole and without padding, by LZMA2 with a dictionary that `xz` need not be afraid of. */
export function readXzFile(file: Buffer): XzFile | undefined {
  if (file.length < Header.sizeBytes + Footer.sizeBytes || !isXz(file)) return undefined;
  const { check: id, zero } = Header.read(file, 0);
  const check = CHECK_IDS[id];
  const footerAt = file.length - Footer.sizeBytes;
  const footer = Footer.read(file, footerAt);
  const indexAt = footerAt - 4 * (footer.indexWords + 1);
  if (check === undefined || zero !== 0 || !FOOTER_MAGIC.equals(footer.magic) || indexAt <= Header.sizeBytes)
    return undefined;
  const filters = readBlockHeader(file.subarray(Header.sizeBytes, indexAt));
  const index = readIndex(file.subarray(indexAt, footerAt));
  if (filters === undefined || index === undefined || Header.sizeBytes + index.blockBytes !== indexAt) return undefined;
  return { settings: { check, ...filters }, expandedBytes: index.expandedBytes };
}

/** Bytes of the dictionary. */
export function dictionaryBytes({ dictionary }: Pick<XzSettings, "dictionary">): number {
  return (2 + (dictionary % 2)) * 2 ** (Math.floor(dictionary / 2) + 11);
}

function readBlockHeader(block: Buffer): Omit<XzSettings, "check"> | undefined {
  const from = createReader(block);
  from.byte();
  const flags = from.byte();
  if ((flags & RESERVED_FLAGS) !== 0) return undefined;
  const sizes = flags & HAS_SIZES;
  if (sizes !== 0 && sizes !== HAS_SIZES) return undefined;
  const threads = sizes === HAS_SIZES;
  if (threads) {
    from.number();
    from.number();
  }
  const filters = Array.from({ length: (flags & 3) + 1 }, () => {
    const id = from.number();
    const propertyBytes = from.number();
    return { id, propertyBytes, property: propertyBytes === 0 ? 0 : from.byte() };
  });
  const lzma2 = filters.pop();
  const [x86, ...others] = filters;
  if (lzma2?.id !== LZMA2_ID || lzma2.propertyBytes !== 1 || lzma2.property > XZ_DICTIONARY_MAX) return undefined;
  if (x86 !== undefined && (x86.id !== X86_ID || x86.propertyBytes !== 0 || others.length > 0)) return undefined;
  return from.isPast() ? undefined : { dictionary: lzma2.property, x86: x86 !== undefined, threads };
}

/** Bytes of all blocks, padding included, and of what they expand to. */
function readIndex(index: Buffer): { blockBytes: number; expandedBytes: number } | undefined {
  const from = createReader(index);
  if (from.byte() !== 0) return undefined;
  const count = from.number();
  const sums = { blockBytes: 0, expandedBytes: 0 };
  for (let i = 0; i < count; i += 1) {
    if (from.isPast()) return undefined;
    sums.blockBytes += Math.ceil(from.number() / 4) * 4;
    sums.expandedBytes += from.number();
  }
  return from.isPast() || !Number.isSafeInteger(sums.expandedBytes) ? undefined : sums;
}

/** Past the end it reads zeros, and says so. */
function createReader(bytes: Buffer): { byte(): number; number(): number; isPast(): boolean } {
  let at = 0;
  const byte = (): number => bytes[at++] ?? 0;
  return {
    byte,
    number() {
      let value = 0;
      for (let i = 0; i < NUMBER_BYTES_MAX; i += 1) {
        const next = byte();
        value += (next & 0x7f) * 2 ** (7 * i);
        if (next < 0x80) break;
      }
      return value;
    },
    isPast: () => at > bytes.length,
  };
}
