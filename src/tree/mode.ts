/**
 * File types in st_mode: the S_IF* bits of each node kind.
 *
 * @see inode(7)
 */
import type { Node } from "./node.ts";

export type NodeKind = Node["kind"];

export const TYPE_MASK = 0o170000;
export const PERMISSION_MASK = 0o7777;

const TYPE_BITS: Readonly<Record<NodeKind, number>> = {
  fifo: 0o010000,
  char: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};

const KINDS = new Map<number, NodeKind>();
for (const kind of ["fifo", "char", "directory", "block", "file", "symlink", "socket"] as const) {
  KINDS.set(TYPE_BITS[kind], kind);
}

export function typeBits(kind: NodeKind): number {
  return TYPE_BITS[kind];
}

/** undefined when the type bits name no file type. */
export function kindOfMode(mode: number): NodeKind | undefined {
  return KINDS.get(mode & TYPE_MASK);
}
