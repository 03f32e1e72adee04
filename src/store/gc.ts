/**
 * Garbage collection: everything that no name and no deployment reaches is deleted. It holds the repository's exclusive lock, so
 * that no import runs beside it, and it refuses to delete anything when a root cannot be read in full.
 */
import { type Digest, digestAlgorithm, digestHex, isDigest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { type Progress, silent } from "../core/progress.ts";
import { readErofs } from "../format/erofs/read.ts";
import { parseManifest } from "../oci/manifest.ts";
import { usualPayload } from "../tree/node.ts";
import { walk } from "../tree/walk.ts";
import { objectName, parseObjectLink, parseStreamName, streamName, TEMPORARY_PREFIX } from "./layout.ts";
import type { Repository } from "./repository.ts";
import type { GcReport } from "./store.ts";
import { corrupt, findStream, objectPath, openStream, readObject, readSingleObject } from "./streams.ts";

export interface GcOptions {
  readonly dryRun: boolean;
  readonly liveIds?: readonly string[];
  readonly progress?: Progress;
}

interface Marks {
  /** `xx/rest`, relative to objects/. */
  readonly objects: Set<string>;
  readonly streams: Set<string>;
  readonly blobs: Set<Digest>;
}

/** Removes what no name and no live id leads to. Failure "corrupt" where the names themselves are missing: all would be garbage. */
export function collectGarbage(repository: Repository, options: GcOptions): GcReport {
  const { files } = repository.host;
  if (files.stat(repository.paths.streamRefs)?.kind !== "directory") {
    throw new Failure(
      "corrupt",
      `Cannot collect garbage in "${repository.paths.root}": streams/refs is missing, and with it what must be kept`,
    );
  }
  const marks = markAll(repository, options.liveIds ?? []);
  const remove = (path: string): void => {
    if (!options.dryRun) files.remove(path);
  };
  const task = (options.progress ?? silent).task("Collecting garbage", { unit: "steps" });
  // Names go before what they lead to: a crash leaves no name of something that is gone.
  const streams = sweepLinks(repository, repository.paths.streams, remove, (name) => marks.streams.has(name));
  const images = sweepLinks(repository, repository.paths.images, remove, (name) => marks.objects.has(objectName(name)));
  let objects = 0;
  let bytes = 0;
  let leftovers = 0;
  for (const fan of files.list(repository.paths.objects)) {
    const directory = `${repository.paths.objects}/${fan}`;
    if (fan.startsWith(TEMPORARY_PREFIX)) {
      leftovers += 1;
      bytes += files.lstat(directory)?.size ?? 0;
      remove(directory);
      continue;
    }
    for (const rest of files.list(directory)) {
      task.advance(1);
      if (marks.objects.has(`${fan}/${rest}`)) continue;
      objects += 1;
      bytes += files.lstat(`${directory}/${rest}`)?.size ?? 0;
      remove(`${directory}/${rest}`);
    }
  }
  for (const name of files.listIfAny(repository.paths.contents)) {
    if (!marks.objects.has(objectName(name))) remove(`${repository.paths.contents}/${name}`);
  }
  const blobs = sweepBlobs(repository, marks.blobs, remove);
  task.done();
  leftovers += blobs.leftovers;
  return {
    objects,
    bytes: bytes + blobs.bytes,
    images,
    streams,
    blobs: blobs.count,
    leftovers,
    dryRun: options.dryRun,
  };
}

function markAll(repository: Repository, liveIds: readonly string[]): Marks {
  const { files } = repository.host;
  const marks: Marks = { objects: new Set(), streams: new Set(), blobs: new Set() };
  const streamOfObject = new Map<string, string>();
  for (const name of files.list(repository.paths.streams)) {
    const objectId = findStream(repository, name);
    if (objectId !== undefined) streamOfObject.set(objectId, name);
  }
  for (const target of refTargets(repository, repository.paths.streamRefs))
    markStream(repository, target, marks, streamOfObject);
  for (const id of [...refTargets(repository, repository.paths.imageRefs), ...liveIds])
    markImage(repository, id, marks);
  return marks;
}

/** A name whose stream is gone keeps nothing; one that is damaged ends the collection. */
function markStream(
  repository: Repository,
  name: string,
  marks: Marks,
  streamOfObject: ReadonlyMap<string, string>,
): void {
  if (marks.streams.has(name)) return;
  const found = openStream(repository, name);
  if (found === undefined) return;
  marks.streams.add(name);
  marks.objects.add(objectName(found.objectId));
  for (const objectId of found.stream.objectRefs) marks.objects.add(objectName(objectId));
  for (const objectId of found.stream.namedRefs.values()) {
    marks.objects.add(objectName(objectId));
    const other = streamOfObject.get(objectId);
    if (other !== undefined) markStream(repository, other, marks, streamOfObject);
  }
  // Whatever object a stream had when the reference was written: it is read by its name.
  const mark = (other: string): void => markStream(repository, other, marks, streamOfObject);
  if (parseStreamName("config", name) !== undefined) {
    for (const ref of found.stream.namedRefs.keys()) if (isDigest(ref)) mark(streamName("layer", ref));
  }
  if (parseStreamName("manifest", name) === undefined) return;
  const bytes = readSingleObject(repository, found);
  const manifest = parseStored(name, () => parseManifest(bytes.toString("utf8")));
  for (const layer of manifest.layers) marks.blobs.add(layer.digest);
  mark(streamName("config", manifest.config.digest));
}

function parseStored<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw corrupt(name, error);
  }
}

function markImage(repository: Repository, id: string, marks: Marks): void {
  const { files } = repository.host;
  const path = `${repository.paths.images}/${id}`;
  const objectId = files.exists(path) ? parseObjectLink(files.readlink(path), repository.algorithm) : undefined;
  if (objectId === undefined || !files.exists(objectPath(repository, objectId)) || marks.objects.has(`image ${id}`))
    return;
  marks.objects.add(`image ${id}`).add(objectName(objectId));
  try {
    for (const { node } of walk(readErofs(readObject(repository, objectId)))) {
      if (node.kind !== "file" || node.content.kind !== "external") continue;
      const { payload, objectId: content } = node.content;
      if (payload !== undefined) marks.objects.add(payload.replace(/^\//, ""));
      if (content !== undefined) marks.objects.add(usualPayload(content));
    }
  } catch (error) {
    throw corrupt(`images/${id}`, error);
  }
}

/** Last components of what the links below `directory` point to. */
function refTargets(repository: Repository, directory: string): string[] {
  const { files } = repository.host;
  return files.listIfAny(directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    const kind = files.lstat(path)?.kind;
    if (kind === "directory") return refTargets(repository, path);
    if (kind !== "symlink") return [];
    const target = files.readlink(path);
    return [target.slice(target.lastIndexOf("/") + 1)];
  });
}

function sweepLinks(
  repository: Repository,
  directory: string,
  remove: (path: string) => void,
  isLive: (name: string) => boolean,
): number {
  const { files } = repository.host;
  let count = 0;
  for (const name of files.list(directory)) {
    if (isLive(name) || files.lstat(`${directory}/${name}`)?.kind !== "symlink") continue;
    count += 1;
    remove(`${directory}/${name}`);
  }
  return count;
}

function sweepBlobs(
  repository: Repository,
  live: ReadonlySet<Digest>,
  remove: (path: string) => void,
): { count: number; bytes: number; leftovers: number } {
  const { files } = repository.host;
  const { blobs } = repository;
  let count = 0;
  let bytes = 0;
  let leftovers = 0;
  if (blobs === undefined) return { count, bytes, leftovers };
  const names = new Set([...live].map((digest) => `${digestAlgorithm(digest)}/${digestHex(digest)}`));
  const drop = (path: string): void => {
    bytes += files.lstat(path)?.size ?? 0;
    remove(path);
  };
  for (const name of files.list(blobs)) {
    if (name.startsWith(TEMPORARY_PREFIX)) {
      leftovers += 1;
      drop(`${blobs}/${name}`);
    } else {
      for (const hex of files.list(`${blobs}/${name}`)) {
        if (names.has(`${name}/${hex}`)) continue;
        count += 1;
        drop(`${blobs}/${name}/${hex}`);
      }
    }
  }
  return { count, bytes, leftovers };
}
