/**
 * openFolder(), writeFolder(): files of a folder. What has arrived of a file lies in `partial/` until it is whole, so that a copy that
 * was broken off goes on where it was.
 */
import { isFailure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import { openPartialBlob, receive } from "../partial-blob.ts";
import type { FileReader, FileWriter } from "./file-set.ts";

export function openFolder(host: Pick<Host, "files">, directory: string): FileReader {
  const { files } = host;
  return {
    size: (name) => sizeOf(host, `${directory}/${name}`),
    read: (name, from = 0, end) =>
      files.readStream(`${directory}/${name}`, { start: from, ...(end !== undefined && { end }) }),
    [Symbol.dispose]() {},
  };
}

/** The folder is made with the first file. Failure "busy" while another process writes the same file. */
export function writeFolder(host: Pick<Host, "files" | "clock">, directory: string, signal?: AbortSignal): FileWriter {
  const { files } = host;
  return {
    size: (name) => sizeOf(host, `${directory}/${name}`),
    async put(name, expected, open, onBytes) {
      const path = `${directory}/${name}`;
      using partial = await openPartialBlob(host, directory, expected.digest, signal);
      const copyOnce = (): Promise<void> => receive(host, partial, expected, { open, onBytes, signal });
      const kept = partial.size;
      try {
        await copyOnce();
      } catch (error) {
        if (!isFailure(error, "digest-mismatch")) throw error;
        partial.reset();
        if (kept === 0) {
          partial.remove();
          throw error;
        }
        // Bytes kept from before a power cut may be wrong: once more, from the first byte.
        await copyOnce();
      }
      files.makeDirectory(path.slice(0, path.lastIndexOf("/")));
      partial.moveTo(path);
    },
    putBytes(name, bytes) {
      const path = `${directory}/${name}`;
      files.makeDirectory(path.slice(0, path.lastIndexOf("/")));
      files.replace(path, bytes);
    },
    finish() {
      if (files.listIfAny(`${directory}/partial`).length === 0) files.remove(`${directory}/partial`);
      files.syncFileSystem(directory);
    },
    async [Symbol.asyncDispose]() {},
  };
}

function sizeOf(host: Pick<Host, "files">, path: string): number | undefined {
  const stat = host.files.stat(path);
  return stat?.kind === "file" ? stat.size : undefined;
}
