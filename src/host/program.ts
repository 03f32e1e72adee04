/**
 * The running program itself: how it was started, and the files that belong to it (shell scripts, systemd units), the same from
 * a checkout and inside the self-contained executable, where tools/build-binary.ts has put them as assets `files/<path>`.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { getAsset, getAssetKeys, isSea } from "node:sea";
import { fileURLToPath } from "node:url";

export type Program =
  /** The self-contained executable. */
  | { readonly kind: "binary"; readonly path: string }
  /** A checkout, run by its own Node from source or from dist/berth.mjs. */
  | { readonly kind: "checkout"; readonly root: string; readonly node: string };

export function thisProgram(): Program {
  if (isSea()) return { kind: "binary", path: process.execPath };
  const up = import.meta.url.endsWith(".ts") ? "../../" : "../";
  const root = fileURLToPath(new URL(up, import.meta.url)).replace(/\/$/, "");
  return { kind: "checkout", root, node: process.execPath };
}

/** One file of the program, by its path in the checkout, e.g. `systemd/berth-finalize-staged.service`. */
export function programFile(path: string): Buffer {
  const program = thisProgram();
  if (program.kind === "binary") return Buffer.from(getAsset(`files/${path}`));
  return readFileSync(`${program.root}/${path}`);
}

/** Paths of the program's files below a folder, in byte order. */
export function programFiles(folder: string): string[] {
  const program = thisProgram();
  if (program.kind === "binary") {
    const prefix = `files/${folder}/`;
    return getAssetKeys()
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice("files/".length))
      .sort();
  }
  return readdirSync(`${program.root}/${folder}`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(program.root.length + 1))
    .sort();
}

/**
 * Tells versions of the program's parts apart, for caches of what they make: sha256 (hex) of the files below these folders,
 * tests left out; of the whole executable where there are no such files.
 */
export function programKey(folders: readonly string[]): string {
  const program = thisProgram();
  const key = createHash("sha256");
  if (program.kind === "binary") return key.update(readFileSync(program.path)).digest("hex");
  for (const path of folders.flatMap(programFiles)) {
    if (!path.endsWith(".test.ts")) key.update(`${path}\0`).update(programFile(path)).update("\0");
  }
  return key.digest("hex");
}

/** The words that start this very program again. */
export function programArgv(): string[] {
  const program = thisProgram();
  if (program.kind === "binary") return [program.path];
  const entry = import.meta.url.endsWith(".ts") ? "src/cli/main.ts" : "dist/berth.mjs";
  return [program.node, "--disable-warning=ExperimentalWarning", `${program.root}/${entry}`];
}
