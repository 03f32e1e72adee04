/**
 * The frames around a zstd:chunked layer's data: table of contents, tar-split and footer stand in skippable frames at the end of
 * the blob, where every zstd reader passes over them. Where they are is also told by the layer's annotations, which the manifest's
 * digest covers; readers trust those and never the footer.
 *
 * @see RFC 8878 section 3.1.2; containers/storage docs/containers-storage-zstd-chunked.md
 */
import { type Digest, parseDigest } from "../../core/digest.ts";
import { struct } from "../../core/struct.ts";

/** A zstd-compressed part that stands in a skippable frame. */
export interface Part {
  /** Of the compressed bytes, behind the frame's header. */
  readonly offset: number;
  readonly compressedBytes: number;
  readonly bytes: number;
}

export interface Positions {
  readonly toc: Part;
  /** Of the table of contents as it stands there, compressed. */
  readonly tocDigest: Digest;
  readonly tarSplit: Part;
}

const PREFIX = "io.github.containers.zstd-chunked.";
const CHECKSUM = `${PREFIX}manifest-checksum`;
const TOC_POSITION = `${PREFIX}manifest-position`;
const TAR_SPLIT_POSITION = `${PREFIX}tarsplit-position`;
/** The only type of table of contents there is. */
const TOC_TYPE = 1;
/** Bytes of a table of contents or tar-split, uncompressed. An image of a million files stays below. */
const PART_BYTES_MAX = 512 * 1024 * 1024;
/** The same compressed, as they are fetched into memory. */
const PART_COMPRESSED_BYTES_MAX = 64 * 1024 * 1024;

const SkippableHeader = struct("SkippableFrame", 8, { magic: "u32", size: "u32" });
const SKIPPABLE_MAGIC = 0x184d2a50;
const Footer = struct("ChunkedFooter", 64, {
  tocOffset: "u53",
  tocCompressedBytes: "u53",
  tocBytes: "u53",
  tocType: "u53",
  tarSplitOffset: "u53",
  tarSplitCompressedBytes: "u53",
  tarSplitBytes: "u53",
  magic: "bytes:8",
});
const FOOTER_MAGIC = Buffer.from("GNUlInUx", "latin1");

/** The frames that end a blob whose data are `offset` bytes long, and where they put the two parts. */
export function writeTail(
  offset: number,
  toc: { readonly compressed: Buffer; readonly bytes: number; readonly digest: Digest },
  tarSplit: { readonly compressed: Buffer; readonly bytes: number },
): { readonly bytes: Buffer; readonly positions: Positions } {
  const tocOffset = offset + SkippableHeader.sizeBytes;
  const tarSplitOffset = tocOffset + toc.compressed.length + SkippableHeader.sizeBytes;
  const positions: Positions = {
    toc: { offset: tocOffset, compressedBytes: toc.compressed.length, bytes: toc.bytes },
    tocDigest: toc.digest,
    tarSplit: { offset: tarSplitOffset, compressedBytes: tarSplit.compressed.length, bytes: tarSplit.bytes },
  };
  const footer = Buffer.alloc(Footer.sizeBytes);
  Footer.write(footer, 0, {
    tocOffset,
    tocCompressedBytes: toc.compressed.length,
    tocBytes: toc.bytes,
    tocType: TOC_TYPE,
    tarSplitOffset,
    tarSplitCompressedBytes: tarSplit.compressed.length,
    tarSplitBytes: tarSplit.bytes,
    magic: FOOTER_MAGIC,
  });
  const bytes = Buffer.concat([skippable(toc.compressed), skippable(tarSplit.compressed), skippable(footer)]);
  return { bytes, positions };
}

export function formatAnnotations({ toc, tocDigest, tarSplit }: Positions): Readonly<Record<string, string>> {
  return {
    [CHECKSUM]: tocDigest,
    [TOC_POSITION]: `${toc.offset}:${toc.compressedBytes}:${toc.bytes}:${TOC_TYPE}`,
    [TAR_SPLIT_POSITION]: `${tarSplit.offset}:${tarSplit.compressedBytes}:${tarSplit.bytes}`,
  };
}

/** Whether a layer says that it is zstd:chunked, with a tar-split. */
export function isChunked(annotations: Readonly<Record<string, string>> | undefined): boolean {
  return [CHECKSUM, TOC_POSITION, TAR_SPLIT_POSITION].every((key) => annotations?.[key] !== undefined);
}

/**
 * undefined for a layer that is not zstd:chunked, or has no tar-split, without which its tar cannot be made again. Throws
 * SyntaxError for positions outside the blob, tables of more than 64 MiB each, or a tar-split that is not the frame behind the table
 * of contents, where every writer puts it.
 */
export function parseAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
  blobBytes: number,
): Positions | undefined {
  const checksum = annotations?.[CHECKSUM];
  const toc = annotations?.[TOC_POSITION];
  const tarSplit = annotations?.[TAR_SPLIT_POSITION];
  if (checksum === undefined || toc === undefined || tarSplit === undefined) return undefined;
  const [offset = 0, compressedBytes = 0, bytes = 0, type] = numbers(TOC_POSITION, toc, 4);
  if (type !== TOC_TYPE) throw new SyntaxError(`Cannot read ${TOC_POSITION}: its type is ${type}, wanted ${TOC_TYPE}`);
  const [splitOffset = 0, splitCompressedBytes = 0, splitBytes = 0] = numbers(TAR_SPLIT_POSITION, tarSplit, 3);
  const positions = {
    toc: { offset, compressedBytes, bytes },
    tocDigest: parseDigest(checksum),
    tarSplit: { offset: splitOffset, compressedBytes: splitCompressedBytes, bytes: splitBytes },
  };
  for (const part of [positions.toc, positions.tarSplit]) {
    const isInside = part.offset + part.compressedBytes <= blobBytes;
    const isBounded = part.compressedBytes <= PART_COMPRESSED_BYTES_MAX && part.bytes <= PART_BYTES_MAX;
    if (isInside && isBounded && part.bytes > 0) continue;
    throw new SyntaxError(
      `Cannot read zstd:chunked annotations: a part of ${part.bytes} bytes lies at ${part.offset}+${part.compressedBytes} of ${blobBytes}, wanted it inside, and at most ${PART_BYTES_MAX} bytes, ${PART_COMPRESSED_BYTES_MAX} compressed`,
    );
  }
  const wantedOffset = offset + compressedBytes + SkippableHeader.sizeBytes;
  if (splitOffset !== wantedOffset) {
    throw new SyntaxError(
      `Cannot read ${TAR_SPLIT_POSITION}: it is ${splitOffset}, wanted ${wantedOffset}, behind the table of contents`,
    );
  }
  return positions;
}

function numbers(name: string, text: string, count: number): number[] {
  const found = /^\d{1,15}(?::\d{1,15})*$/.test(text) ? text.split(":").map(Number) : [];
  if (found.length === count) return found;
  throw new SyntaxError(
    `Cannot read ${name}: it is ${JSON.stringify(text.slice(0, 80))}, wanted ${count} numbers with colons between`,
  );
}

function skippable(content: Buffer): Buffer {
  const header = Buffer.alloc(SkippableHeader.sizeBytes);
  SkippableHeader.write(header, 0, { magic: SKIPPABLE_MAGIC, size: content.length });
  return Buffer.concat([header, content]);
}
