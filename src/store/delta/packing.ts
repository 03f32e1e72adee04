/**
 * Compressed files in a delta: they are compared expanded, and only when packing the expanded bytes again gives exactly the file.
 * gzip files are packed by the choices of the program that made them; zstd as berth's own initramfs is; xz by its program (xz.ts).
 */
import { constants, gunzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { sniffCompression } from "../../core/compress.ts";
import { releaseBytes } from "../../core/release-bytes.ts";
import { readChoices, writeChosen } from "../../format/deflate/choices.ts";
import { CONTENT_BYTES_MAX, type Form, type Packing as AnyPacking } from "../../format/delta/delta-index.ts";

/** What needs no program. */
type Packing = Exclude<AnyPacking, { readonly kind: "xz" }>;

/** Of berth's initramfs. */
const ZSTD_LEVEL = 9;
/** gzip makes of a byte at most so many. */
const GZIP_RATIO_MAX = 1032;
const CHUNK_BYTES = 128 * 1024;

/** A compressed file taken apart. */
export interface Unpacked {
  readonly packing: Packing;
  readonly expanded: Buffer;
  /** Of a gzip file. */
  readonly choices: Buffer | undefined;
}

/** undefined for what is not compressed, is damaged, grows beyond CONTENT_BYTES_MAX, or would not be packed to the same bytes again. */
export function unpack(file: Buffer): Unpacked | undefined {
  const expanded = expand(file);
  if (expanded === undefined) return undefined;
  const isGzip = sniffCompression(file) === "gzip";
  const choices = isGzip ? choicesOf(file) : undefined;
  const packing: Packing = isGzip ? { kind: "gzip" } : { kind: "zstd", level: ZSTD_LEVEL };
  try {
    const again = pack(expanded, packing, { sizeBytes: file.length, choices });
    const isSame = again.equals(file);
    releaseBytes(again);
    return isSame ? { packing, expanded, choices } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The file of `sizeBytes`. Throws SyntaxError or RangeError for choices of other bytes. */
export function pack(
  expanded: Buffer,
  packing: Packing,
  { sizeBytes, choices }: { readonly sizeBytes: number; readonly choices: Buffer | undefined },
): Buffer {
  switch (packing.kind) {
    case "none":
    case "choices":
      return expanded;
    case "zstd":
      return zstdCompressSync(expanded, { params: { [constants.ZSTD_c_compressionLevel]: packing.level } });
    case "gzip": {
      if (choices === undefined) throw new SyntaxError("a gzip file comes without its choices");
      return writeChosen(expanded, choices, sizeBytes);
    }
  }
}

/** What has no such form serves as it is: a base only has to be the same for writer and reader. */
export function inForm(file: Buffer, form: Form): Buffer {
  switch (form) {
    case "plain":
      return file;
    case "expanded":
      return expand(file) ?? file;
    case "choices":
      return choicesOf(file) ?? file;
  }
}

function expand(file: Buffer): Buffer | undefined {
  const compression = sniffCompression(file);
  const expandBytes = { none: undefined, gzip: gunzipSync, zstd: zstdDecompressSync }[compression];
  // One byte more, so that it all comes in one piece: pieces are joined, which takes the memory twice.
  const chunkSize = compression === "gzip" ? Math.max(CHUNK_BYTES, statedSize(file) + 1) : CHUNK_BYTES;
  try {
    return expandBytes?.(file, { chunkSize, maxOutputLength: CONTENT_BYTES_MAX });
  } catch {
    return undefined;
  }
}

function choicesOf(file: Buffer): Buffer | undefined {
  try {
    return readChoices(file);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What the end of a gzip file says that it expands to, as far as that can be. */
function statedSize(packed: Buffer): number {
  if (packed.length < 4) return 0;
  return Math.min(packed.readUInt32LE(packed.length - 4), packed.length * GZIP_RATIO_MAX, CONTENT_BYTES_MAX);
}
