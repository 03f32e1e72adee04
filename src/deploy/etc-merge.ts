/**
 * mergeEtc(): three-way merge of /etc as a pure function of trees: what the image of the running deployment had (pristine), what the
 * machine has now (live), what the next image brings (next).
 *
 * Rules, per path: what nobody touched here follows the next image; what was added, changed (content, type, mode, owner, attributes;
 * not the time) or deleted here stays so. The unit is a file; contents are never mixed. A conflict is only a name that is a
 * directory on one side and none on the other, when the next image changed that; all of them are reported at once.
 *
 * It differs from bootc where a local change of type (a directory replaced by a symlink, say) meets an image that did not change
 * the type: bootc refuses, here the local change stays.
 *
 * @see bootc crates/etc-merge
 */
import type { ByteName } from "../core/bytes.ts";
import type { Directory, FileLeaf, Leaf, Node, Stat } from "../tree/node.ts";

/** A file or symlink of the running system; `path` is absolute. */
export type LiveLeaf =
  | { readonly kind: "file"; readonly stat: Stat; readonly path: string; readonly size: number }
  | { readonly kind: "symlink"; readonly stat: Stat; readonly path: string; readonly target: ByteName };

export interface LiveDirectory {
  readonly kind: "directory";
  readonly stat: Stat;
  readonly children: ReadonlyMap<ByteName, LiveNode>;
}

export type LiveNode = LiveDirectory | LiveLeaf;

export type MergedNode =
  | MergedDirectory
  | { readonly kind: "image"; readonly leaf: Leaf }
  | { readonly kind: "live"; readonly leaf: LiveLeaf };

export interface MergedDirectory {
  readonly kind: "directory";
  readonly stat: Stat;
  readonly children: ReadonlyMap<ByteName, MergedNode>;
}

export interface EtcConflict {
  /** Relative to /etc. */
  readonly path: string;
  /** What the next image has there. */
  readonly next: "directory" | "file";
}

export interface EtcMerge {
  readonly merged: MergedDirectory;
  readonly conflicts: readonly EtcConflict[];
  /** Paths relative to /etc that keep the machine's own state, sorted. */
  readonly changes: readonly EtcChange[];
}

export interface EtcChange {
  readonly kind: "added" | "modified" | "removed";
  readonly path: string;
}

/** Is the content of `live` that of `pristine`? Asked only for files of equal size. */
export type SameContent = (pristine: FileLeaf, live: LiveLeaf & { readonly kind: "file" }) => boolean;

export interface EtcInputs {
  readonly pristine: Directory;
  readonly live: LiveDirectory;
  readonly next: Directory;
  readonly sameContent: SameContent;
}

export function mergeEtc(inputs: EtcInputs): EtcMerge {
  const state: State = { sameContent: inputs.sameContent, conflicts: [], changes: [] };
  const children = mergeChildren(inputs.pristine, inputs.live, inputs.next, "", state);
  // ConditionNeedsUpdate=/etc: systemd-sysusers and friends must run against the new image.
  children.delete(".updated" as ByteName);
  const byPath = (left: { path: string }, right: { path: string }): number => (left.path < right.path ? -1 : 1);
  return {
    merged: { kind: "directory", stat: inputs.next.stat, children },
    conflicts: state.conflicts.sort(byPath),
    changes: state.changes.sort(byPath),
  };
}

/** The tree of an image as a merge result: what a fresh installation gets. */
export function imageTree(directory: Directory): MergedDirectory {
  const children = new Map<ByteName, MergedNode>();
  for (const [name, node] of directory.children) {
    children.set(name, node.kind === "directory" ? imageTree(node) : { kind: "image", leaf: node });
  }
  return { kind: "directory", stat: directory.stat, children };
}

interface State {
  readonly sameContent: SameContent;
  readonly conflicts: EtcConflict[];
  readonly changes: EtcChange[];
}

function mergeChildren(
  pristine: Directory | undefined,
  live: LiveDirectory,
  next: Directory | undefined,
  path: string,
  state: State,
): Map<ByteName, MergedNode> {
  const names = new Set<ByteName>([
    ...(pristine?.children.keys() ?? []),
    ...live.children.keys(),
    ...(next?.children.keys() ?? []),
  ]);
  const children = new Map<ByteName, MergedNode>();
  for (const name of [...names].sort()) {
    const merged = mergeNode(
      {
        pristine: pristine?.children.get(name),
        live: live.children.get(name),
        next: next?.children.get(name),
        path: path === "" ? name : `${path}/${name}`,
      },
      state,
    );
    if (merged !== undefined) children.set(name, merged);
  }
  return children;
}

interface Versions {
  readonly pristine: Node | undefined;
  readonly live: LiveNode | undefined;
  readonly next: Node | undefined;
  readonly path: string;
}

/** undefined: the path does not exist in the result. */
function mergeNode(at: Versions, state: State): MergedNode | undefined {
  const { pristine, live, next, path } = at;
  if (live === undefined) {
    if (pristine === undefined) return next && fromImage(next);
    // A socket or device of the image itself is never seen on the live side: not a deletion.
    if (pristine.kind !== "directory" && pristine.kind !== "file" && pristine.kind !== "symlink")
      return next && fromImage(next);
    state.changes.push({ kind: "removed", path });
    return undefined;
  }
  if (live.kind === "directory") return mergeDirectory({ ...at, live }, state);
  if (pristine !== undefined && pristine.kind !== "directory" && sameLeaf(pristine, live, state.sameContent)) {
    return next && fromImage(next);
  }
  state.changes.push({ kind: pristine === undefined ? "added" : "modified", path });
  if (next?.kind === "directory" && pristine?.kind !== "directory") {
    state.conflicts.push({ path, next: "directory" });
    return undefined;
  }
  return { kind: "live", leaf: live };
}

function mergeDirectory(at: Versions & { readonly live: LiveDirectory }, state: State): MergedNode | undefined {
  const { pristine, live, next, path } = at;
  const was = pristine?.kind === "directory" ? pristine : undefined;
  const becomes = next?.kind === "directory" ? next : undefined;
  const changesBefore = state.changes.length;
  const children = mergeChildren(was, live, becomes, path, state);
  const changed = was === undefined || !sameStat(was.stat, live.stat);
  const kept = state.changes.slice(changesBefore).some((change) => change.kind !== "removed");
  if (changed) state.changes.push({ kind: pristine === undefined ? "added" : "modified", path });
  if (becomes !== undefined) return { kind: "directory", stat: changed ? live.stat : becomes.stat, children };
  if (!changed && !kept) return next && fromImage(next);
  if (next !== undefined && (pristine === undefined || was !== undefined)) {
    state.conflicts.push({ path, next: "file" });
    return undefined;
  }
  return { kind: "directory", stat: live.stat, children };
}

function fromImage(node: Node): MergedNode {
  return node.kind === "directory" ? imageTree(node) : { kind: "image", leaf: node };
}

function sameLeaf(pristine: Leaf, live: LiveLeaf, sameContent: SameContent): boolean {
  if (pristine.kind === "symlink" && live.kind === "symlink") {
    // Linux gives every symlink mode 0777, whatever an image's tar says.
    return pristine.target === live.target && sameStat({ ...pristine.stat, mode: live.stat.mode }, live.stat);
  }
  if (!sameStat(pristine.stat, live.stat)) return false;
  if (pristine.kind !== "file" || live.kind !== "file") return false;
  return pristine.size === live.size && sameContent(pristine, live);
}

function sameStat(left: Stat, right: Stat): boolean {
  if (left.mode !== right.mode || left.uid !== right.uid || left.gid !== right.gid) return false;
  if (left.xattrs.size !== right.xattrs.size) return false;
  for (const [name, value] of left.xattrs) {
    const other = right.xattrs.get(name);
    if (other === undefined || !sameAttribute(name, value, other)) return false;
  }
  return true;
}

/** A label in an image ends without the NUL that the kernel keeps on disk. */
function sameAttribute(name: string, left: Uint8Array, right: Uint8Array): boolean {
  const bare = (value: Uint8Array): Buffer => {
    const end = name === "security.selinux" && value.at(-1) === 0 ? value.length - 1 : value.length;
    return Buffer.from(value.buffer, value.byteOffset, end);
  };
  return bare(left).equals(bare(right));
}
