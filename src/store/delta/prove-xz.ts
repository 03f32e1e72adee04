/**
 * proveXz(): the xz files that are compared expanded: those whose old file is one too, and that this machine's `xz` packs to the very
 * same bytes again.
 */
import { mapConcurrent } from "../../core/concurrency.ts";
import type { XzFile, XzSettings } from "../../format/xz/xz-file.ts";
import type { Repository } from "../repository.ts";
import { objectPath } from "../streams.ts";
import type { PlanInput } from "./plan-contents.ts";
import { cutAlike, expandXz, halves, readXz } from "./xz.ts";
import { openXzScratch, type XzScratch } from "./xz-scratch.ts";

export interface ProvenXz extends XzFile {
  /** Id of the old file. */
  readonly old: string;
}

interface Candidate extends ProvenXz {
  readonly objectId: string;
  readonly sizeBytes: number;
}

/** Half of all kernel modules are smaller than 8 KiB, and one run of xz packs many files. */
const PACKED_BYTES_MIN = 1024;
/**
 * Expanded bytes for each packed one. xz packs 3 MB in a second of CPU, and kernel modules to a fifth: 0.6 MB that need not be moved.
 * Beyond this it is less than a third of that, for files that are small anyway.
 */
const EXPANSION_MAX = 16;
/** Expanded: a machine packs so much in twenty seconds of CPU. */
const EXPANDED_BYTES_MAX = 64 * 1024 * 1024;
/** How many times larger the old file may be, so that those of one group fit into memory together. */
const OLD_RATIO_MAX = 4;

/** By object id; none where there is no `xz`. */
export async function proveXz(
  repository: Repository,
  input: Pick<PlanInput, "objects" | "matches">,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, ProvenXz>> {
  const { host } = repository;
  const proven = new Map<string, ProvenXz>();
  const candidates = host.which("xz") === undefined ? [] : findCandidates(repository, input);
  if (candidates.length === 0) return proven;
  using scratch = openXzScratch(repository);
  const prove = async (run: readonly Candidate[], settings: XzSettings): Promise<void> => {
    if (await isExact(repository, run, { scratch, settings, signal }))
      for (const { objectId, ...file } of run) proven.set(objectId, file);
    else for (const half of halves(run)) await prove(half, settings);
  };
  const runs = cutAlike(candidates, ({ expandedBytes }) => expandedBytes);
  await mapConcurrent(runs, { limit: host.cores, ...(signal && { signal }) }, ({ run, settings }) =>
    prove(run, settings),
  );
  return proven;
}

function findCandidates(
  repository: Repository,
  { objects, matches }: Pick<PlanInput, "objects" | "matches">,
): Candidate[] {
  const read = (objectId: string): XzFile | undefined =>
    readXz(repository.host.files, objectPath(repository, objectId));
  return objects.flatMap(({ objectId, sizeBytes }): Candidate[] => {
    const old = matches.get(objectId);
    if (old === undefined || sizeBytes < PACKED_BYTES_MIN) return [];
    const file = read(objectId);
    if (file === undefined || file.expandedBytes > Math.min(EXPANDED_BYTES_MAX, EXPANSION_MAX * sizeBytes)) return [];
    const base = read(old);
    if (base === undefined || base.expandedBytes > OLD_RATIO_MAX * file.expandedBytes) return [];
    return [{ ...file, old, objectId, sizeBytes }];
  });
}

/** Whether all of them are. */
async function isExact(
  repository: Repository,
  run: readonly Candidate[],
  options: { readonly scratch: XzScratch; readonly settings: XzSettings; readonly signal: AbortSignal | undefined },
): Promise<boolean> {
  const { scratch, settings, signal } = options;
  const paths = run.map(({ objectId }) => objectPath(repository, objectId));
  const expanded = await expandXz(repository.host, paths, { signal });
  if (expanded.size < run.length) return false;
  const files = paths.map((path) => expanded.get(path) ?? Buffer.alloc(0));
  const packed = await scratch.pack(files, { settings, sizes: run.map(({ sizeBytes }) => sizeBytes), signal });
  return packed?.every((bytes, i) => bytes.equals(repository.host.files.read(paths[i] ?? ""))) === true;
}
