/** rewriteTree(): a new tree with every node's stat replaced; hard links stay together unless their new stats differ. */
import type { ByteName } from "../core/bytes.ts";
import { createDirectory, type Directory, type Leaf, type Node, type Stat } from "./node.ts";
import { sortedNames } from "./walk.ts";

export interface Visit {
  /** Absolute; "/" for the root. */
  readonly path: string;
  readonly node: Node;
}

/**
 * `restat` is called once for each name, depth first in byte order; the same stat object means that two names stay one file.
 * `rename` may say under which path the children of a directory are visited. Link counts are left to be counted.
 */
export function rewriteTree(
  tree: Directory,
  restat: (visit: Visit) => Stat,
  rename: (path: string) => string = (path) => path,
): Directory {
  const leaves = new Map<Leaf, Map<Stat, Leaf>>();
  const root = createDirectory(restat({ path: "/", node: tree }));
  const stack: {
    readonly from: Directory;
    readonly to: Directory;
    readonly prefix: string;
    readonly names: ByteName[];
    next: number;
  }[] = [{ from: tree, to: root, prefix: "/", names: sortedNames(tree), next: 0 }];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const name = frame.names[frame.next++];
    const node = name === undefined ? undefined : frame.from.children.get(name);
    if (name === undefined || node === undefined) {
      stack.pop();
      continue;
    }
    const path = rename(frame.prefix + name);
    const stat = restat({ path, node });
    if (node.kind === "directory") {
      const directory = createDirectory(stat);
      frame.to.children.set(name, directory);
      stack.push({ from: node, to: directory, prefix: `${path}/`, names: sortedNames(node), next: 0 });
    } else frame.to.children.set(name, rewriteLeaf(leaves, node, stat));
  }
  return root;
}

function rewriteLeaf(leaves: Map<Leaf, Map<Stat, Leaf>>, leaf: Leaf, stat: Stat): Leaf {
  let variants = leaves.get(leaf);
  if (variants === undefined) leaves.set(leaf, (variants = new Map()));
  let variant = variants.get(stat);
  if (variant === undefined) {
    const { nlink: _, ...rest } = leaf;
    variant = { ...rest, stat };
    variants.set(stat, variant);
  }
  return variant;
}
