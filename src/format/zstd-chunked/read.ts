/**
 * readRecipe(): how to make a layer's tar again: its raw bytes, and between them the files' contents, each known by its digest and by
 * where its frames lie in the blob. Whoever follows it checks the tar against the layer's diff id; nothing here is trusted.
 */
import { expandFrames } from "../../core/compress.ts";
import { digestAlgorithm, digestOf } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { Part, Positions } from "./frames.ts";
import { readTarSplit } from "./tar-split.ts";
import { parseToc, type TocFile } from "./toc.ts";

export type RecipeStep =
  | { readonly kind: "raw"; readonly bytes: Buffer }
  | { readonly kind: "file"; readonly file: TocFile };

export interface Recipe {
  /** Files with content, in the tar's order, which is the order of their frames too. */
  readonly files: readonly TocFile[];
  /** The whole tar. Throws SyntaxError where table of contents and tar-split disagree. */
  steps(): Generator<RecipeStep, void, undefined>;
}

/** Bytes of the blob that hold both tables, which stand side by side. */
export function tablesRange({ toc, tarSplit }: Positions): { readonly start: number; readonly end: number } {
  return { start: toc.offset, end: tarSplit.offset + tarSplit.compressedBytes };
}

/** `tables` are the bytes of tablesRange(). Failure "digest-mismatch", "bad-input"; SyntaxError for malformed tables. */
export function readRecipe(positions: Positions, tables: Buffer): Recipe {
  const { start } = tablesRange(positions);
  const part = ({ offset, compressedBytes }: Part): Buffer => {
    const bytes = tables.subarray(offset - start, offset - start + compressedBytes);
    if (bytes.length === compressedBytes) return bytes;
    throw new SyntaxError(
      `Cannot read zstd:chunked tables: there are ${bytes.length} bytes, wanted ${compressedBytes}`,
    );
  };
  const tocFrame = part(positions.toc);
  requireDigest(tocFrame, positions.tocDigest, "table of contents");
  const toc = parseToc(expandFrames(tocFrame, positions.toc.bytes).toString("utf8"), start);
  const splitFrame = part(positions.tarSplit);
  requireDigest(splitFrame, toc.tarSplitDigest, "tar-split");
  const split = expandFrames(splitFrame, positions.tarSplit.bytes);
  return { files: toc.files, steps: () => zip(toc.files, split) };
}

function* zip(files: readonly TocFile[], split: Buffer): Generator<RecipeStep, void, undefined> {
  let next = 0;
  for (const piece of readTarSplit(split)) {
    if (piece.kind === "raw") {
      yield piece;
      continue;
    }
    const file = files[next];
    next += 1;
    if (file?.sizeBytes !== piece.sizeBytes) {
      throw new SyntaxError(
        `Cannot read zstd:chunked tables: content ${next} has ${piece.sizeBytes} bytes in the tar-split and ${file?.sizeBytes ?? 0} in the table of contents`,
      );
    }
    yield { kind: "file", file };
  }
  if (next === files.length) return;
  throw new SyntaxError(
    `Cannot read zstd:chunked tables: the tar-split has ${next} contents and the table of contents ${files.length}`,
  );
}

function requireDigest(bytes: Buffer, wanted: Positions["tocDigest"], what: string): void {
  const actual = digestOf(bytes, digestAlgorithm(wanted));
  if (actual === wanted) return;
  throw new Failure("digest-mismatch", `Cannot accept the layer's ${what}: it hashes to ${actual}, wanted ${wanted}`);
}
