/**
 * resolveInRoot(): a path inside a directory tree that is not ours, symlinks followed without ever leaving the tree: an absolute
 * target starts at the root again, `..` stops there. The root itself may be a link, as /proc/PID/root is.
 *
 * @see path_resolution(7)
 */
import { Failure } from "../core/failure.ts";
import type { Files, FileStat } from "./host.ts";

export interface ResolvedPath {
  /** Relative to the root, without symlinks in its existing part; empty for the root itself. */
  readonly path: string;
  /** Of the path itself; undefined when it does not exist. */
  readonly stat: FileStat | undefined;
  /** How many of its leading components exist. */
  readonly existing: number;
}

const LINKS_MAX = 40;

/**
 * `followLast: false` leaves a symlink at the very end alone. A file used as a directory counts as missing; what is missing is kept
 * as it is written. Failure "bad-input" for a loop of symlinks.
 */
export function resolveInRoot(
  files: Pick<Files, "lstat" | "stat" | "readlink">,
  root: string,
  path: string,
  options: { followLast: boolean } = { followLast: true },
): ResolvedPath {
  const pending = path.split("/");
  const done: string[] = [];
  let existing = 0;
  let links = 0;
  let stat = files.stat(root);
  while (pending.length > 0) {
    const name = pending.shift() ?? "";
    if (name === "" || name === ".") continue;
    if (name === "..") {
      done.pop();
      existing = Math.min(existing, done.length);
      stat = done.length === 0 ? files.stat(root) : files.lstat(join(root, done.join("/")));
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
        existing = 0;
        stat = files.stat(root);
      }
      pending.unshift(...target.split("/"));
      continue;
    }
    done.push(name);
    stat = here;
    if (stat !== undefined) existing = done.length;
  }
  return { path: done.join("/"), stat, existing };
}

export function join(root: string, path: string): string {
  return path === "" ? root : root === "/" ? `/${path}` : `${root}/${path}`;
}
