/**
 * createObjectWriter(): writes content under the name of its fs-verity digest. An object appears whole or not at all: temporary
 * name, then rename. There is no fsync here: a layer's one syncfs comes before the link that makes it visible.
 *
 * It runs in the store's own thread and in its workers.
 */
import { Failure } from "../core/failure.ts";
import type { DigestAlgorithm } from "../core/digest.ts";
import { createVerityHasher, verityDigest } from "../format/verity/verity.ts";
import type { Files, OpenFile } from "../host/host.ts";
import { objectName, TEMPORARY_PREFIX } from "./layout.ts";

export type ObjectFiles = Pick<
  Files,
  "open" | "stat" | "listIfAny" | "rename" | "remove" | "makeDirectory" | "enableVerity"
>;

export interface ObjectWriter {
  /** Returns the object's id. */
  put(content: Uint8Array): string;
  /** For content that does not fit in memory. */
  begin(): ObjectInProgress;
}

export interface ObjectInProgress {
  write(bytes: Uint8Array): void;
  /** Returns the object's id. */
  finish(): string;
  /** Takes the temporary file away. Harmless after finish(). */
  abandon(): void;
}

export interface ObjectWriterOptions {
  /** Absolute path of objects/. */
  readonly directory: string;
  readonly algorithm: DigestAlgorithm;
  /** Objects get fs-verity; a file system that turns out to lack it is a Failure "unsupported". */
  readonly verity: () => boolean;
  /** Unique among all writers of this repository. */
  readonly unique: string;
}

export function createObjectWriter(files: ObjectFiles, options: ObjectWriterOptions): ObjectWriter {
  const { directory, algorithm } = options;
  /** Names in each `xx` when it was first looked at: one listing is cheaper than asking for each of thousands of new objects. */
  const fans = new Map<string, Set<string>>();
  let count = 0;

  const temporary = (): string => {
    count += 1;
    return `${directory}/${TEMPORARY_PREFIX}${options.unique}-${count}`;
  };

  const fanOf = (id: string): Set<string> => {
    const fan = id.slice(0, 2);
    const names = fans.get(fan) ?? new Set(files.listIfAny(`${directory}/${fan}`));
    fans.set(fan, names);
    return names;
  };

  /** What others add or delete meanwhile costs a second write at worst: a name that is known is looked at again. */
  const isThere = (id: string, sizeBytes: number): boolean => {
    if (!fanOf(id).has(id.slice(2))) return false;
    const known = files.stat(`${directory}/${objectName(id)}`);
    return known !== undefined && known.kind === "file" && known.size === sizeBytes;
  };

  const publish = (path: string, id: string): void => {
    if (options.verity() && files.enableVerity(path, algorithm) === "unsupported") {
      throw new Failure("unsupported", `Cannot enable fs-verity on object "${id}": the file system refused it`);
    }
    const names = fanOf(id);
    if (names.size === 0) files.makeDirectory(`${directory}/${id.slice(0, 2)}`);
    files.rename(path, `${directory}/${objectName(id)}`);
    names.add(id.slice(2));
  };

  return {
    put(content) {
      const id = verityDigest(content, algorithm);
      if (isThere(id, content.length)) return id;
      const path = temporary();
      try {
        writeWhole(files, path, content);
        publish(path, id);
      } catch (error) {
        removeQuietly(files, path);
        throw error;
      }
      return id;
    },
    begin() {
      const path = temporary();
      const file = files.open(path, "create");
      const hasher = createVerityHasher(algorithm);
      let done = false;
      const abandon = (): void => {
        if (done) return;
        done = true;
        file.close();
        removeQuietly(files, path);
      };
      return {
        write(bytes) {
          hasher.update(bytes);
          file.write(bytes);
        },
        finish() {
          const { id, sizeBytes } = hasher.finish();
          try {
            file.close();
            if (!isThere(id, sizeBytes)) {
              publish(path, id);
              done = true;
            }
          } finally {
            abandon();
          }
          return id;
        },
        abandon,
      };
    },
  };
}

function writeWhole(files: ObjectFiles, path: string, content: Uint8Array): void {
  const file: OpenFile = files.open(path, "create");
  try {
    file.write(content);
  } finally {
    file.close();
  }
}

/** After a failure: what stays behind is taken away by gc, and must not hide the failure itself. */
function removeQuietly(files: ObjectFiles, path: string): void {
  try {
    files.remove(path);
  } catch {
    // The first error is the one to tell.
  }
}
