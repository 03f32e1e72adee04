/**
 * BuildState: the file system of a stage as it stands, mounted only when a step needs to see it. The layers so far are one EROFS
 * image; what later RUN steps wrote stays in their upper directories, which become further lowers; a layer that COPY made is
 * an EROFS image of its own. Nothing is ever unpacked.
 *
 * One overlay has all of them as its layers, with the store's objects as data: the kernel stacks two file systems at most, so an
 * overlay over a mounted composefs would be one too many.
 */
import type { Digest } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import type { TarInput } from "../format/tar/write.ts";
import { writeErofs } from "../format/erofs/write.ts";
import { verityDigest } from "../format/verity/verity.ts";
import type { Files, Host, Mount, OverlayOptions } from "../host/host.ts";
import type { Store } from "../store/store.ts";
import type { Directory } from "../tree/node.ts";
import type { BuildCache } from "./build-cache.ts";
import { existingStat } from "./copy-layer.ts";

export interface BuildState extends Disposable {
  readonly diffIds: readonly Digest[];
  /** What an overlay over this state is made of. */
  layers(): Required<Pick<OverlayOptions, "lower" | "data">>;
  /** A directory that shows the tree, read only. */
  view(): string;
  /** A layer was added whose tree is `upper` over what was there. */
  pushUpper(diffId: Digest, upper: string): void;
  /** A layer was added that holds just these members, without whiteouts. */
  pushMembers(diffId: Digest, members: readonly TarInput[]): void;
  /** A layer was added that nobody here has unpacked. */
  push(diffId: Digest): void;
}

export interface StateParts {
  readonly host: Host;
  readonly store: Store;
  readonly cache: BuildCache;
  /** Scratch directory of this build. */
  readonly scratch: string;
  /** Unique names below `scratch`. */
  readonly name: () => string;
  /** The composefs image of the base's own layers, made with the base. */
  readonly knownTree: (diffIds: readonly Digest[]) => string | undefined;
}

/** More lowers than this are merged into one image again: lookups walk all of them. */
const LOWERS_MAX = 24;

export function createBuildState(parts: StateParts, start: readonly Digest[]): BuildState {
  const { host, store } = parts;
  let diffIds = [...start];
  let lowers: string[] = [];
  let mounts: Mount[] = [];
  let shown: Mount | undefined;

  const unmount = (): void => {
    shown?.unmount();
    shown = undefined;
    for (const mount of mounts.toReversed()) mount.unmount();
    mounts = [];
    lowers = [];
  };
  const directory = (): string => {
    const path = `${parts.scratch}/${parts.name()}`;
    host.files.makeDirectory(path);
    return path;
  };
  const mounted = (mount: Mount): string => {
    mounts.push(mount);
    return mount.target;
  };
  const mountLayer = (diffId: Digest, members: readonly TarInput[]): string => {
    const image = `${parts.scratch}/${parts.name()}.erofs`;
    const tree = layerTree(host.files, store, state.view(), { diffId, members });
    host.files.write(image, writeErofs(tree, { algorithm: store.algorithm }));
    return mounted(host.mounts.erofs(image, directory()));
  };
  const layers = (): Required<Pick<OverlayOptions, "lower" | "data">> => {
    ensure();
    return { lower: lowers, data: [`${store.path}/objects`] };
  };
  const ensure = (): void => {
    if (lowers.length > LOWERS_MAX) unmount();
    if (lowers.length === 0)
      lowers = [
        diffIds.length === 0
          ? emptyRoot(host.files, directory())
          : mounted(mountErofs(host, store, treeOf(parts, diffIds), directory())),
      ];
  };
  const pushed = (diffId: Digest, lower: () => string): void => {
    diffIds = [...diffIds, diffId];
    if (lowers.length === 0) return;
    const top = lower();
    shown?.unmount();
    shown = undefined;
    lowers = [top, ...lowers];
  };
  const state: BuildState = {
    get diffIds() {
      return diffIds;
    },
    layers,
    view() {
      shown ??= host.mounts.overlay({ source: "berth-build", ...layers(), readOnly: true }, directory());
      return shown.target;
    },
    pushUpper: (diffId, upper) => pushed(diffId, () => upper),
    pushMembers: (diffId, members) => pushed(diffId, () => mountLayer(diffId, members)),
    push(diffId) {
      unmount();
      diffIds = [...diffIds, diffId];
    },
    [Symbol.dispose]: unmount,
  };
  return state;
}

/** The digest is checked before the kernel reads a byte of it. */
function mountErofs(host: Host, store: Store, id: string, target: string): Mount {
  const path = store.objectPath(id);
  const actual = host.files.measureVerity(path) ?? verityDigest(host.files.read(path), store.algorithm);
  if (actual !== id)
    throw new Failure("corrupt", `Cannot mount image "${id}": its content has the digest ${actual}`, {
      hint: "run berth store fsck --repair",
    });
  return host.mounts.erofs(path, target);
}

function treeOf(parts: StateParts, diffIds: readonly Digest[]): string {
  const known = parts.knownTree(diffIds) ?? parts.cache.tree(diffIds);
  if (known !== undefined) return known;
  const id = parts.store.writeImage(parts.store.readTree(diffIds));
  parts.cache.putTree(diffIds, id);
  return id;
}

/** `FROM scratch`: an empty directory. */
function emptyRoot(files: Files, path: string): string {
  files.chmod(path, 0o755);
  return path;
}

/** The tree of one layer by itself. Its root is the one that an overlay shows, so it has the metadata of the root below. */
function layerTree(
  files: Files,
  store: Store,
  view: string,
  layer: { readonly diffId: Digest; readonly members: readonly TarInput[] },
): Directory {
  const tree = store.readTree([layer.diffId]);
  const stat = existingStat(files, view, "");
  if (stat !== undefined && stat !== "other" && !layer.members.some(({ member }) => member.path === ""))
    tree.stat = stat;
  return tree;
}
