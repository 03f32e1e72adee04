/**
 * createRangeMethod(): a zstd:chunked layer from the files that the store holds and ranges of the blob with the others. The store checks
 * the whole layer against its diff id, so table of contents, registry and index can cost time when they are wrong, never a wrong file.
 */
import { decompress, expandFrames } from "../core/compress.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { formatBytes } from "../core/units.ts";
import { parseAnnotations } from "../format/zstd-chunked/frames.ts";
import { readRecipe, type Recipe, tablesRange } from "../format/zstd-chunked/read.ts";
import type { TocFile } from "../format/zstd-chunked/toc.ts";
import type { LayerPart } from "../store/assemble-layer.ts";
import type { Contents } from "../store/contents.ts";
import { type ByteReader, createByteReader } from "./byte-reader.ts";
import type { RemoteContext } from "./context.ts";
import { fetchRange, fetchRanges, type RangeSource } from "./fetch-ranges.ts";
import { costOf, type LayerMethod } from "./layer-option.ts";
import type { BlobSourceOptions, LayerPlan } from "./layer-source.ts";
import { openPartialBlob } from "./partial-blob.ts";
import { bytesOf, type ByteRange, planRanges } from "./plan-ranges.ts";
import type { Session } from "./session.ts";
import type { PullStore } from "./transfer-plan.ts";
import type { TransportResponse } from "./transport.ts";

/** Where a zstd:chunked layer's tables are; undefined for any other layer, and for positions that cannot be. */
function readTablesRange(descriptor: LayerPlan["descriptor"]): ByteRange | undefined {
  try {
    const positions = parseAnnotations(descriptor.annotations, descriptor.size);
    return positions && tablesRange(positions);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export interface RangeMethodOptions extends Pick<BlobSourceOptions, "onReceived"> {
  /** Takes the answer of a registry that sends the whole blob while a layer is fetched. */
  readonly onWhole?: (blob: Digest, response: TransportResponse) => void;
}

/** Compressed bytes of a file that is decompressed in one go. */
const WHOLE_BYTES_MAX = 4 * 1024 * 1024;

export function createRangeMethod(
  context: RemoteContext,
  store: PullStore,
  session: Session,
  options: RangeMethodOptions = {},
): LayerMethod {
  let contents: Contents | undefined;
  let isUnsupported = false;
  /** A store that keeps blobs needs them whole; an empty one lacks every file. */
  const tablesOf = ({ descriptor }: LayerPlan): ByteRange | undefined => {
    if (store.keepsBlobs || isUnsupported) return undefined;
    contents ??= store.contents();
    return contents.size === 0 ? undefined : readTablesRange(descriptor);
  };
  return {
    askBytes(layer) {
      const range = tablesOf(layer);
      return range === undefined ? 0 : costOf({ bytes: range.end - range.start, requests: 1 });
    },
    async option(layer) {
      if (tablesOf(layer) === undefined || contents === undefined) return undefined;
      const onWhole = (response: TransportResponse): void =>
        options.onWhole === undefined ? response.discard() : options.onWhole(layer.descriptor.digest, response);
      const source: RangeSource = { context, session, descriptor: layer.descriptor, onReceived: options.onReceived };
      try {
        const tables = await fetchTables(source);
        return tables === undefined ? undefined : makeOption(store, contents, { ...tables, source, layer, onWhole });
      } catch (error) {
        if (isFailure(error, "unsupported")) isUnsupported = true;
        const isMalformed = isFailure(error, "digest-mismatch") || isFailure(error, "bad-input");
        if (isUnsupported || isMalformed || error instanceof SyntaxError) return undefined;
        throw error;
      }
    },
  };
}

/** The digests of the files in a zstd:chunked layer; none of another one. Failure as fetchRange(); SyntaxError for malformed tables. */
export async function fetchFileDigests(source: RangeSource): Promise<readonly Digest[]> {
  const tables = await fetchTables(source);
  return tables?.recipe.files.map(({ digest }) => digest) ?? [];
}

interface Tables {
  readonly recipe: Recipe;
  readonly tablesBytes: number;
}

async function fetchTables(source: RangeSource): Promise<Tables | undefined> {
  const { descriptor } = source;
  const positions = parseAnnotations(descriptor.annotations, descriptor.size);
  if (positions === undefined) return undefined;
  const range = tablesRange(positions);
  return { recipe: readRecipe(positions, await fetchRange(source, range)), tablesBytes: range.end - range.start };
}

function makeOption(
  store: PullStore,
  contents: Contents,
  {
    recipe,
    tablesBytes,
    source,
    layer,
    onWhole,
  }: Tables & Pick<Required<RangeSource>, "onWhole"> & { readonly source: RangeSource; readonly layer: LayerPlan },
): Awaited<ReturnType<LayerMethod["option"]>> {
  const missing = recipe.files.filter(({ digest }) => contents.find(digest) === undefined);
  const ranges = planRanges(missing.map(({ offset, endOffset }) => ({ start: offset, end: endOffset })));
  const { context, descriptor } = source;
  return {
    kind: "ranges",
    bytes: bytesOf(ranges),
    requests: ranges.length,
    spaceBytes: bytesOf(ranges) + missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    async obtain(task) {
      task.total(tablesBytes + bytesOf(ranges));
      task.advance(tablesBytes);
      // Named by what it holds: the same ranges again go on where they were.
      const name = digestOf(JSON.stringify([descriptor.digest, ranges]));
      using partial = await openPartialBlob(context.host, store.path, name, context.signal);
      task.advance(partial.size);
      const onReceived = (count: number): void => {
        task.advance(count);
        source.onReceived?.(count);
      };
      const bytes = createByteReader(fetchRanges({ ...source, onReceived, onWhole }, ranges, partial));
      try {
        await store.assembleLayer(partsOf(recipe, contents, { ranges, bytes }), {
          diffId: layer.diffId,
          signal: context.signal,
        });
      } catch (error) {
        // What was kept may be what is wrong.
        if (!isFailure(error, "network")) partial.remove();
        throw error;
      } finally {
        await bytes.close();
      }
      partial.remove();
      const total = recipe.files.length;
      return `${formatBytes(tablesBytes + bytesOf(ranges))} fetched, ${total - missing.length} of ${total} files reused`;
    },
  };
}

interface Fetched {
  readonly ranges: readonly ByteRange[];
  /** The bytes of the ranges, joined. */
  readonly bytes: ByteReader;
}

/** Files and ranges are both in the blob's order, so that one pass over each is enough. */
async function* partsOf(
  recipe: Recipe,
  contents: Contents,
  { ranges, bytes }: Fetched,
): AsyncGenerator<LayerPart, void, undefined> {
  let index = 0;
  /** Fetched bytes in the ranges before ranges[index]. */
  let before = 0;
  let consumed = 0;
  const positionOf = (offset: number): number => {
    for (let range = ranges[index]; range !== undefined; range = ranges[index]) {
      if (offset < range.end) return before + offset - range.start;
      before += range.end - range.start;
      index += 1;
    }
    return before;
  };
  for (const step of recipe.steps()) {
    if (step.kind === "raw") {
      yield { kind: "bytes", bytes: step.bytes };
      continue;
    }
    const { digest, sizeBytes, offset, endOffset } = step.file;
    const found = contents.find(digest);
    if (found?.kind === "object") yield { ...found, sizeBytes, digest };
    else if (found !== undefined) yield { kind: "bytes", bytes: found.bytes };
    else {
      const position = positionOf(offset);
      await bytes.skip(position - consumed);
      yield* readFile(step.file, bytes);
      consumed = position + endOffset - offset;
    }
  }
}

async function* readFile(file: TocFile, bytes: ByteReader): AsyncGenerator<LayerPart, void, undefined> {
  const compressedBytes = file.endOffset - file.offset;
  if (compressedBytes <= WHOLE_BYTES_MAX && file.sizeBytes <= 4 * WHOLE_BYTES_MAX) {
    yield { kind: "bytes", bytes: expandFrames(await bytes.read(compressedBytes), file.sizeBytes) };
    return;
  }
  for await (const chunk of decompress(bytes.stream(compressedBytes), "zstd")) yield { kind: "bytes", bytes: chunk };
}
