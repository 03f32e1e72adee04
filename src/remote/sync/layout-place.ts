/**
 * An OCI layout as one end of a sync: an image is named `repository:tag` in index.json; what has no name there is a referrer, found by
 * the subject of its manifest and by its repository, which an annotation tells: two repositories may hold the same image, and what is
 * attached to it in one is not for the readers of the other. The folder is good after every image; an archive is written anew when the sync ends.
 */
import type { Digest } from "../../core/digest.ts";
import { isDigest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import {
  formatLayoutFile,
  INDEX_FILE,
  LAYOUT_FILE,
  layoutBlobPath,
  parseLayoutIndex,
  REF_NAME,
  REPOSITORY,
} from "../../oci/layout.ts";
import { type Descriptor, type Index, parseIndex, parseManifest } from "../../oci/manifest.ts";
import { INDEX, isIndexType } from "../../oci/media-types.ts";
import { readSmallFile, toDocument, understand } from "../copy/documents.ts";
import type { FileReader, FileWriter } from "../copy/file-set.ts";
import { readLayoutImage, writeLayoutImage } from "../copy/layout-image.ts";
import { collectBlobs } from "./layout-blobs.ts";
import type { SyncImage, SyncPlace } from "./sync-place.ts";

export interface LayoutPlaceOptions {
  readonly name: string;
  /** What is there; undefined when there is nothing. */
  readonly reader: FileReader | undefined;
  /** Where it goes; of a source none. */
  readonly writer: FileWriter | undefined;
  /** An archive: what is there is carried over with the first change, and nothing can be taken out. */
  readonly isArchive: boolean;
  readonly tags: RegExp;
}

/** Failure "not-found" for a source that is no layout. */
export async function createLayoutPlace(options: LayoutPlaceOptions): Promise<SyncPlace> {
  const { name, reader, writer, isArchive, tags } = options;
  const empty: Index = { schemaVersion: 2, mediaType: INDEX, manifests: [] };
  const hasIndex = reader?.size(INDEX_FILE) !== undefined;
  if (!hasIndex && writer === undefined)
    throw new Failure("not-found", `Cannot sync from "${name}": it has no ${INDEX_FILE}, wanted an OCI layout`);
  let index = hasIndex ? await readIndex(reader, name) : empty;
  let isChanged = false;
  const subjects = new Map<Digest, Digest | undefined>();
  const output = (): FileWriter => writer ?? fail(name);

  const carryOver = async (): Promise<void> => {
    if (isChanged) return;
    isChanged = true;
    if (!isArchive || reader === undefined) return;
    for (const blob of await collectBlobs(reader, name, index.manifests))
      await output().put(
        layoutBlobPath(blob.digest),
        blob,
        (from) => reader.read(layoutBlobPath(blob.digest), from),
        () => {},
      );
  };
  const writeIndex = (changed: Index): void => {
    index = changed;
    output().putBytes(LAYOUT_FILE, formatLayoutFile());
    output().putBytes(INDEX_FILE, JSON.stringify(index));
  };
  return {
    name,
    async list(wanted) {
      return index.manifests.flatMap((entry) => {
        const image = toImage(entry);
        if (image === undefined || !tags.test(image.tag)) return [];
        return wanted === undefined || wanted.includes(image.repository) ? [image] : [];
      });
    },
    async referrers(repository, subject) {
      const found: Digest[] = [];
      for (const entry of index.manifests) {
        if (entry.annotations?.[REF_NAME] !== undefined || entry.annotations?.[REPOSITORY] !== repository) continue;
        if (reader !== undefined && !subjects.has(entry.digest))
          subjects.set(entry.digest, await readSubject(reader, name, entry));
        if (subjects.get(entry.digest) === subject) found.push(entry.digest);
      }
      return found;
    },
    async source(repository, selector) {
      if (reader === undefined) throw fail(name);
      if (!isDigest(selector))
        return readLayoutImage(reader, { name: `${name}:${repository}:${selector}`, ref: `${repository}:${selector}` });
      const document = toDocument(await readSmallFile(reader, layoutBlobPath(selector), name), name, selector);
      return {
        name: `${name}@${selector}`,
        manifest: async (digest = selector) =>
          digest === selector
            ? document
            : toDocument(await readSmallFile(reader, layoutBlobPath(digest), name), name, digest),
        blob: (blob, from) => reader.read(layoutBlobPath(blob.digest), from),
        requireTrust: async () => {},
        async [Symbol.asyncDispose]() {},
      };
    },
    async sink(repository, selector) {
      await carryOver();
      const files: FileWriter = {
        ...output(),
        finish: () => (isArchive ? undefined : output().finish()),
        putBytes(file, bytes) {
          if (file === INDEX_FILE) index = parseLayoutIndex(String(bytes));
          output().putBytes(file, bytes);
        },
        async [Symbol.asyncDispose]() {},
      };
      const label = isDigest(selector) ? { repository } : { ref: `${repository}:${selector}` };
      return writeLayoutImage(files, { name: `${name}:${label.ref ?? selector}`, ...label }, index);
    },
    async removeTag({ repository, tag }) {
      if (isArchive) {
        throw new Failure("unsupported", `Cannot delete from "${name}": an archive is only added to`, {
          hint: "write a new archive",
        });
      }
      isChanged = true;
      const manifests = index.manifests.filter((entry) => entry.annotations?.[REF_NAME] !== `${repository}:${tag}`);
      writeIndex({ ...index, manifests });
    },
    async finish() {
      if (isChanged || reader === undefined) {
        if (writer !== undefined && index.manifests.length === 0) writeIndex(index);
        writer?.finish();
      }
    },
    async [Symbol.asyncDispose]() {
      reader?.[Symbol.dispose]();
      await writer?.[Symbol.asyncDispose]();
    },
  };
}

async function readIndex(reader: FileReader, name: string): Promise<Index> {
  const text = await readSmallFile(reader, INDEX_FILE, name);
  return understand(name, () => parseLayoutIndex(text.toString("utf8")));
}

/** undefined for what has no name of the form `repository:tag`. */
function toImage(entry: Descriptor): SyncImage | undefined {
  const [, repository, tag] = /^(.+):([^:/]+)$/.exec(entry.annotations?.[REF_NAME] ?? "") ?? [];
  return repository === undefined || tag === undefined ? undefined : { repository, tag, digest: entry.digest };
}

async function readSubject(
  reader: FileReader,
  name: string,
  { digest, mediaType }: Descriptor,
): Promise<Digest | undefined> {
  const path = layoutBlobPath(digest);
  // Put in this run: its subject was copied before it.
  if (reader.size(path) === undefined) return undefined;
  const text = (await readSmallFile(reader, path, name)).toString("utf8");
  return understand(name, () => (isIndexType(mediaType) ? parseIndex(text) : parseManifest(text)).subject?.digest);
}

function fail(name: string): never {
  throw new Failure("not-found", `Cannot read "${name}": there is nothing`);
}
