/**
 * diffTrees(): what changed from one tree to another, as values: for the layer that a build step makes and for merging /etc.
 *
 * Which names share one file is not compared, only what each name shows.
 */
import type { ByteName } from "../core/bytes.ts";
import { compareBytes } from "../core/bytes.ts";
import type { Directory, FileContent, Node, Stat, Xattrs } from "./node.ts";
import { walk } from "./walk.ts";

export interface Change {
  readonly kind: "added" | "modified" | "removed";
  /** Absolute. */
  readonly path: ByteName;
  /** What is there now; of a removed name what was there. */
  readonly node: Node;
}

export interface DiffOptions {
  /** Times alone make no change. */
  readonly ignoreMtime?: boolean;
}

/**
 * Depth first in byte order, parents first. Below an added directory every node is added; of a removed directory only the
 * directory itself is named. A directory that became something else, or the other way round, is modified; what is new below it is
 * added, what went with it is not named.
 */
export function diffTrees(before: Directory, after: Directory, options: DiffOptions = {}): Change[] {
  const changes: Change[] = [];
  if (before === after) return changes;
  if (!equalNodes(before, after, options)) changes.push({ kind: "modified", path: "/" as ByteName, node: after });
  const stack = [pairChildren(before, after, "/")];
  for (let pairs = stack.at(-1); pairs !== undefined; pairs = stack.at(-1)) {
    const pair = pairs.pop();
    if (pair === undefined) {
      stack.pop();
      continue;
    }
    const { path, was, is } = pair;
    if (is === undefined) {
      if (was !== undefined) changes.push({ kind: "removed", path, node: was });
    } else if (was === undefined) addAll(changes, path, is, "added");
    else if (was.kind === "directory" && is.kind === "directory") {
      if (was === is) continue;
      if (!equalNodes(was, is, options)) changes.push({ kind: "modified", path, node: is });
      stack.push(pairChildren(was, is, `${path}/`));
    } else if (!equalNodes(was, is, options)) addAll(changes, path, is, "modified");
  }
  return changes;
}

/** True when two nodes show the same type, metadata and content; of directories the children do not count. */
export function equalNodes(left: Node, right: Node, options: DiffOptions = {}): boolean {
  if (left === right) return true;
  if (!equalStats(left.stat, right.stat, options)) return false;
  switch (left.kind) {
    case "directory":
    case "fifo":
    case "socket":
      return left.kind === right.kind;
    case "file":
      return right.kind === "file" && left.size === right.size && equalContents(left.content, right.content);
    case "symlink":
      return right.kind === "symlink" && left.target === right.target;
    case "char":
    case "block":
      return right.kind === left.kind && left.rdev === right.rdev;
  }
}

interface Pair {
  readonly path: ByteName;
  readonly was: Node | undefined;
  readonly is: Node | undefined;
}

/** Last first, to be popped. */
function pairChildren(before: Directory, after: Directory, prefix: string): Pair[] {
  const names = new Set([...before.children.keys(), ...after.children.keys()]);
  return [...names]
    .sort((left, right) => compareBytes(right, left))
    .map((name) => ({
      path: (prefix + name) as ByteName,
      was: before.children.get(name),
      is: after.children.get(name),
    }));
}

function addAll(changes: Change[], path: ByteName, node: Node, kind: "added" | "modified"): void {
  changes.push({ kind, path, node });
  if (node.kind !== "directory") return;
  for (const entry of walk(node)) {
    if (entry.path !== "/") changes.push({ kind: "added", path: (path + entry.path) as ByteName, node: entry.node });
  }
}

function equalStats(left: Stat, right: Stat, options: DiffOptions): boolean {
  return (
    left === right ||
    (left.mode === right.mode &&
      left.uid === right.uid &&
      left.gid === right.gid &&
      (options.ignoreMtime === true || (left.mtimeSec === right.mtimeSec && left.mtimeNsec === right.mtimeNsec)) &&
      equalXattrs(left.xattrs, right.xattrs))
  );
}

export function equalXattrs(left: Xattrs, right: Xattrs): boolean {
  if (left === right) return true;
  if (left.size !== right.size) return false;
  for (const [name, value] of left) {
    const other = right.get(name);
    if (other === undefined || Buffer.compare(value, other) !== 0) return false;
  }
  return true;
}

function equalContents(left: FileContent, right: FileContent): boolean {
  if (left.kind === "inline") return right.kind === "inline" && Buffer.compare(left.bytes, right.bytes) === 0;
  return right.kind === "external" && left.objectId === right.objectId && left.payload === right.payload;
}
