/** LintRoot: the tree that a lint looks at, by paths relative to it, never leaving it. */
import { byteNameToText } from "../../core/bytes.ts";
import type { Files, FileStat } from "../../host/host.ts";
import { join, resolveInRoot } from "../../host/resolve-in-root.ts";

export interface LintRoot {
  /** The tree is the running system's own: `/`. */
  readonly isRunning: boolean;
  /** Without following a symlink at the end; undefined when missing. */
  lstat(path: string): FileStat | undefined;
  /** Names in byte order; empty when it is no directory. */
  list(path: string): string[];
  /** undefined when it is no file. */
  text(path: string): string | undefined;
  readlink(path: string): string;
  /** Something else is mounted on this directory. */
  isMountPoint(path: string): boolean;
}

type Reader = Pick<Files, "lstat" | "stat" | "readlink" | "listIfAny" | "readTextIfAny">;

export function openLintRoot(files: Reader, root: string): LintRoot {
  const resolve = (path: string, followLast: boolean): { absolute: string; stat: FileStat | undefined } => {
    const found = resolveInRoot(files, root, path, { followLast });
    return { absolute: join(root, found.path), stat: found.stat };
  };
  const device = files.lstat(root)?.dev;
  return {
    isRunning: root === "/",
    lstat: (path) => resolve(path, false).stat,
    list(path) {
      const { absolute, stat } = resolve(path, true);
      return stat?.kind === "directory" ? files.listIfAny(absolute) : [];
    },
    text(path) {
      const { absolute, stat } = resolve(path, true);
      return stat?.kind === "file" ? files.readTextIfAny(absolute) : undefined;
    },
    readlink: (path) => files.readlink(resolve(path, false).absolute),
    isMountPoint(path) {
      const stat = resolve(path, false).stat;
      return stat?.kind === "directory" && stat.dev !== device;
    },
  };
}

/** A path for people. */
export function show(path: string): string {
  return `/${byteNameToText(path)}`;
}

const SHOWN = 5;

/** One item a line, cut after five. */
export function listItems(title: string, items: readonly string[], truncate: boolean): string {
  const shown = truncate ? items.slice(0, SHOWN) : items;
  const more = items.length - shown.length;
  return [`${title}:`, ...shown.map((item) => `  ${item}`), ...(more > 0 ? [`  ...and ${more} more`] : [])].join("\n");
}
