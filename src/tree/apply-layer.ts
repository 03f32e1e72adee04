/**
 * createLayerMerger(): layers to one tree, entry by entry, in the order of the tars. Whiteouts act on the tree as it is when they
 * come, no path goes through a symlink, and a directory over a directory keeps what is in it: exactly what composefs-rs does, so
 * that image ids agree. A directory that no layer describes is made, as container engines make it; composefs-rs refuses such layers.
 *
 * @see OCI image-spec layer.md, "Representing Changes"
 */
import type { ByteName } from "../core/bytes.ts";
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { LayerEntry } from "./layer-entry.ts";
import { createDirectory, type Directory, type Leaf, NO_XATTRS, type Node, type Stat } from "./node.ts";
import { lookup } from "./walk.ts";

export interface LayerMerger {
  /** Throws Failure "bad-input" for an entry that does not fit the tree, or no file system. */
  apply(entry: LayerEntry): void;
  /** The root has mode 0 and time 0 unless a layer described it. */
  finish(): Directory;
}

/** The root's until a layer describes it. */
export const ROOT_STAT: Stat = { mode: 0, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, xattrs: NO_XATTRS };

/** Of a directory that only its content tells of: as container engines make it, and the same at any time. */
const IMPLIED_STAT: Stat = { ...ROOT_STAT, mode: 0o755 };

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
const MAX_NAME_BYTES = 255;
const MAX_TARGET_BYTES = 4095;
const MAX_XATTR_NAME_BYTES = 255;
const MAX_XATTR_VALUE_BYTES = 65535;

export function createLayerMerger(): LayerMerger {
  const root = createDirectory(ROOT_STAT);
  /** Entries mostly follow their directory: paths of directories that are in the tree now. */
  const known = new Map<string, Directory>([["", root]]);
  const findParent = (path: string): Directory => {
    const cached = known.get(path);
    if (cached !== undefined) return cached;
    const found = openDirectory(root, path);
    known.set(path, found);
    return found;
  };
  /** What is taken out may be a directory, or hold some, that `known` still names. */
  const forget = (node: Node | undefined): void => {
    if (node?.kind !== "directory") return;
    known.clear();
    known.set("", root);
  };
  return {
    apply(entry) {
      if (entry.path === "") {
        if (entry.kind !== "directory")
          throw refuse(entry.path, `it is a ${entry.kind}, and the root must be a directory`);
        root.stat = entry.stat;
        return;
      }
      const slash = entry.path.lastIndexOf("/");
      const name = entry.path.slice(slash + 1) as ByteName;
      const parent = locate(entry.path, () => findParent(slash === -1 ? "" : entry.path.slice(0, slash)));
      if (name === OPAQUE) {
        for (const child of parent.children.values()) forget(child);
        parent.children.clear();
      } else if (name.startsWith(WHITEOUT)) {
        const hidden = name.slice(WHITEOUT.length) as ByteName;
        forget(parent.children.get(hidden));
        parent.children.delete(hidden);
      } else {
        checkName(entry.path, name);
        checkLimits(entry);
        const existing = parent.children.get(name);
        if (entry.kind === "directory" && existing?.kind === "directory") existing.stat = entry.stat;
        else {
          const node = entry.kind === "directory" ? createDirectory(entry.stat) : makeLeaf(root, entry);
          forget(existing);
          parent.children.set(name, node);
        }
      }
    },
    finish: () => root,
  };
}

function openDirectory(root: Directory, path: string): Directory {
  let directory = root;
  for (const name of path.split("/")) {
    let child = directory.children.get(name as ByteName);
    if (child === undefined) {
      checkName(path, name);
      child = createDirectory(IMPLIED_STAT);
      directory.children.set(name as ByteName, child);
    }
    if (child.kind !== "directory")
      throw new SyntaxError(`"${byteNameToText(name)}" on its path is a ${child.kind}, wanted a directory`);
    directory = child;
  }
  return directory;
}

function makeLeaf(root: Directory, entry: Exclude<LayerEntry, { readonly kind: "directory" }>): Leaf {
  switch (entry.kind) {
    case "file":
      return { kind: "file", stat: entry.stat, size: entry.size, content: entry.content };
    case "symlink":
      return { kind: "symlink", stat: entry.stat, target: entry.target };
    case "char":
    case "block":
      return { kind: entry.kind, stat: entry.stat, rdev: entry.rdev };
    case "fifo":
      return { kind: "fifo", stat: entry.stat };
    case "hardlink": {
      const target = lookup(root, entry.target.replace(/^(?:\.?\/)+/, ""));
      if (target === undefined)
        throw refuse(entry.path, `its hard link target "${byteNameToText(entry.target)}" is not in the image`);
      if (target.kind === "directory")
        throw refuse(entry.path, `its hard link target "${byteNameToText(entry.target)}" is a directory`);
      return target;
    }
  }
}

function checkName(path: string, name: string): void {
  if (name === "" || name === "." || name === ".." || name.length > MAX_NAME_BYTES || name.includes("\0")) {
    throw refuse(path, `its name is not 1 to ${MAX_NAME_BYTES} bytes other than . and ..`);
  }
}

/** What no Linux file system holds; hard links take all of this from their target. */
function checkLimits(entry: LayerEntry): void {
  if (entry.kind === "hardlink") return;
  if (entry.kind === "symlink" && (entry.target === "" || entry.target.length > MAX_TARGET_BYTES)) {
    throw refuse(entry.path, `its target has ${entry.target.length} bytes, wanted 1 to ${MAX_TARGET_BYTES}`);
  }
  for (const [name, value] of entry.stat.xattrs) {
    if (name.length > MAX_XATTR_NAME_BYTES || value.length > MAX_XATTR_VALUE_BYTES)
      throw refuse(
        entry.path,
        `its attribute "${byteNameToText(name.slice(0, 40))}" has a name of ${name.length} and a value of ${value.length} bytes, ` +
          `wanted at most ${MAX_XATTR_NAME_BYTES} and ${MAX_XATTR_VALUE_BYTES}`,
      );
  }
}

function locate<T>(path: string, find: () => T): T {
  try {
    return find();
  } catch (error) {
    if (error instanceof SyntaxError) throw refuse(path, error.message);
    throw error;
  }
}

function refuse(path: string, why: string): Failure {
  return new Failure("bad-input", `Cannot apply layer entry "${byteNameToText(path)}": ${why}`);
}
