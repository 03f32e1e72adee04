/**
 * An image as a folder of plain files (`dir:`): `manifest.json`, `version`, each blob as `<hex>`, each further manifest as
 * `<hex>.manifest.json`. A folder holds one image; what an earlier one left goes when the new one is there.
 *
 * @see containers-transports(5), "dir:path"
 */
import { byteNameToText } from "../../core/bytes.ts";
import { type Digest, digestHex } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import { readSmallFile, toDocument } from "./documents.ts";
import { openFolder, writeFolder } from "./folder.ts";
import type { ImageSink, ImageSource } from "./image-io.ts";

const MANIFEST_FILE = "manifest.json";
const VERSION_FILE = "version";
const OURS = /^(?:[0-9a-f]{64}|[0-9a-f]{128})(?:\.manifest\.json)?$/;

export function readDirectoryImage(host: Pick<Host, "files">, directory: string, name: string): ImageSource {
  const files = openFolder(host, directory);
  return {
    name,
    async manifest(digest) {
      const file = digest === undefined ? MANIFEST_FILE : manifestFile(digest);
      return toDocument(await readSmallFile(files, file, name), name, digest);
    },
    blob: (blob, from) => files.read(digestHex(blob.digest), from),
    requireTrust: async () => {},
    async [Symbol.asyncDispose]() {},
  };
}

/** Failure "conflict" for a folder that holds something else. */
export function writeDirectoryImage(
  host: Pick<Host, "files" | "clock">,
  directory: string,
  name: string,
  signal?: AbortSignal,
): ImageSink {
  const found = host.files.listIfAny(directory);
  if (found.length > 0 && !found.includes(VERSION_FILE)) {
    throw new Failure(
      "conflict",
      `Cannot write image "${name}": the folder "${byteNameToText(directory)}" is not empty and no image`,
    );
  }
  const files = writeFolder(host, directory, signal);
  const kept = new Set<string>();
  return {
    name,
    takesIndex: true,
    rewrites: undefined,
    begin: () => files.putBytes(VERSION_FILE, "Directory Transport Version: 1.1\n"),
    async hasBlob({ blob }) {
      kept.add(digestHex(blob.digest));
      return files.size(digestHex(blob.digest)) === blob.size;
    },
    async putBlob({ blob, open, onBytes }) {
      kept.add(digestHex(blob.digest));
      await files.put(digestHex(blob.digest), blob, open, onBytes);
      return undefined;
    },
    async putManifest({ digest, bytes }) {
      kept.add(manifestFile(digest));
      files.putBytes(manifestFile(digest), bytes);
    },
    async finish({ bytes }) {
      files.putBytes(MANIFEST_FILE, bytes);
      files.finish();
      for (const file of host.files.list(directory))
        if (OURS.test(file) && !kept.has(file)) host.files.remove(`${directory}/${file}`);
    },
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  };
}

function manifestFile(digest: Digest): string {
  return `${digestHex(digest)}.manifest.json`;
}
