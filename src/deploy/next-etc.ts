/**
 * The merged /etc of the next boot: computed from the images and the live files, written beside, put in place at the shutdown.
 *
 * `etc.next` and `etc` are exchanged just before the menus are. A mark on the new directory tells, after a power cut between the
 * two, which of them is which; so the /etc of a rollback deployment that was staged again is never lost.
 */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import type { Store } from "../store/store.ts";
import type { Directory, FileLeaf } from "../tree/node.ts";
import { findDirectory } from "./deployment-tree.ts";
import { type EtcMerge, type LiveLeaf, mergeEtc } from "./etc-merge.ts";
import { etcPath, nextEtcPath } from "./layout.ts";
import { scanDirectory } from "./live-etc.ts";
import { readContent } from "./write-tree.ts";

export interface EtcPlaces {
  readonly host: Pick<Host, "files">;
  readonly store: Store;
  /** Physical root. */
  readonly sysroot: string;
  readonly bootedId: string;
}

/**
 * The booted deployment's /etc merged into that of the image `next`; `booted` is the tree of its own image. It reads the state directory, not /etc, so that what is mounted
 * below /etc does not count. Failure "conflict" naming every conflict.
 */
export function mergeLiveEtc(
  places: EtcPlaces,
  trees: { readonly booted: Directory; readonly next: Directory },
): EtcMerge {
  const { files } = places.host;
  const merge = mergeEtc({
    pristine: findDirectory(trees.booted, "etc"),
    live: scanDirectory(files, etcPath(places.sysroot, places.bootedId)),
    next: findDirectory(trees.next, "etc"),
    sameContent: (before, live) => sameContent(places, before, live),
  });
  if (merge.conflicts.length > 0) throw conflictFailure(merge);
  return merge;
}

/** Finishes or undoes what an interrupted command left of `etc.next`. `isDefault`: the menu boots this deployment first. */
export function settleNextEtc(
  files: Host["files"],
  sysroot: string,
  options: { id: string; isDefault: boolean },
): void {
  const etc = etcPath(sysroot, options.id);
  const next = nextEtcPath(sysroot, options.id);
  const swapped = files.exists(etc) && files.xattrs(etc).has(MARK);
  if (files.exists(next)) {
    if (swapped && !options.isDefault) files.exchange(etc, next);
    files.remove(next);
  }
  if (files.exists(etc) && files.xattrs(etc).has(MARK)) files.removeXattr(etc, MARK);
}

/** Puts `etc.next` in the place of `etc`. Durable when it returns. */
export function swapNextEtc(files: Host["files"], sysroot: string, id: string): void {
  const etc = etcPath(sysroot, id);
  const next = nextEtcPath(sysroot, id);
  files.setXattr(next, MARK, Buffer.from("1"));
  files.syncFileSystem(next);
  if (files.exists(etc)) files.exchange(etc, next);
  else files.rename(next, etc);
  files.syncFileSystem(etc);
}

const MARK = "trusted.berth.next";

function sameContent(places: EtcPlaces, before: FileLeaf, live: LiveLeaf & { readonly kind: "file" }): boolean {
  const { files } = places.host;
  const pristine = readContent(files, places.store, before);
  // Gone since it was looked at: writeTree() passes it by.
  return files.lstat(live.path) !== undefined && pristine.equals(files.read(live.path));
}

function conflictFailure(merge: EtcMerge): Failure {
  const lines = merge.conflicts.map(({ path, next }) =>
    next === "directory"
      ? `File '${path}' now defaults to a directory in new etc`
      : `Directory '${path}' now defaults to a file in new etc`,
  );
  return new Failure("conflict", `Merge conflicts found in etc:\n  ${lines.join("\n  ")}`, {
    hint: "nothing was changed; move these aside on this machine (their content stays where you put it), or build an image that keeps their type",
  });
}
