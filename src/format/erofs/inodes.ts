/**
 * collectInodes(): a tree as the inodes of a composefs image: rewritten for overlayfs (escapes, whiteouts, stubs), in the order
 * of the image (breadth first), with the attributes that each inode has. Nothing is placed yet.
 */
import type { ByteName } from "../../core/bytes.ts";
import type { DigestAlgorithm } from "../../core/digest.ts";
import { PERMISSION_MASK, typeBits } from "../../tree/mode.ts";
import { type Directory, type Leaf, type Node, NO_XATTRS } from "../../tree/node.ts";
import { FILE_TYPES } from "./layout.ts";
import { OPAQUE, OPAQUE_MARKS, STUB_MODE, STUB_NAMES, WHITEOUT_MARKS, WHITEOUTS_MARKS } from "./overlay.ts";
import { comparePairs, type Pair, type XattrTable } from "./xattr-table.ts";

export interface Entries {
  /** In byte order, `.` and `..` among them. */
  readonly names: readonly string[];
  readonly targets: Inode[];
}

export interface Inode {
  readonly node: Node;
  /** A whiteout is a device 0:0 of the tree, written as a marked regular file; a stub is one that composefs itself adds to /. */
  readonly role: "plain" | "whiteout" | "stub";
  /** Type and permissions. */
  readonly mode: number;
  /** In directory entries that name it. */
  readonly fileType: number;
  /** Only of directories. */
  readonly entries: Entries | undefined;
  /** The name that puts it into the order; the root has none. */
  parent: Inode | undefined;
  name: string;
  holdsWhiteout: boolean;
  nlink: number;
  /** Sorted by name. */
  pairs: readonly Pair[];
  /** Position in the image's order. */
  ino: number;
}

export interface CollectOptions {
  readonly algorithm: DigestAlgorithm;
  readonly version: 0 | 1;
}

/** Breadth first; `ino` counts from 0. Throws RangeError for a name, size, target or digest that an image cannot hold. */
export function collectInodes(tree: Directory, table: XattrTable, options: CollectOptions): readonly Inode[] {
  const root = surveyTree(tree);
  const order = [root];
  for (const inode of order) {
    inode.pairs = choosePairs(inode, table, options);
    for (const pair of inode.pairs) pair.uses += 1;
    if (inode.entries === undefined) continue;
    const { names, targets } = inode.entries;
    for (let index = 0; index < targets.length; index++) {
      const target = targets[index];
      if (target === undefined || target.parent !== inode || target.name !== names[index]) continue;
      target.ino = order.length;
      order.push(target);
    }
  }
  return order;
}

interface Frame {
  readonly directory: Directory;
  readonly inode: Inode;
  readonly entries: Entries;
  next: number;
}

/** Depth first in byte order, so that the first name met of a leaf stands for it. */
function surveyTree(tree: Directory): Inode {
  const stubs = createStubs(tree);
  const root = createFrame(tree, undefined, "", [...stubs.keys()]);
  const leaves = new Map<Leaf, Inode>();
  const stack = [root];
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const { inode, entries } = frame;
    const name = entries.names[frame.next];
    frame.next += 1;
    if (name === undefined) stack.pop();
    else if (name === ".") entries.targets.push(inode);
    else if (name === "..") entries.targets.push(inode.parent ?? inode);
    else {
      const node = frame.directory.children.get(name as ByteName) ?? stubs.get(name);
      if (node === undefined) throw new TypeError(`no node for name "${name}"`);
      if (node.kind === "directory") {
        const child = createFrame(node, inode, name, []);
        entries.targets.push(child.inode);
        inode.nlink += 1;
        stack.push(child);
      } else entries.targets.push(surveyLeaf(leaves, node, inode, name, stubs.get(name) === node));
    }
  }
  return root.inode;
}

function surveyLeaf(leaves: Map<Leaf, Inode>, node: Leaf, parent: Inode, name: string, isStub: boolean): Inode {
  let inode = leaves.get(node);
  if (inode === undefined) {
    checkName(name, parent);
    const role = node.kind !== "char" || node.rdev !== 0 ? "plain" : isStub ? "stub" : "whiteout";
    if (role === "whiteout") parent.holdsWhiteout = true;
    inode = createInode(node, role, parent, name, undefined);
    checkLeaf(node, inode);
    inode.nlink = node.nlink ?? 1;
    leaves.set(node, inode);
    return inode;
  }
  checkName(name, parent);
  if (inode.role === "whiteout") throw new RangeError(`Cannot write "${pathOf(inode)}": a whiteout has several names`);
  if (node.nlink === undefined) inode.nlink += 1;
  if (node.originalPath !== undefined && node.originalPath === `${pathOf(parent)}/${name}`) {
    inode.parent = parent;
    inode.name = name;
  }
  return inode;
}

/** The 256 devices that hide object directories, except where the tree has the name already. */
function createStubs(tree: Directory): Map<string, Leaf> {
  const label = tree.stat.xattrs.get("security.selinux");
  const xattrs = label === undefined ? NO_XATTRS : new Map([["security.selinux", label]]);
  const stat = { ...tree.stat, mode: STUB_MODE, xattrs };
  const missing = STUB_NAMES.filter((name) => !tree.children.has(name as ByteName));
  return new Map(missing.map((name) => [name, { kind: "char", stat, rdev: 0 }]));
}

function createFrame(directory: Directory, parent: Inode | undefined, name: string, added: readonly string[]): Frame {
  if (parent !== undefined) checkName(name, parent);
  const names = [...directory.children.keys(), ...added, ".", ".."].sort();
  const entries: Entries = { names, targets: [] };
  const inode = createInode(directory, "plain", parent, name, entries);
  // The walk takes these for the links that it adds itself.
  for (const dots of [".", ".."]) if (directory.children.has(dots as ByteName)) checkName(dots, inode);
  inode.nlink = 2;
  return { directory, inode, entries, next: 0 };
}

function createInode(
  node: Node,
  role: Inode["role"],
  parent: Inode | undefined,
  name: string,
  entries: Entries | undefined,
): Inode {
  const kind = role === "whiteout" ? "file" : node.kind;
  const { mode } = node.stat;
  if ((mode & PERMISSION_MASK) !== mode)
    throw new RangeError(`Cannot write "${name}": its mode ${mode} is more than 07777`);
  return {
    node,
    role,
    mode: typeBits(kind) | mode,
    fileType: FILE_TYPES[kind],
    entries,
    parent,
    name,
    holdsWhiteout: false,
    nlink: 1,
    pairs: [],
    ino: 0,
  };
}

function choosePairs(inode: Inode, table: XattrTable, options: CollectOptions): readonly Pair[] {
  const { node } = inode;
  const own = table.escaped(node.stat.xattrs);
  if (node.kind === "file") {
    if (node.size === 0 || node.content.kind === "inline") return own;
    const { objectId, payload } = node.content;
    if (objectId !== undefined) checkObjectId(objectId, inode, options.algorithm);
    const added = table.external(objectId, payload);
    return own.length === 0 ? added : [...own, ...added].sort(comparePairs);
  }
  const added: Pair[] = [];
  if (inode.role === "whiteout") {
    for (const name of WHITEOUT_MARKS) added.push(table.pair(name, ""));
  } else {
    if (inode.holdsWhiteout) {
      for (const name of WHITEOUTS_MARKS) added.push(table.pair(name, ""));
      if (options.version > 0) for (const name of OPAQUE_MARKS) added.push(table.pair(name, "x"));
    }
    if (inode.parent === undefined) added.push(table.pair(OPAQUE, "y"));
  }
  if (added.length === 0) return own;
  const replaced = new Set(added.map((pair) => pair.name));
  return [...own.filter((pair) => !replaced.has(pair.name)), ...added].sort(comparePairs);
}

/** Bytes of a name in a directory: latin1, no NUL, no slash. */
const NAME = /^[\x01-\x2e\x30-\xff]{1,255}$/;

function checkName(name: string, parent: Inode): void {
  if (!NAME.test(name) || name === "." || name === "..") {
    throw new RangeError(
      `Cannot write name "${name}" in "${pathOf(parent)}/": wanted 1 to 255 bytes other than . and ..`,
    );
  }
}

function checkObjectId(objectId: string, inode: Inode, algorithm: DigestAlgorithm): void {
  if (objectId.length !== (algorithm === "sha256" ? 64 : 128)) {
    throw new RangeError(`Cannot write "${pathOf(inode)}": its digest "${objectId}" is not one of ${algorithm}`);
  }
}

function checkLeaf(leaf: Leaf, inode: Inode): void {
  if (leaf.kind === "symlink") {
    if (leaf.target === "" || leaf.target.length > 4095) {
      throw new RangeError(
        `Cannot write "${pathOf(inode)}": its target has ${leaf.target.length} bytes, wanted 1 to 4095`,
      );
    }
  } else if (leaf.kind === "file") {
    const fits = leaf.content.kind === "external" || leaf.content.bytes.length === leaf.size;
    if (!Number.isSafeInteger(leaf.size) || leaf.size < 0 || !fits) {
      throw new RangeError(`Cannot write "${pathOf(inode)}": its size ${leaf.size} is not that of its content`);
    }
  }
}

/** "" for the root. */
export function pathOf(inode: Inode): string {
  const names: string[] = [];
  for (let at = inode; at.parent !== undefined; at = at.parent) names.push(`/${at.name}`);
  return names.reverse().join("");
}
