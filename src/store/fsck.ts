/**
 * fsck: hashes every object and blob again and follows every name. With `repair` what is damaged is taken away, and with it the
 * names that cannot be kept, so that the next pull or build brings them again; nothing else is touched.
 */
import { digestAlgorithm, digestOf, parseDigest } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { type Progress, silent } from "../core/progress.ts";
import { hashBlob, hashObject } from "./hash-file.ts";
import { isObjectId, objectName, parseObjectLink, parseStreamName, TEMPORARY_PREFIX } from "./layout.ts";
import type { Repository } from "./repository.ts";
import type { FsckProblem } from "./store.ts";
import { openStreamObject, readSingleObject } from "./streams.ts";

export interface FsckOptions {
  readonly repair: boolean;
  readonly progress?: Progress;
}

/** Hashes every object and follows every stream and image. `repair` removes what is damaged: the next pull brings it again. */
export function checkRepository(repository: Repository, options: FsckOptions): FsckProblem[] {
  const problems: FsckProblem[] = [];
  const { files } = repository.host;
  const report = (path: string, what: string): void => {
    problems.push({ path, what });
    if (options.repair) files.remove(path);
  };
  const good = checkObjects(repository, report, options.progress ?? silent);
  checkStreams(repository, good, report);
  checkImages(repository, good, report);
  checkNames(repository, repository.paths.streamRefs, report, options.repair);
  checkNames(repository, repository.paths.imageRefs, report, options.repair);
  checkBlobs(repository, report);
  return problems;
}

type Report = (path: string, what: string) => void;

/** Returns the objects that are what their name says, as `xx/rest`. */
function checkObjects(repository: Repository, report: Report, progress: Progress): Set<string> {
  const { algorithm, host } = repository;
  const { files } = host;
  const good = new Set<string>();
  const task = progress.task("Checking objects", { unit: "bytes" });
  const advance = (bytes: number): void => task.advance(bytes);
  for (const fan of files.list(repository.paths.objects)) {
    const directory = `${repository.paths.objects}/${fan}`;
    if (fan.startsWith(TEMPORARY_PREFIX)) continue;
    for (const rest of files.listIfAny(directory)) {
      const path = `${directory}/${rest}`;
      const id = `${fan}${rest}`;
      if (files.lstat(path)?.kind !== "file" || !isObjectId(id, algorithm)) {
        report(path, "it is no object");
        continue;
      }
      const actual = readQuietly(() => hashObject(files, path, { algorithm, advance }));
      if (actual === id) good.add(objectName(id));
      else report(path, actual === undefined ? "it cannot be read" : `its content has the digest ${actual}`);
    }
  }
  task.done();
  return good;
}

function checkStreams(repository: Repository, good: ReadonlySet<string>, report: Report): void {
  const { files } = repository.host;
  for (const name of files.list(repository.paths.streams)) {
    const path = `${repository.paths.streams}/${name}`;
    if (files.lstat(path)?.kind !== "symlink") continue;
    const objectId = parseObjectLink(files.readlink(path), repository.algorithm);
    if (objectId === undefined || !good.has(objectName(objectId))) {
      report(path, "its splitstream is missing or damaged");
      continue;
    }
    try {
      const stream = openStreamObject(repository, objectId, name);
      const missing = stream.objectRefs.filter((id) => !good.has(objectName(id)));
      if (missing.length > 0) {
        report(
          path,
          `${missing.length} of its ${stream.objectRefs.length} objects are missing or damaged, the first is ${missing[0]}`,
        );
        continue;
      }
      const digest = parseStreamName("manifest", name) ?? parseStreamName("config", name);
      if (digest === undefined) continue;
      const actual = digestOf(readSingleObject(repository, { name, objectId, stream }), digestAlgorithm(digest));
      if (actual !== digest) report(path, `its content hashes to ${actual}`);
    } catch (error) {
      if (!isFailure(error)) throw error;
      report(path, "it is no splitstream");
    }
  }
}

function checkImages(repository: Repository, good: ReadonlySet<string>, report: Report): void {
  const { files } = repository.host;
  for (const name of files.list(repository.paths.images)) {
    const path = `${repository.paths.images}/${name}`;
    if (files.lstat(path)?.kind !== "symlink") continue;
    const objectId = parseObjectLink(files.readlink(path), repository.algorithm);
    if (objectId !== name || !good.has(objectName(objectId))) report(path, "its EROFS image is missing or damaged");
  }
}

/** Names of streams or images that are gone. */
function checkNames(repository: Repository, directory: string, report: Report, repair: boolean): void {
  const { files } = repository.host;
  for (const name of files.listIfAny(directory)) {
    const path = `${directory}/${name}`;
    const kind = files.lstat(path)?.kind;
    if (kind === "directory") checkNames(repository, path, report, repair);
    else if (kind === "symlink" && files.stat(path) === undefined)
      report(path, `it names ${files.readlink(path)}, which is gone`);
  }
}

function checkBlobs(repository: Repository, report: Report): void {
  const { files } = repository.host;
  if (repository.blobs === undefined) return;
  for (const algorithm of ["sha256", "sha512"]) {
    for (const hex of files.listIfAny(`${repository.blobs}/${algorithm}`)) {
      const path = `${repository.blobs}/${algorithm}/${hex}`;
      const digest = readQuietly(() => parseDigest(`${algorithm}:${hex}`));
      const actual = digest === undefined ? undefined : readQuietly(() => hashBlob(files, path, digest));
      if (digest === undefined || actual !== digest)
        report(path, actual === undefined ? "it is no readable blob" : `its content hashes to ${actual}`);
    }
  }
}

/** undefined for what the disk or the name does not give: that is a finding, not an end. */
function readQuietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isFailure(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
