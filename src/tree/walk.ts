/** walk(): ways through a tree. All of them are pure and go in byte order; none follows symlinks except resolve(). */
import type { ByteName } from "../core/bytes.ts";
import type { Directory, Leaf, Node } from "./node.ts";

export interface WalkEntry {
  /** Absolute: "/" for the root. */
  readonly path: ByteName;
  readonly node: Node;
}

/** Depth first, parents before children, names in byte order, the root first. */
export function* walk(tree: Directory): Generator<WalkEntry, void, undefined> {
  yield { path: "/" as ByteName, node: tree };
  const stack = [{ prefix: "/", directory: tree, names: sortedNames(tree), next: 0 }];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const name = frame.names[frame.next++];
    if (name === undefined) {
      stack.pop();
      continue;
    }
    const node = frame.directory.children.get(name);
    if (node === undefined) continue;
    const path = (frame.prefix + name) as ByteName;
    yield { path, node };
    if (node.kind === "directory")
      stack.push({ prefix: `${path}/`, directory: node, names: sortedNames(node), next: 0 });
  }
}

export function sortedNames(directory: Directory): ByteName[] {
  return [...directory.children.keys()].sort();
}

/** The node at a path; leading, trailing and doubled slashes do not matter. undefined when there is none. */
export function lookup(tree: Directory, path: string): Node | undefined {
  let node: Node = tree;
  for (const name of splitPath(path)) {
    if (node.kind !== "directory") return undefined;
    const child = node.children.get(name);
    if (child === undefined) return undefined;
    node = child;
  }
  return node;
}

/** As lookup(), with symlinks followed inside the tree (40 at most), the last component included; `..` stops at the root. */
export function resolve(tree: Directory, path: string): Node | undefined {
  const parents: Directory[] = [tree];
  const rest: string[] = splitPath(path).reverse();
  let links = 0;
  for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
    const directory = parents.at(-1) ?? tree;
    if (name === ".") continue;
    if (name === "..") {
      if (parents.length > 1) parents.pop();
      continue;
    }
    const child = directory.children.get(name as ByteName);
    if (child === undefined) return undefined;
    if (child.kind === "directory") parents.push(child);
    else if (child.kind === "symlink") {
      links += 1;
      if (links > 40) return undefined;
      if (child.target.startsWith("/")) parents.length = 1;
      rest.push(...splitPath(child.target).reverse());
    } else return rest.length === 0 ? child : undefined;
  }
  return parents.at(-1);
}

/** The names of a path, without empty ones. */
export function splitPath(path: string): ByteName[] {
  return path.split("/").filter((name) => name !== "") as ByteName[];
}

export interface EntryCounts {
  /** Names in the tree, the root included. */
  readonly entries: number;
  readonly directories: number;
  /** Leaves, each once however many names it has. */
  readonly leaves: number;
}

export function countEntries(tree: Directory): EntryCounts {
  let entries = 1;
  const leaves = new Set<Leaf>();
  const directories: Directory[] = [tree];
  for (const directory of directories) {
    entries += directory.children.size;
    for (const child of directory.children.values()) {
      if (child.kind === "directory") directories.push(child);
      else leaves.add(child);
    }
  }
  return { entries, directories: directories.length, leaves: leaves.size };
}

/** How many names each leaf has that has more than one. */
export function countLinks(tree: Directory): Map<Leaf, number> {
  const seen = new Set<Leaf>();
  const links = new Map<Leaf, number>();
  const directories: Directory[] = [tree];
  for (const directory of directories) {
    for (const child of directory.children.values()) {
      if (child.kind === "directory") directories.push(child);
      else if (seen.has(child)) links.set(child, (links.get(child) ?? 1) + 1);
      else seen.add(child);
    }
  }
  return links;
}
