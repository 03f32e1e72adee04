/** requireOutputFile(): whether a file can be made at a path, asked before the work that would be lost. */
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { Files } from "./host.ts";

/** `cannot` begins the message, e.g. `Cannot write archive "x.tar"`. Failure "bad-input" for what is no file, "not-found" without its folder. */
export function requireOutputFile(files: Pick<Files, "stat">, path: string, cannot: string): void {
  const kind = files.stat(path)?.kind ?? "file";
  if (kind !== "file") {
    const what = kind === "directory" ? "folder" : `${kind} file`;
    throw new Failure("bad-input", `${cannot}: it is a ${what}, wanted a file`);
  }
  const folder = path.slice(0, path.lastIndexOf("/") + 1) || ".";
  if (files.stat(folder)?.kind !== "directory")
    throw new Failure("not-found", `${cannot}: there is no folder "${byteNameToText(folder)}"`);
}
