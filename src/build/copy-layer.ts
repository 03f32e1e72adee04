/**
 * copyMembers(): what a COPY or ADD brings, as members of a layer: nothing is copied on disk first. Parents that exist already come
 * along as they are, because who unpacks the layer by itself needs their modes; missing ones are made 0755 root.
 *
 * @see Dockerfile reference, "COPY" rules
 */
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { compareTarPaths, type TarInput } from "../format/tar/write.ts";
import type { Files } from "../host/host.ts";
import { NO_XATTRS, type Stat } from "../tree/node.ts";
import { applyMode, type Owner, resolveOwner, ROOT } from "./owner.ts";
import { join, resolveInRoot } from "../host/resolve-in-root.ts";
import { type Source, type SourceEntry, type SourceTree, walkSource } from "./source-tree.ts";
import type { CopyAction } from "./step.ts";
import type { Heredoc } from "../containerfile/logical-line.ts";

export type FoundSource =
  | { readonly kind: "path"; readonly sources: readonly Source[] }
  | { readonly kind: "heredoc"; readonly heredoc: Heredoc };

export interface CopyInput {
  readonly action: CopyAction;
  readonly tree: SourceTree;
  readonly found: readonly FoundSource[];
  /** The state that is copied into: a mounted tree, read only. */
  readonly view: string;
  /** Seconds: the time of what is made new (heredocs, missing directories). */
  readonly nowSec: number;
}

/** Directly below this size a file is read whole. */
const SMALL_BYTES = 1 << 20;

type Member = TarInput["member"];

/** In canonical order. Failure "conflict" when a directory would replace a file or the other way round. */
export function copyMembers(files: Files, input: CopyInput): TarInput[] {
  const { action, view } = input;
  const owner = action.chown === undefined ? undefined : resolveOwner(files, view, action.chown);
  const layer = createLayer(files, input, owner);
  const count = input.found.reduce((sum, found) => sum + (found.kind === "heredoc" ? 1 : found.sources.length), 0);
  const isDirectory = action.target.endsWith("/") || count > 1 || isExistingDirectory(files, view, action.target);
  for (const found of input.found) {
    if (found.kind === "path") {
      for (const source of found.sources) placeSource(files, input, source, isDirectory, layer);
    } else {
      const target = textToByteName(action.target);
      layer.addText(isDirectory ? below(target, textToByteName(found.heredoc.name)) : target, found.heredoc.content);
    }
  }
  return layer.finish();
}

function placeSource(files: Files, input: CopyInput, source: Source, isDirectory: boolean, layer: Layer): void {
  const { action, tree } = input;
  const parents = action.parents ? parentsOf(action, source) : "";
  const target = textToByteName(action.target);
  const start = parents === "" ? target : below(target, parents);
  const name = source.named.slice(source.named.lastIndexOf("/") + 1);
  for (const entry of walkSource(files, tree, source, action.exclude)) {
    if (source.stat.kind !== "directory") {
      layer.add(isDirectory || action.parents ? below(start, name) : start, entry);
    } else if (entry.relative === "") {
      layer.addDirectory(
        action.parents && name !== "" ? below(start, name) : start,
        action.parents ? entry : undefined,
      );
    } else {
      layer.add(below(action.parents && name !== "" ? below(start, name) : start, entry.relative), entry);
    }
  }
}

/** With `/./` in the source only what follows it is kept. */
function parentsOf(action: CopyAction, source: Source): string {
  const pivot = action.sources.flatMap((given) =>
    given.kind === "path" && given.path.includes("/./") ? [given.path.slice(0, given.path.indexOf("/./"))] : [],
  );
  const cut = pivot
    .map((text) => textToByteName(text.replace(/^\/+/, "")))
    .find((text) => source.named.startsWith(`${text}/`));
  const kept = cut === undefined ? source.named : source.named.slice(cut.length + 1);
  const slash = kept.lastIndexOf("/");
  return slash < 0 ? "" : kept.slice(0, slash);
}

function below(directory: string, name: string): string {
  return `${directory.replace(/\/+$/, "")}/${name}`;
}

function isExistingDirectory(files: Files, view: string, target: string): boolean {
  return resolveInRoot(files, view, textToByteName(target)).stat?.kind === "directory";
}

export interface Layer {
  /** `target`: absolute path in the image, in bytes. */
  add(target: string, entry: SourceEntry): void;
  addText(target: string, content: string): void;
  /** Makes the directory when it is missing; with `entry`, with its mode. */
  addDirectory(target: string, entry: SourceEntry | undefined): void;
  finish(): TarInput[];
}

function createLayer(files: Files, input: CopyInput, chown: Owner | undefined): Layer {
  const { action, view, nowSec, tree } = input;
  const members = new Map<string, TarInput>();
  const statOf = (entry: SourceEntry): Stat => {
    const { stat } = entry;
    const owner = chown ?? (tree.isImage ? stat : ROOT);
    const isDirectory = stat.kind === "directory";
    const mode =
      action.chmod === undefined || stat.kind === "symlink"
        ? stat.mode
        : applyMode(stat.mode, action.chmod, isDirectory);
    const xattrs = tree.isImage ? files.xattrs(entry.absolute) : NO_XATTRS;
    return { mode, uid: owner.uid, gid: owner.gid, mtimeSec: stat.mtimeSec, mtimeNsec: 0, xattrs };
  };
  const made = (mode: number, owner: Owner): Stat => ({
    mode,
    uid: owner.uid,
    gid: owner.gid,
    mtimeSec: nowSec,
    mtimeNsec: 0,
    xattrs: NO_XATTRS,
  });

  /** The real place of `target`; its missing parents become members. */
  const place = (target: string, isDirectory: boolean): { path: string; exists: boolean } => {
    const { path, stat } = resolveInRoot(files, view, target);
    refuseWhiteout(path);
    const kind = stat?.kind ?? members.get(path)?.member.kind;
    if (kind === "directory" && !isDirectory)
      throw conflict(target, "it is a directory in the image, and a file would replace it");
    if (kind !== undefined && kind !== "directory" && isDirectory)
      throw conflict(target, "it is no directory in the image, and a directory would replace it");
    const names = path.split("/");
    for (let i = 1; i < names.length; i += 1) {
      const parent = names.slice(0, i).join("/");
      const known = members.get(parent)?.member;
      if (known !== undefined && known.kind !== "directory")
        throw conflict(target, `"/${byteNameToText(parent)}" is no directory`);
      if (known !== undefined) continue;
      const existing = existingStat(files, view, parent);
      if (existing === "other") throw conflict(target, `"/${byteNameToText(parent)}" is no directory`);
      members.set(parent, {
        member: { kind: "directory", path: textToPath(parent), stat: existing ?? made(0o755, ROOT) },
      });
    }
    return { path, exists: kind !== undefined };
  };

  return {
    add(target, entry) {
      const { stat } = entry;
      if (stat.kind === "socket") return;
      if (stat.kind === "directory") return this.addDirectory(target, entry);
      const path = textToPath(place(target, false).path);
      members.set(path, { member: memberOf(files, entry, path, statOf(entry)), ...contentOf(files, entry) });
    },
    addText(target, content) {
      const bytes = Buffer.from(content);
      const path = textToPath(place(target, false).path);
      const mode = action.chmod === undefined ? 0o644 : applyMode(0o644, action.chmod, false);
      members.set(path, {
        member: { kind: "file", path, stat: made(mode, chown ?? ROOT), size: bytes.length },
        content: bytes,
      });
    },
    addDirectory(target, entry) {
      const { path, exists } = place(target, true);
      if (path === "" || (exists && entry === undefined)) return;
      const stat = entry === undefined ? made(0o755, chown ?? ROOT) : statOf(entry);
      members.set(path, { member: { kind: "directory", path: textToPath(path), stat } });
    },
    finish: () => [...members.values()].sort((left, right) => compareTarPaths(left.member.path, right.member.path)),
  };
}

/** A directory of the image as it is; undefined when there is none. */
export function existingStat(
  files: Pick<Files, "lstat" | "xattrs">,
  view: string,
  path: string,
): Stat | "other" | undefined {
  const stat = files.lstat(join(view, path));
  if (stat === undefined) return undefined;
  if (stat.kind !== "directory") return "other";
  const { mode, uid, gid, mtimeSec } = stat;
  const xattrs = [...files.xattrs(join(view, path))].filter(([name]) => !name.startsWith("trusted.overlay."));
  return { mode, uid, gid, mtimeSec, mtimeNsec: 0, xattrs: xattrs.length === 0 ? NO_XATTRS : new Map(xattrs) };
}

function memberOf(files: Files, entry: SourceEntry, path: Member["path"], stat: Stat): Member {
  switch (entry.stat.kind) {
    case "symlink":
      return { kind: "symlink", path, stat, target: textToPath(files.readlink(entry.absolute)) };
    case "char":
    case "block":
      return { kind: entry.stat.kind, path, stat, rdev: entry.stat.rdev };
    case "fifo":
      return { kind: "fifo", path, stat };
    case "directory":
    case "socket":
    case "file":
      return { kind: "file", path, stat, size: entry.stat.size };
  }
}

function contentOf(files: Files, entry: SourceEntry): Pick<TarInput, "content"> {
  if (entry.stat.kind !== "file" || entry.stat.size === 0) return {};
  const { absolute, stat } = entry;
  return { content: stat.size <= SMALL_BYTES ? lazily(() => files.read(absolute)) : files.readStream(absolute) };
}

/** Read when its turn comes, so that a layer of many files does not lie in memory. */
async function* lazily(read: () => Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield read();
}

function textToPath(path: string): Member["path"] {
  return path as Member["path"];
}

function refuseWhiteout(path: string): void {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (!name.startsWith(".wh.")) return;
  throw new Failure(
    "bad-input",
    `Cannot copy to "/${byteNameToText(path)}": names that begin with .wh. mark deleted files in a layer`,
  );
}

function conflict(target: string, state: string): Failure {
  return new Failure("conflict", `Cannot copy to "${byteNameToText(target)}": ${state}`);
}
