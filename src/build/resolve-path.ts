/**
 * resolveInRoot(): a path inside a directory tree that is not ours, symlinks followed without ever leaving the tree: an absolute
 * target starts at the root again, `..` stops there.
 */
import { Failure } from "../core/failure.ts";
import type { Files, FileStat } from "../host/host.ts";

export interface ResolvedPath {
  /** Relative to the root, without symlinks in its existing part; empty for the root itself. */
  readonly path: string;
  /** Of the path itself; undefined when it does not exist. */
  readonly stat: FileStat | undefined;
}

const LINKS_MAX = 40;

/** `followLast: false` leaves a symlink at the very end alone. A file used as a directory counts as missing. */
export function resolveInRoot(
  files: Pick<Files, "lstat" | "readlink">,
  root: string,
  path: string,
  options: { followLast: boolean },
): ResolvedPath {
  const pending = path.split("/");
  const done: string[] = [];
  let links = 0;
  let stat = files.lstat(root);
  while (pending.length > 0) {
    const name = pending.shift() ?? "";
    if (name === "" || name === ".") continue;
    if (name === "..") {
      done.pop();
      stat = files.lstat(join(root, done.join("/")));
      continue;
    }
    const here = stat?.kind === "directory" ? files.lstat(join(root, [...done, name].join("/"))) : undefined;
    const isLast = pending.every((rest) => rest === "" || rest === ".");
    if (here?.kind === "symlink" && (!isLast || options.followLast)) {
      links += 1;
      if (links > LINKS_MAX)
        throw new Failure("bad-input", `Cannot resolve "${path}": too many levels of symbolic links`);
      const target = files.readlink(join(root, [...done, name].join("/")));
      if (target.startsWith("/")) {
        done.length = 0;
        stat = files.lstat(root);
      }
      pending.unshift(...target.split("/"));
      continue;
    }
    done.push(name);
    stat = here;
  }
  return { path: done.join("/"), stat };
}

export function join(root: string, path: string): string {
  return path === "" ? root : root === "/" ? `/${path}` : `${root}/${path}`;
}
