/**
 * Hard links of a dump: every link line names a path that may come later, and may itself be a link. After all lines are read
 * the names of one file share one Leaf.
 */
import type { ByteName } from "../../core/bytes.ts";
import type { Directory, Leaf } from "../../tree/node.ts";
import { lookup } from "../../tree/walk.ts";

export interface Link {
  /** What stands under the name until the target is known. */
  readonly placeholder: Leaf;
  readonly parent: Directory;
  readonly name: ByteName;
  /** Normalized. */
  readonly path: string;
  readonly target: string;
  /** Number of the line, for errors. */
  readonly line: number;
}

interface Group {
  readonly leaf: Leaf;
  readonly parent: Directory;
  readonly name: ByteName;
  readonly path: string;
  readonly links: Link[];
}

/** `located` adds the line's number to what `work` throws. */
export function resolveLinks(
  root: Directory,
  links: readonly Link[],
  located: <T>(line: number, work: () => T) => T,
): void {
  if (links.length === 0) return;
  const byPlaceholder = new Map(links.map((link) => [link.placeholder, link]));
  const groups = new Map<Leaf, Group>();
  for (const link of links) {
    const group = located(link.line, () => findTarget(root, link, byPlaceholder));
    const known = groups.get(group.leaf);
    if (known === undefined) groups.set(group.leaf, group);
    else known.links.push(link);
  }
  for (const group of groups.values()) joinGroup(group);
}

function findTarget(root: Directory, link: Link, byPlaceholder: ReadonlyMap<Leaf, Link>): Group {
  const visited = new Set<Link>([link]);
  for (let { target } = link; ; ) {
    const node = lookup(root, target);
    if (node === undefined) throw new SyntaxError(`hard link "${link.path}" has no target "${target}"`);
    if (node.kind === "directory") throw new SyntaxError(`hard link "${link.path}" leads to directory "${target}"`);
    const next = byPlaceholder.get(node);
    if (next === undefined) {
      const slash = target.lastIndexOf("/");
      const parent = lookup(root, target.slice(0, slash));
      if (parent?.kind !== "directory") throw new SyntaxError(`hard link "${link.path}" has no target "${target}"`);
      return { leaf: node, parent, name: target.slice(slash + 1) as ByteName, path: target, links: [link] };
    }
    if (visited.has(next)) throw new SyntaxError(`hard link "${link.path}" leads back to itself`);
    visited.add(next);
    target = next.target;
  }
}

function joinGroup(group: Group): void {
  const { nlink, ...rest } = group.leaf;
  const stated = nlink ?? 1;
  const isFirst = group.links.every((link) => depthFirstKey(group.path) < depthFirstKey(link.path));
  const leaf: Leaf = {
    ...rest,
    ...(stated === group.links.length + 1 ? {} : { nlink: stated }),
    ...(isFirst ? {} : { originalPath: group.path as ByteName }),
  };
  group.parent.children.set(group.name, leaf);
  for (const link of group.links) link.parent.children.set(link.name, leaf);
}

/** Sorts as a depth-first walk in byte order goes: the separator comes before every byte of a name. */
function depthFirstKey(path: string): string {
  return path.replaceAll("/", "\0");
}
