/**
 * Compressed files in a delta: they are compared expanded, and only when packing the expanded bytes again gives exactly the file.
 * The `gzip` program packs gzip, because no library makes the same bytes; zstd is packed as berth's own initramfs is.
 */
import { constants, gunzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { sniffCompression } from "../../core/compress.ts";
import { Failure } from "../../core/failure.ts";
import { CONTENT_BYTES_MAX, type Packing } from "../../format/delta/delta-index.ts";
import type { Host } from "../../host/host.ts";

const GZIP_TIMEOUT_MS = 10 * 60 * 1000;
/** Of berth's initramfs. */
const ZSTD_LEVEL = 9;

/** gzip makes of a byte at most so many. */
const GZIP_RATIO_MAX = 1032;
const CHUNK_BYTES = 128 * 1024;

/** The bytes inside; undefined for what is not compressed, is damaged, or grows beyond CONTENT_BYTES_MAX. */
export function expand(bytes: Buffer): Buffer | undefined {
  const compression = sniffCompression(bytes);
  const expandBytes = { none: undefined, gzip: gunzipSync, zstd: zstdDecompressSync }[compression];
  // One byte more, so that it all comes in one piece: pieces are joined, which takes the memory twice.
  const chunkSize = compression === "gzip" ? Math.max(CHUNK_BYTES, statedSize(bytes) + 1) : CHUNK_BYTES;
  try {
    return expandBytes?.(bytes, { chunkSize, maxOutputLength: CONTENT_BYTES_MAX });
  } catch {
    return undefined;
  }
}

/** How `expanded` becomes `packed` again, tried out; undefined when it does not. */
export async function findPacking(
  host: Pick<Host, "exec">,
  packed: Buffer,
  expanded: Buffer,
): Promise<Packing | undefined> {
  if (sniffCompression(packed) === "gzip") {
    const packing: Packing = { kind: "gzip", level: gzipLevel(packed) };
    return (await givesAgain(host, packed, expanded, packing.level)) ? packing : undefined;
  }
  const packing: Packing = { kind: "zstd", level: ZSTD_LEVEL };
  return packZstd(expanded, packing.level).equals(packed) ? packing : undefined;
}

/** Whether gzip does, which is seen while it works: an initramfs need not be held once more. */
async function givesAgain(host: Pick<Host, "exec">, packed: Buffer, expanded: Buffer, level: number): Promise<boolean> {
  let at = 0;
  let isSame = true;
  await host.exec(gzip(level), {
    timeoutMs: GZIP_TIMEOUT_MS,
    stdin: expanded,
    onStdout(chunk) {
      isSame &&= packed.subarray(at, at + chunk.length).equals(chunk);
      at += chunk.length;
    },
  });
  return isSame && at === packed.length;
}

/** Failure "exec-failed" where there is no gzip. */
export async function pack(host: Pick<Host, "exec">, expanded: Buffer, packing: Packing): Promise<Buffer> {
  switch (packing.kind) {
    case "none":
      return expanded;
    case "zstd":
      return packZstd(expanded, packing.level);
    case "gzip": {
      if (packing.level < 1 || packing.level > 9)
        throw new Failure("bad-input", `Cannot pack content: gzip has no level ${packing.level}, wanted 1 to 9`);
      return (await host.exec(gzip(packing.level), { timeoutMs: GZIP_TIMEOUT_MS, stdin: expanded })).stdout;
    }
  }
}

function packZstd(expanded: Buffer, level: number): Buffer {
  return zstdCompressSync(expanded, { params: { [constants.ZSTD_c_compressionLevel]: level } });
}

function gzip(level: number): string[] {
  return ["gzip", "-n", "-c", `-${level}`];
}

/** What the end of a gzip file says that it expands to, as far as that can be. */
function statedSize(packed: Buffer): number {
  if (packed.length < 4) return 0;
  return Math.min(packed.readUInt32LE(packed.length - 4), packed.length * GZIP_RATIO_MAX, CONTENT_BYTES_MAX);
}

/** What the header's extra flags say: 2 is the slowest level, 4 the fastest. */
function gzipLevel(packed: Buffer): number {
  return { 2: 9, 4: 1 }[packed[8] ?? 0] ?? 6;
}
