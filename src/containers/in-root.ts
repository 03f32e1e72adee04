/**
 * resolveInRoot(): where a path of a container is on the host, symlinks followed as inside the container: an absolute target starts
 * at its root, and `..` never leaves it.
 *
 * @see path_resolution(7)
 */
import { Failure } from "../core/failure.ts";
import type { Files } from "../host/host.ts";

const MAX_LINKS = 40;

export interface ResolvedPath {
  /** Absolute, in the container, without symlinks. */
  readonly path: string;
  /** The leading components that exist, as a path in the container. */
  readonly existing: string;
}

/** Components that do not exist are kept as they are written. Failure "bad-input" for a loop of symlinks. */
export function resolveInRoot(files: Pick<Files, "lstat" | "readlink">, root: string, path: string): ResolvedPath {
  let rest = path.split("/");
  let done: string[] = [];
  let existing = 0;
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === "" || name === ".") continue;
    if (name === "..") {
      done = done.slice(0, -1);
      existing = Math.min(existing, done.length);
      continue;
    }
    const stat = existing === done.length ? files.lstat(`${root}/${[...done, name].join("/")}`) : undefined;
    if (stat?.kind === "symlink") {
      links += 1;
      if (links > MAX_LINKS)
        throw new Failure(
          "bad-input",
          `Cannot resolve "${path}" in the container: it goes through too many symbolic links`,
        );
      const target = files.readlink(`${root}/${[...done, name].join("/")}`);
      if (target.startsWith("/")) {
        done = [];
        existing = 0;
      }
      rest = [...target.split("/"), ...rest];
      continue;
    }
    done.push(name);
    if (stat !== undefined) existing = done.length;
  }
  return { path: `/${done.join("/")}`, existing: `/${done.slice(0, existing).join("/")}` };
}
