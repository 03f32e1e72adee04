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

/** The bytes inside; undefined for what is not compressed, is damaged, or grows beyond CONTENT_BYTES_MAX. */
export function expand(bytes: Buffer): Buffer | undefined {
  const expandBytes = { none: undefined, gzip: gunzipSync, zstd: zstdDecompressSync }[sniffCompression(bytes)];
  try {
    return expandBytes?.(bytes, { maxOutputLength: CONTENT_BYTES_MAX });
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
  const packing: Packing =
    sniffCompression(packed) === "gzip"
      ? { kind: "gzip", level: gzipLevel(packed) }
      : { kind: "zstd", level: ZSTD_LEVEL };
  const again = await pack(host, expanded, packing);
  return again.equals(packed) ? packing : undefined;
}

/** Failure "exec-failed" where there is no gzip. */
export async function pack(host: Pick<Host, "exec">, expanded: Buffer, packing: Packing): Promise<Buffer> {
  switch (packing.kind) {
    case "none":
      return expanded;
    case "zstd":
      return zstdCompressSync(expanded, { params: { [constants.ZSTD_c_compressionLevel]: packing.level } });
    case "gzip": {
      if (packing.level < 1 || packing.level > 9)
        throw new Failure("bad-input", `Cannot pack content: gzip has no level ${packing.level}, wanted 1 to 9`);
      const argv = ["gzip", "-n", "-c", `-${packing.level}`];
      return (await host.exec(argv, { timeoutMs: GZIP_TIMEOUT_MS, stdin: expanded })).stdout;
    }
  }
}

/** What the header's extra flags say: 2 is the slowest level, 4 the fastest. */
function gzipLevel(packed: Buffer): number {
  return { 2: 9, 4: 1 }[packed[8] ?? 0] ?? 6;
}
