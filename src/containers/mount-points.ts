/**
 * Mount points inside a root file system. Those that are missing are made before a container starts, and taken away afterwards with
 * the directory times set back, so that a layer made from the root file system shows nothing of them.
 */
import type { Files, FileStat } from "../host/host.ts";
import { resolveInRoot } from "../host/resolve-in-root.ts";

export interface MountPoint {
  /** Absolute, in the container. */
  readonly target: string;
  readonly kind: "directory" | "file";
  /** What is mounted here hides what is below: mount points there are the mount's own business. */
  readonly hides: boolean;
}

export interface MadeMountPoints extends Disposable {
  /** In the order asked for: where each target really is, symlinks in the root file system followed. */
  readonly targets: readonly string[];
}

export function makeMountPoints(files: Files, rootfs: string, points: readonly MountPoint[]): MadeMountPoints {
  const made: { path: string; parent: string; before: FileStat | undefined }[] = [];
  const hidden: string[] = [];
  const make = (path: string, kind: MountPoint["kind"]): void => {
    const parent = path.slice(0, path.lastIndexOf("/"));
    const before = files.lstat(parent === "" ? "/" : parent);
    made.push({ path, parent, before });
    if (kind === "directory") files.makeDirectory(path, { mode: 0o755 });
    else files.write(path, "", { mode: 0o644 });
  };
  const targets = points.map(({ target, kind, hides }) => {
    const { path: inside, existing } = resolveInRoot(files, rootfs, target);
    const path = `/${inside}`;
    if (!hidden.some((above) => path.startsWith(`${above}/`))) {
      const names = inside.split("/");
      for (let i = existing + 1; i <= names.length; i += 1) {
        make(`${rootfs}/${names.slice(0, i).join("/")}`, i === names.length ? kind : "directory");
      }
    }
    if (hides) hidden.push(path);
    return path;
  });
  const dispose = (): void => {
    for (const { path, parent, before } of made.splice(0).reverse()) {
      const stat = files.lstat(path);
      const untouched =
        stat?.kind === "directory" ? files.list(path).length === 0 : stat?.kind === "file" && stat.size === 0;
      if (!untouched) continue;
      files.remove(path);
      if (before !== undefined) files.setTimes(parent === "" ? "/" : parent, before.mtimeSec, before.mtimeNsec);
    }
  };
  return { targets, [Symbol.dispose]: dispose };
}
