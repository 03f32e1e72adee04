/**
 * upperMembers(): what a RUN changed, read from the overlay's upper directory, as members of a layer. Whiteouts are character
 * devices 0:0, opaque directories carry `trusted.overlay.opaque`; directories that were only touched on the way, and files
 * that were copied up and left as they were, are no change. A file whose metadata alone was copied up, and a directory that was
 * renamed (`trusted.overlay.redirect`), have their content elsewhere: content is always read through the merged mount.
 *
 * @see Linux Documentation/filesystems/overlayfs.rst; OCI image-spec layer.md, "Whiteouts"
 */
import type { ByteName } from "../core/bytes.ts";
import { compareTarPaths, type TarInput } from "../format/tar/write.ts";
import type { Files, FileStat } from "../host/host.ts";
import { NO_XATTRS, type Stat, type Xattrs } from "../tree/node.ts";
import { join } from "../host/resolve-in-root.ts";

export interface UpperInput {
  /** The upper directory. */
  readonly upper: string;
  /** The tree below it, mounted read only. */
  readonly lower: string;
  /** Upper and lower together, still mounted. */
  readonly merged: string;
}

const OVERLAY_XATTR = "trusted.overlay.";
const OPAQUE = "trusted.overlay.opaque";
const REDIRECT = "trusted.overlay.redirect";
const SMALL_BYTES = 1 << 20;

type Member = TarInput["member"];

interface Found {
  readonly path: string;
  readonly stat: FileStat;
  readonly xattrs: Xattrs;
  readonly opaque: boolean;
}

/** In canonical order: sorted, whiteouts first in their directory, the first name of a hard link carries the data. */
export function upperMembers(files: Files, input: UpperInput): TarInput[] {
  const found: Found[] = [];
  collect(files, input, "", found);
  found.sort((left, right) => compareTarPaths(outName(left), outName(right)));
  const firstNames = new Map<string, string>();
  return found.flatMap((item) => {
    const members = [toInput(files, input, item, firstNames)];
    return item.opaque ? [...members, opaqueMarker(item.path)] : members;
  });
}

/** Appends what changed at or below `path`; true when something did. */
function collect(files: Files, input: UpperInput, path: string, found: Found[]): boolean {
  const absolute = join(input.upper, path);
  const stat = files.lstat(absolute);
  if (stat === undefined || stat.kind === "socket") return false;
  const all = files.xattrs(absolute);
  const xattrs = withoutOverlay(all);
  const lower = lowerStat(files, input, path);
  // The kernel marks every new directory; it says something only where one was below.
  const opaque = stat.kind === "directory" && lower?.kind === "directory" && all.get(OPAQUE)?.[0] === 0x79;
  const item: Found = { path, stat, xattrs, opaque };
  if (stat.kind !== "directory") {
    if (isWhiteout(stat) ? lower === undefined : isUnchanged(files, input, item)) return false;
    found.push(item);
    return true;
  }
  if (all.has(REDIRECT)) {
    found.push({ ...item, opaque: lower?.kind === "directory" });
    collectWhole(files, input, path, found);
    return true;
  }
  const at = found.length;
  let changedBelow = false;
  for (const name of files.list(absolute))
    changedBelow = collect(files, input, path === "" ? name : `${path}/${name}`, found) || changedBelow;
  const same =
    lower?.kind === "directory" &&
    sameMetadata(stat, lower) &&
    sameXattrs(xattrs, withoutOverlay(files.xattrs(join(input.lower, path))));
  // Parents of what changed belong to the layer: who unpacks it by itself needs their modes. The root is everybody's own.
  if (same && !opaque && (path === "" || !changedBelow)) return changedBelow;
  found.splice(at, 0, item);
  return true;
}

/** A root of mode 0 is one that no layer has described: run-step.ts makes it 0755, which is no change. */
function lowerStat(files: Files, input: UpperInput, path: string): FileStat | undefined {
  const stat = files.lstat(join(input.lower, path));
  return path === "" && stat?.mode === 0 ? { ...stat, mode: 0o755 } : stat;
}

/** All below a directory that came from elsewhere, as the merged mount shows it. */
function collectWhole(files: Files, input: UpperInput, path: string, found: Found[]): void {
  for (const name of files.list(join(input.merged, path))) {
    const below = `${path}/${name}`;
    const absolute = join(input.merged, below);
    const stat = files.lstat(absolute);
    if (stat === undefined || stat.kind === "socket") continue;
    found.push({ path: below, stat, xattrs: withoutOverlay(files.xattrs(absolute)), opaque: false });
    if (stat.kind === "directory") collectWhole(files, input, below, found);
  }
}

function isWhiteout(stat: FileStat): boolean {
  return stat.kind === "char" && stat.rdev === 0;
}

/** Copied up, then left alone: same metadata, time included, and same bytes. */
function isUnchanged(files: Files, input: UpperInput, item: Found): boolean {
  const { stat } = item;
  const below = join(input.lower, item.path);
  const lower = files.lstat(below);
  if (lower === undefined || lower.kind !== stat.kind || stat.nlink > 1) return false;
  if (!sameMetadata(stat, lower) || !sameTime(stat, lower) || stat.size !== lower.size || stat.rdev !== lower.rdev)
    return false;
  if (!sameXattrs(item.xattrs, withoutOverlay(files.xattrs(below)))) return false;
  const above = join(input.merged, item.path);
  if (stat.kind === "symlink") return files.readlink(above) === files.readlink(below);
  return stat.kind !== "file" || sameContent(files, above, below);
}

function sameContent(files: Files, left: string, right: string): boolean {
  using one = files.open(left, "read");
  using two = files.open(right, "read");
  const chunks = [Buffer.allocUnsafe(SMALL_BYTES), Buffer.allocUnsafe(SMALL_BYTES)] as const;
  for (;;) {
    const counts = [one.read(chunks[0]), two.read(chunks[1])] as const;
    if (counts[0] !== counts[1]) return false;
    if (counts[0] === 0) return true;
    if (!chunks[0].subarray(0, counts[0]).equals(chunks[1].subarray(0, counts[0]))) return false;
  }
}

function sameMetadata(left: FileStat, right: FileStat): boolean {
  return left.mode === right.mode && left.uid === right.uid && left.gid === right.gid;
}

function sameTime(left: FileStat, right: FileStat): boolean {
  return left.mtimeSec === right.mtimeSec && (left.mtimeNsec === right.mtimeNsec || right.mtimeNsec === 0);
}

function sameXattrs(left: Xattrs, right: Xattrs): boolean {
  return (
    left.size === right.size &&
    [...left].every(([name, value]) => Buffer.from(value).equals(right.get(name) ?? Buffer.alloc(0)))
  );
}

function withoutOverlay(xattrs: Xattrs): Xattrs {
  const kept = [...xattrs].filter(([name]) => !name.startsWith(OVERLAY_XATTR));
  return kept.length === 0 ? NO_XATTRS : new Map(kept.sort(([left], [right]) => (left < right ? -1 : 1)));
}

function outName(item: Found): string {
  return isWhiteout(item.stat) ? whiteoutPath(item.path) : item.path;
}

function whiteoutPath(path: string): string {
  const slash = path.lastIndexOf("/") + 1;
  return `${path.slice(0, slash)}.wh.${path.slice(slash)}`;
}

const MARKER: Stat = { mode: 0, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, xattrs: NO_XATTRS };

function opaqueMarker(directory: string): TarInput {
  return {
    member: { kind: "file", path: toPath(join(directory, ".wh..wh..opq").replace(/^\//, "")), stat: MARKER, size: 0 },
  };
}

function toInput(files: Files, input: UpperInput, item: Found, firstNames: Map<string, string>): TarInput {
  const { path, stat: from, xattrs } = item;
  if (isWhiteout(from)) return { member: { kind: "file", path: toPath(whiteoutPath(path)), stat: MARKER, size: 0 } };
  const stat: Stat = { mode: from.mode, uid: from.uid, gid: from.gid, mtimeSec: from.mtimeSec, mtimeNsec: 0, xattrs };
  if (from.kind !== "directory" && from.nlink > 1) {
    const inode = `${from.dev}:${from.ino}`;
    const first = firstNames.get(inode);
    if (first !== undefined)
      return {
        member: { kind: "hardlink", path: toPath(path), stat: { ...stat, xattrs: NO_XATTRS }, target: toPath(first) },
      };
    firstNames.set(inode, path);
  }
  const absolute = join(input.merged, path);
  switch (from.kind) {
    case "directory":
      return { member: { kind: "directory", path: toPath(path), stat } };
    case "symlink":
      return { member: { kind: "symlink", path: toPath(path), stat, target: toPath(files.readlink(absolute)) } };
    case "char":
    case "block":
      return { member: { kind: from.kind, path: toPath(path), stat, rdev: from.rdev } };
    case "fifo":
    case "socket":
      return { member: { kind: "fifo", path: toPath(path), stat } };
    case "file":
      return {
        member: { kind: "file", path: toPath(path), stat, size: from.size },
        ...(from.size > 0 && {
          content: from.size <= SMALL_BYTES ? lazily(() => files.read(absolute)) : files.readStream(absolute),
        }),
      };
  }
}

async function* lazily(read: () => Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield read();
}

function toPath(path: string): Member["path"] {
  return path as ByteName;
}
