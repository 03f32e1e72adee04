/**
 * An image in an OCI layout, which lies in a folder (`oci:`) or in an archive (`oci-archive:`). Other images of a folder stay; an
 * archive is written anew.
 *
 * @see OCI image-spec image-layout.md
 */
import type { Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import {
  addToIndex,
  checkLayoutFile,
  formatLayoutFile,
  INDEX_FILE,
  LAYOUT_FILE,
  layoutBlobPath,
  type LayoutLabel,
  parseLayoutIndex,
  REF_NAME,
} from "../../oci/layout.ts";
import type { Descriptor, Index } from "../../oci/manifest.ts";
import { readSmallFile, toDocument, understand } from "./documents.ts";
import type { FileReader, FileWriter } from "./file-set.ts";
import type { ImageSink, ImageSource } from "./image-io.ts";

export interface NamedImage extends LayoutLabel {
  /** As it was written, for messages. */
  readonly name: string;
}

export async function readLayoutImage(files: FileReader, { name, ref }: NamedImage): Promise<ImageSource> {
  const index = await readLayoutIndex(files, name);
  const top = chooseEntry(index, ref, name);
  return {
    name,
    async manifest(digest = top.digest) {
      return toDocument(await readSmallFile(files, layoutBlobPath(digest), name), name, digest);
    },
    blob: (blob, from) => files.read(layoutBlobPath(blob.digest), from),
    requireTrust: async () => {},
    [Symbol.asyncDispose]: async () => files[Symbol.dispose](),
  };
}

/** `old` is what the layout's index holds already. */
export function writeLayoutImage(files: FileWriter, { name, ...label }: NamedImage, old: Index | undefined): ImageSink {
  return {
    name,
    takesIndex: true,
    rewrites: undefined,
    // First, so that a copy that was broken off can be taken up again.
    begin: () => files.putBytes(LAYOUT_FILE, formatLayoutFile()),
    hasBlob: async ({ blob }) => files.size(layoutBlobPath(blob.digest)) === blob.size,
    async putBlob({ blob, open, onBytes }) {
      await files.put(layoutBlobPath(blob.digest), blob, open, onBytes);
      return undefined;
    },
    putManifest: async ({ digest, bytes }) => files.putBytes(layoutBlobPath(digest), bytes),
    async finish({ digest, bytes, mediaType }, platform) {
      const descriptor: Descriptor = { mediaType, digest, size: bytes.length, ...(platform && { platform }) };
      files.putBytes(layoutBlobPath(digest), bytes);
      files.putBytes(INDEX_FILE, JSON.stringify(addToIndex(old, descriptor, label)));
      files.finish();
    },
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  };
}

/** Failure "not-found", "bad-input". */
export async function readLayoutIndex(files: FileReader, name: string): Promise<Index> {
  const marker = await readSmallFile(files, LAYOUT_FILE, name);
  const text = await readSmallFile(files, INDEX_FILE, name);
  return understand(name, () => {
    checkLayoutFile(marker.toString("utf8"));
    return parseLayoutIndex(text.toString("utf8"));
  });
}

function chooseEntry(index: Index, ref: string | undefined, name: string): Descriptor {
  const fitting = index.manifests.filter((entry) => ref === undefined || entry.annotations?.[REF_NAME] === ref);
  const [first, ...more] = fitting;
  const names = index.manifests.map((entry) => entry.annotations?.[REF_NAME] ?? entry.digest).join(", ");
  if (first === undefined)
    throw new Failure("not-found", `Cannot find image "${name}": there is ${names === "" ? "none" : names}`);
  if (more.length > 0 && new Set(fitting.map((entry) => entry.digest as Digest)).size > 1)
    throw new Failure(
      "bad-input",
      `Cannot choose an image of "${name}": there are ${fitting.length}, wanted one of ${names}`,
    );
  return first;
}
