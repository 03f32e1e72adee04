/** findLibraries(): the shared libraries that a program of an image needs, all the way down, by reading the files themselves. */
import { Failure } from "../../../core/failure.ts";
import { readElf } from "../../../format/elf/needed.ts";
import type { Files } from "../../../host/host.ts";

export type ImageFiles = Pick<Files, "read" | "lstat" | "readlink">;

const MAX_LINKS = 40;

/**
 * Follows a final symlink inside `root` (an absolute target counts from `root`). Returns the host's path, or undefined when
 * there is nothing. Directories on the way are taken as they are: the image has merged /usr and asks for paths below it.
 */
export function resolveInImage(files: ImageFiles, root: string, path: string): string | undefined {
  let current = path;
  for (let links = 0; links < MAX_LINKS; links += 1) {
    const stat = files.lstat(`${root}/${current}`);
    if (stat === undefined) return undefined;
    if (stat.kind !== "symlink") return `${root}/${current}`;
    const target = files.readlink(`${root}/${current}`);
    current = normalise(target.startsWith("/") ? target : `${current.replace(/[^/]*$/, "")}${target}`);
  }
  throw new Failure("corrupt", `Cannot follow link "${path}" of the image: it leads in a circle`);
}

/** Paths in the image (relative, below usr/) to the host's paths of their content: libraries and interpreter. */
export function findLibraries(
  files: ImageFiles,
  root: string,
  program: string,
  directories: readonly string[],
): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (hostPath: string): void => {
    const elf = readElf(files.read(hostPath));
    if (elf.interpreter !== undefined) {
      const inImage = `usr/${elf.interpreter.replace(/^\/(?:usr\/)?/, "")}`;
      add(inImage, resolveInImage(files, root, inImage), elf.interpreter);
    }
    for (const name of elf.needed) {
      if ([...found.keys()].some((path) => path.endsWith(`/${name}`))) continue;
      const hit = directories.find((directory) => resolveInImage(files, root, `${directory}/${name}`) !== undefined);
      add(`${hit}/${name}`, hit && resolveInImage(files, root, `${hit}/${name}`), name);
    }
  };
  const add = (inImage: string, hostPath: string | undefined, name: string): void => {
    if (hostPath === undefined) {
      throw new Failure(
        "not-found",
        `Cannot make an initramfs: the image lacks library "${name}", which ${program} needs`,
      );
    }
    if (found.has(inImage)) return;
    found.set(inImage, hostPath);
    visit(hostPath);
  };
  const start = resolveInImage(files, root, program);
  if (start === undefined) throw new Failure("not-found", `Cannot make an initramfs: the image has no /${program}`);
  visit(start);
  return found;
}

function normalise(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  const joined = parts.join("/");
  // A merged /usr: lib, lib64, bin and sbin at the top are links into it.
  return /^(?:lib|lib64|bin|sbin)\//.test(joined) ? `usr/${joined}` : joined;
}
