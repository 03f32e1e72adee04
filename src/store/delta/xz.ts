/**
 * The program `xz`, run for many files at once: to start it for each costs more than its work. What it puts out is bounded by what the
 * caller expects, whatever the files say.
 */
import { isFailure } from "../../core/failure.ts";
import { CONTENT_BYTES_MAX, GROUP_BYTES_MAX } from "../../format/delta/delta-index.ts";
import { dictionaryBytes, isXz, readXzFile, type XzFile, type XzSettings } from "../../format/xz/xz-file.ts";
import type { Files, Host } from "../../host/host.ts";

export type XzHost = Pick<Host, "files" | "exec">;

export interface XzOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Of one run: a start costs little beside so many bytes, and so many paths fit on a command line. */
const RUN_FILES_MAX = 256;
/** A slow machine packs 8 MiB in a minute; a large file comes alone. */
const TIMEOUT_MS = 30 * 60 * 1000;

/** Consecutive runs of `items` that are worth one start of the program. */
export function cutRuns<Item>(items: readonly Item[], bytesOf: (item: Item) => number): Item[][] {
  const runs: Item[][] = [];
  let bytes = 0;
  for (const item of items) {
    const run = runs.at(-1);
    if (run === undefined || bytes + bytesOf(item) > GROUP_BYTES_MAX || run.length === RUN_FILES_MAX) {
      runs.push([item]);
      bytes = 0;
    } else run.push(item);
    bytes += bytesOf(item);
  }
  return runs;
}

/** cutRuns() for files that `xz` packs: all of a run with the same settings. */
export function cutAlike<Item extends { readonly settings: XzSettings }>(
  items: readonly Item[],
  bytesOf: (item: Item) => number,
): { readonly settings: XzSettings; readonly run: readonly Item[] }[] {
  const alike = Map.groupBy(items, ({ settings }) => JSON.stringify(settings)).values();
  return [...alike].flatMap((each) => {
    const [first] = each;
    return first === undefined ? [] : cutRuns(each, bytesOf).map((run) => ({ settings: first.settings, run }));
  });
}

/** undefined for a file that is none, or that grows beyond CONTENT_BYTES_MAX. */
export function readXz(files: Pick<Files, "open" | "read">, path: string): XzFile | undefined {
  {
    using file = files.open(path, "read");
    const start = Buffer.alloc(6);
    file.read(start, 0);
    if (!isXz(start)) return undefined;
  }
  const xz = readXzFile(files.read(path));
  return xz !== undefined && xz.expandedBytes <= CONTENT_BYTES_MAX ? xz : undefined;
}

/** By path, what those files expand to that are whole xz files. Failure "missing-tool"; RangeError beyond CONTENT_BYTES_MAX for all of them. */
export async function expandXz(
  host: XzHost,
  paths: readonly string[],
  options: XzOptions = {},
): Promise<ReadonlyMap<string, Buffer>> {
  const known = [...new Set(paths)].flatMap((path) => {
    const xz = readXz(host.files, path);
    return xz === undefined ? [] : [{ path, expandedBytes: xz.expandedBytes }];
  });
  if (known.reduce((sum, { expandedBytes }) => sum + expandedBytes, 0) > CONTENT_BYTES_MAX)
    throw new RangeError(`xz files expand to more than ${CONTENT_BYTES_MAX} bytes together`);
  const expanded = new Map<string, Buffer>();
  const expandRun = async (run: typeof known): Promise<void> => {
    const pieces = await runXz(host, ["-dc", "--", ...run.map(({ path }) => path)], {
      ...options,
      sizes: run.map(({ expandedBytes }) => expandedBytes),
    });
    if (pieces !== undefined) for (const [i, piece] of pieces.entries()) expanded.set(run[i]?.path ?? "", piece);
    else for (const half of halves(run)) await expandRun(half);
  };
  for (const run of cutRuns(known, ({ expandedBytes }) => expandedBytes)) await expandRun(run);
  return expanded;
}

/** The files packed, which must then have just these sizes; undefined when they have not. Failure "missing-tool". */
export function packXz(
  host: XzHost,
  paths: readonly string[],
  { settings, ...options }: XzOptions & { readonly settings: XzSettings; readonly sizes: readonly number[] },
): Promise<Buffer[] | undefined> {
  const words = [
    "-zc",
    "--format=xz",
    `--check=${settings.check}`,
    // More than one is what makes it write blocks with their sizes; how many, changes no byte.
    settings.threads ? "--threads=2" : "--threads=1",
    ...(settings.x86 ? ["--x86"] : []),
    `--lzma2=dict=${dictionaryBytes(settings)}`,
  ];
  return runXz(host, [...words, "--", ...paths], options);
}

/** None for a single item: there is nothing to try apart. */
export function halves<Item>(items: readonly Item[]): Item[][] {
  const middle = Math.ceil(items.length / 2);
  return items.length < 2 ? [] : [items.slice(0, middle), items.slice(middle)];
}

/** What it puts out, cut by `sizes`; undefined when that is not all of it, or the program is not content. */
async function runXz(
  host: XzHost,
  words: readonly string[],
  { signal, sizes }: XzOptions & { readonly sizes: readonly number[] },
): Promise<Buffer[] | undefined> {
  const wanted = sizes.reduce((sum, size) => sum + size, 0);
  const all = Buffer.allocUnsafeSlow(wanted);
  const excess = new AbortController();
  let filled = 0;
  try {
    const { exitCode } = await host.exec(["xz", "--quiet", ...words], {
      timeoutMs: TIMEOUT_MS,
      signal: signal === undefined ? excess.signal : AbortSignal.any([signal, excess.signal]),
      // XZ_DEFAULTS and XZ_OPT would change what comes out.
      env: { LC_ALL: "C" },
      check: false,
      onStdout(chunk) {
        if (filled + chunk.length > wanted) excess.abort();
        else all.set(chunk, filled);
        filled += chunk.length;
      },
    });
    if (exitCode !== 0 || filled !== wanted) return undefined;
  } catch (error) {
    if (excess.signal.aborted && signal?.aborted !== true && isFailure(error, "aborted")) return undefined;
    throw error;
  }
  let at = 0;
  return sizes.map((size) => all.subarray(at, (at += size)));
}
