/**
 * ociTransform(): merged layers to the tree of the plain composefs image. OCI does not define the root's metadata, runtimes leave
 * mount points in /run, and hosts leak xattrs: all three are made the same everywhere, so that the image id is.
 *
 * @see composefs-rs, FileSystem::transform_for_oci
 */
import type { ByteName } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { type Directory, NO_XATTRS, type Stat, type Xattrs } from "./node.ts";
import { rewriteTree } from "./rewrite.ts";

export interface OciTransformOptions {
  /** Keep `user.` xattrs besides `security.capability`. */
  readonly keepUserXattrs?: boolean;
}

/** The argument is left as it is. Throws Failure "bad-input" when there is no directory /usr. */
export function ociTransform(tree: Directory, options: OciTransformOptions = {}): Directory {
  const usr = requireDirectory(tree, "usr").stat;
  const root: Directory = { kind: "directory", stat: usr, children: new Map(tree.children) };
  const run = root.children.get("run" as ByteName);
  if (run?.kind === "directory") {
    root.children.set("run" as ByteName, emptied(run, { mtimeSec: usr.mtimeSec, mtimeNsec: usr.mtimeNsec }));
  }
  const stats = new Map<Stat, Stat>();
  return rewriteTree(root, ({ node }) => {
    let stat = stats.get(node.stat);
    if (stat === undefined) {
      const xattrs = filterXattrs(node.stat.xattrs, options.keepUserXattrs === true);
      stat = xattrs === node.stat.xattrs ? node.stat : { ...node.stat, xattrs };
      stats.set(node.stat, stat);
    }
    return stat;
  });
}

/** A child of the root. */
export function requireDirectory(tree: Directory, name: string): Directory {
  const node = tree.children.get(name as ByteName);
  if (node?.kind === "directory") return node;
  const state = node === undefined ? "is missing" : `is a ${node.kind}`;
  throw new Failure("bad-input", `Cannot make an image of this tree: /${name} ${state}, wanted a directory`, {
    hint: `Make /${name} a directory in the Containerfile`,
  });
}

/** The same directory without children. */
export function emptied(directory: Directory, change: Partial<Stat>): Directory {
  return { kind: "directory", stat: { ...directory.stat, ...change }, children: new Map() };
}

function filterXattrs(xattrs: Xattrs, keepUser: boolean): Xattrs {
  if (xattrs.size === 0) return NO_XATTRS;
  const kept = [...xattrs].filter(([name]) => name === "security.capability" || (keepUser && name.startsWith("user.")));
  if (kept.length === xattrs.size) return xattrs;
  return kept.length === 0 ? NO_XATTRS : new Map(kept);
}
