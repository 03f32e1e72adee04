/** FileReader and FileWriter: named files in a folder or in a tar archive: where images lie as files. */
import type { Expected } from "../../core/verified.ts";

export interface FileReader extends Disposable {
  /** Bytes; undefined when there is no such file. */
  size(name: string): number | undefined;
  /** From byte `from` on, up to `end` (exclusive) if given. Failure "not-found". */
  read(name: string, from?: number, end?: number): AsyncIterable<Uint8Array>;
}

export interface FileWriter extends AsyncDisposable {
  size(name: string): number | undefined;
  /** The file appears whole, with the right digest, or not at all. */
  put(
    name: string,
    expected: Expected,
    open: (from: number) => AsyncIterable<Uint8Array>,
    onBytes: (count: number) => void,
  ): Promise<void>;
  /** Replaces a small file, or makes it. */
  putBytes(name: string, bytes: Uint8Array | string): void;
  /** Everything put is on disk and can be seen. */
  finish(): void;
}
