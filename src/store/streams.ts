/**
 * Streams: the named splitstreams of a repository. A link appears only after its object and all objects that it refers to are on
 * disk.
 */
import { Failure } from "../core/failure.ts";
import { readSplitstream, type Splitstream } from "../format/splitstream/splitstream.ts";
import { objectLink, objectName, parseObjectLink } from "./layout.ts";
import type { Repository } from "./repository.ts";

export interface NamedStream {
  readonly name: string;
  /** Of the splitstream itself. */
  readonly objectId: string;
  readonly stream: Splitstream;
}

/** The object that a stream's name leads to; undefined when there is no such stream or its object is gone. */
export function findStream(repository: Repository, name: string): string | undefined {
  const { files } = repository.host;
  const path = `${repository.paths.streams}/${name}`;
  if (files.lstat(path)?.kind !== "symlink") return undefined;
  const objectId = parseObjectLink(files.readlink(path), repository.algorithm);
  return objectId !== undefined && files.exists(objectPath(repository, objectId)) ? objectId : undefined;
}

/** Failure "corrupt" when the stream is there but cannot be read. */
export function openStream(repository: Repository, name: string): NamedStream | undefined {
  const objectId = findStream(repository, name);
  return objectId === undefined ? undefined : { name, objectId, stream: openStreamObject(repository, objectId, name) };
}

/** `name` is for the error. */
export function openStreamObject(repository: Repository, objectId: string, name: string): Splitstream {
  try {
    const stream = readSplitstream(readObject(repository, objectId));
    if (stream.algorithm !== repository.algorithm) {
      throw new SyntaxError(
        `Cannot read splitstream: its digests are ${stream.algorithm}, wanted ${repository.algorithm}`,
      );
    }
    return stream;
  } catch (error) {
    throw corrupt(name, error);
  }
}

/** A stream whose content is one object (a config or a manifest): that content. */
export function readSingleObject(repository: Repository, { name, stream }: NamedStream): Buffer {
  const [objectId] = stream.objectRefs;
  if (objectId === undefined || stream.objectRefs.length !== 1) {
    throw corrupt(name, new SyntaxError(`it refers to ${stream.objectRefs.length} objects, wanted 1`));
  }
  return readObject(repository, objectId);
}

/** Points a name at a splitstream object. The caller has synced. */
export function linkStream(repository: Repository, name: string, objectId: string): void {
  repository.host.files.replaceSymlink(`${repository.paths.streams}/${name}`, objectLink(objectId));
}

/** Where an object is, or would be. */
export function objectPath(repository: Repository, objectId: string): string {
  return `${repository.paths.objects}/${objectName(objectId)}`;
}

/** Failure "not-found" that names the object. */
export function readObject(repository: Repository, objectId: string): Buffer {
  return repository.host.files.read(objectPath(repository, objectId));
}

export const REPAIR_HINT = "run berth store fsck --repair, then pull or build the image again";

/** Failure "corrupt" that names the stream and how to repair the store. */
export function corrupt(name: string, cause: unknown): Failure {
  return new Failure("corrupt", `Cannot read "${name}" of the store: it is damaged`, {
    cause,
    hint: REPAIR_HINT,
  });
}
