/**
 * formatDump(): a tree as composefs dump text, in the canonical form that composefs-info and composefs-rs write: depth first,
 * names in byte order, directories with size 0 and a counted NLINK, hard links after the name that stands for the file.
 *
 * @see composefs-dump(5)
 */
import { typeBits } from "../../tree/mode.ts";
import {
  type Directory,
  type FileContent,
  type Leaf,
  NO_XATTRS,
  type Node,
  type Stat,
  usualPayload,
} from "../../tree/node.ts";
import { countLinks, lookup, walk } from "../../tree/walk.ts";
import { escapeField, escapePath, escapeXattr } from "./escape.ts";

/** ASCII text, each line ended by LF. */
export function formatDump(tree: Directory): string {
  const links = countLinks(tree);
  const originals = findOriginals(tree, links);
  const lines: string[] = [];
  for (const { path, node } of walk(tree)) {
    if (node.kind === "directory") lines.push(formatDirectory(path, node));
    else {
      const original = originals.get(node) ?? path;
      if (original === path) lines.push(formatLeaf(path, node, node.nlink ?? links.get(node) ?? 1));
      else lines.push(`${escapePath(path)} 0 @120000 - - - - 0.0 ${escapeField(original)} - -\n`);
    }
  }
  return lines.join("");
}

/** For each leaf of several names, the one that has the full line. */
function findOriginals(tree: Directory, links: ReadonlyMap<Leaf, number>): Map<Leaf, string> {
  const originals = new Map<Leaf, string>();
  if (links.size === 0) return originals;
  for (const { path, node } of walk(tree)) {
    if (node.kind === "directory" || originals.has(node) || !links.has(node)) continue;
    const { originalPath } = node;
    originals.set(node, originalPath !== undefined && lookup(tree, originalPath) === node ? originalPath : path);
  }
  return originals;
}

function formatDirectory(path: string, directory: Directory): string {
  let nlink = 2;
  for (const child of directory.children.values()) if (child.kind === "directory") nlink += 1;
  return formatLine(path, directory, { size: 0, nlink, rdev: 0, payload: "-", content: "-", digest: "-" });
}

function formatLeaf(path: string, leaf: Leaf, nlink: number): string {
  const base = { size: 0, nlink, rdev: 0, payload: "-", content: "-", digest: "-" };
  switch (leaf.kind) {
    case "file":
      return formatLine(path, leaf, { ...base, size: leaf.size, ...formatContent(leaf.content, leaf.size) });
    case "symlink":
      return formatLine(path, leaf, { ...base, size: leaf.target.length, payload: escapeField(leaf.target) });
    case "char":
    case "block":
      return formatLine(path, leaf, { ...base, size: leaf.size ?? 0, rdev: leaf.rdev });
    case "fifo":
    case "socket":
      return formatLine(path, leaf, { ...base, size: leaf.size ?? 0 });
  }
}

function formatContent(content: FileContent, size: number): { payload?: string; content?: string; digest?: string } {
  if (content.kind === "inline") {
    return {
      content: escapeField(
        Buffer.from(content.bytes.buffer, content.bytes.byteOffset, content.bytes.length).toString("latin1"),
      ),
    };
  }
  if (size === 0) return {};
  const { objectId } = content;
  const usual = objectId === undefined ? "" : usualPayload(objectId);
  return { payload: escapeField(content.payload ?? usual), digest: objectId ?? "-" };
}

interface Line {
  readonly size: number;
  readonly nlink: number;
  readonly rdev: number;
  readonly payload: string;
  readonly content: string;
  readonly digest: string;
}

function formatLine(path: string, node: Node, line: Line): string {
  const { stat } = node;
  const mode = (typeBits(node.kind) | stat.mode).toString(8);
  return (
    `${escapePath(path)} ${line.size} ${mode} ${line.nlink} ${stat.uid} ${stat.gid} ${line.rdev} ` +
    `${stat.mtimeSec}.${stat.mtimeNsec} ${line.payload} ${line.content} ${line.digest}${formatXattrs(stat)}\n`
  );
}

function formatXattrs(stat: Stat): string {
  if (stat.xattrs === NO_XATTRS || stat.xattrs.size === 0) return "";
  const items = [...stat.xattrs].sort(([left], [right]) => (left < right ? -1 : 1));
  return items
    .map(([key, value]) => {
      const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString("latin1");
      return ` ${escapeXattr(key)}=${escapeXattr(text)}`;
    })
    .join("");
}
