/**
 * SourceTree: what COPY, ADD and bind mounts read from: the build context with its ignore rules, or the tree of a stage or an
 * image. Nothing outside of its root is ever read, whatever its symlinks say.
 */
import { createHash } from "node:crypto";
import { byteNameToText, textToByteName } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { globSource, isGlob } from "../containerfile/glob.ts";
import { cleanPath, createIgnoreRules, type IgnoreRules } from "../containerfile/ignore.ts";
import type { Files, FileStat } from "../host/host.ts";
import { join, resolveInRoot } from "../host/resolve-in-root.ts";

export interface SourceTree {
  /** Absolute byte path. */
  readonly root: string;
  readonly rules: IgnoreRules;
  /** Owners and attributes are the image's own and are kept; files of a context belong to root. */
  readonly isImage: boolean;
  /** For messages, e.g. `build context "/src"`. */
  readonly title: string;
}

/** One thing that a COPY names. */
export interface Source {
  /** Byte path below the root, symlinks of the way there resolved. */
  readonly path: string;
  /** As named, relative: what --parents keeps. */
  readonly named: string;
  readonly stat: FileStat;
}

/** A file, link or directory below a source. */
export interface SourceEntry {
  /** Relative to the source; empty for the source itself. */
  readonly relative: string;
  readonly absolute: string;
  readonly stat: FileStat;
}

type Reader = Pick<Files, "lstat" | "stat" | "readlink" | "list" | "open">;

/** What a path or pattern names, in byte order. Failure "not-found" for a plain path that is missing and a pattern without a match. */
export function findSources(files: Reader, tree: SourceTree, text: string): readonly Source[] {
  const found = searchSources(files, tree, text);
  if (typeof found !== "string") return found;
  throw new Failure("not-found", `Cannot copy "${text}": ${found}`);
}

/** As findSources(), but why there is nothing is an answer. */
export function searchSources(files: Reader, tree: SourceTree, text: string): readonly Source[] | string {
  const components = cleanPath(text.replaceAll("/./", "/"));
  if (components.some((component) => isGlob(component))) {
    const found = [...expandGlob(files, tree, components)];
    return found.length > 0 ? found : `nothing in the ${tree.title} matches`;
  }
  const named = textToByteName(components.join("/"));
  const found = lookUp(files, tree, named);
  if (found !== undefined) return [found];
  const hidden = resolveInRoot(files, tree.root, named).stat !== undefined;
  return hidden ? `an ignore rule excludes it from the ${tree.title}` : `there is no such file in the ${tree.title}`;
}

function lookUp(files: Reader, tree: SourceTree, named: string): Source | undefined {
  const { path, stat } = resolveInRoot(files, tree.root, named);
  if (stat === undefined) return undefined;
  if (named !== "" && isHidden(tree.rules, byteNameToText(named), stat)) return undefined;
  return { path, named, stat };
}

/** A directory that is ignored but may hold exceptions is still entered. */
function isHidden(rules: IgnoreRules, path: string, stat: FileStat): boolean {
  return stat.kind === "directory" ? rules.prunes(path) : rules.ignores(path);
}

function* expandGlob(files: Reader, tree: SourceTree, components: readonly string[], named = ""): Generator<Source> {
  const [component, ...rest] = components;
  if (component === undefined) {
    const found = lookUp(files, tree, named);
    if (found !== undefined) yield found;
    return;
  }
  const below = (name: string): string => (named === "" ? name : `${named}/${name}`);
  if (!isGlob(component)) {
    yield* expandGlob(files, tree, rest, below(textToByteName(component)));
    return;
  }
  const { path, stat } = resolveInRoot(files, tree.root, named);
  if (stat?.kind !== "directory") return;
  if (component === "**") yield* expandGlob(files, tree, rest, named);
  const pattern = new RegExp(`^${globSource(component)}$`, "su");
  for (const name of files.list(join(tree.root, path))) {
    if (!pattern.test(byteNameToText(name))) continue;
    yield* expandGlob(files, tree, component === "**" ? components : rest, below(name));
  }
}

/** The source and all below it that no rule hides, parents first, in byte order. `exclude` is relative to the source. */
export function* walkSource(
  files: Reader,
  tree: SourceTree,
  source: Source,
  exclude: readonly string[],
): Generator<SourceEntry> {
  const excluded = createIgnoreRules(exclude);
  const base = source.named;
  const name = byteNameToText(base.slice(base.lastIndexOf("/") + 1));
  if (source.stat.kind !== "directory" && excluded.ignores(name)) return;
  const hides = (relative: string, stat: FileStat): boolean => {
    const text = byteNameToText(relative);
    const whole = base === "" ? text : `${byteNameToText(base)}/${text}`;
    return isHidden(tree.rules, whole, stat) || isHidden(excluded, text, stat);
  };
  const wants = (relative: string): boolean => {
    const text = byteNameToText(relative);
    return !tree.rules.ignores(base === "" ? text : `${byteNameToText(base)}/${text}`) && !excluded.ignores(text);
  };
  yield* walk(files, { relative: "", absolute: join(tree.root, source.path), stat: source.stat }, hides, wants);
}

function* walk(
  files: Reader,
  entry: SourceEntry,
  hides: (relative: string, stat: FileStat) => boolean,
  wants: (relative: string) => boolean,
): Generator<SourceEntry> {
  if (entry.stat.kind !== "directory") {
    yield entry;
    return;
  }
  // A directory that is itself ignored comes along only with an exception below it.
  let shown = entry.relative === "" || wants(entry.relative);
  if (shown) yield entry;
  for (const name of files.list(entry.absolute)) {
    const relative = entry.relative === "" ? name : `${entry.relative}/${name}`;
    const absolute = join(entry.absolute, name);
    const stat = files.lstat(absolute);
    if (stat === undefined || hides(relative, stat)) continue;
    for (const found of walk(files, { relative, absolute, stat }, hides, wants)) {
      if (!shown) yield entry;
      shown = true;
      yield found;
    }
  }
}

const CHUNK_BYTES = 1 << 20;

/** Names, kinds, modes and content; not times, and owners only where they are kept. Lower-case hex of sha256. */
export function digestSources(
  files: Reader,
  tree: SourceTree,
  sources: readonly Source[],
  exclude: readonly string[],
): string {
  const digest = createHash("sha256");
  for (const source of sources) {
    digest.update(`source\0${source.named}\0`, "latin1");
    for (const { relative, absolute, stat } of walkSource(files, tree, source, exclude)) {
      const owner = tree.isImage ? `${stat.uid}:${stat.gid}` : "";
      digest.update(`${relative}\0${stat.kind}\0${stat.mode.toString(8)}\0${owner}\0`, "latin1");
      if (stat.kind === "symlink") digest.update(`${files.readlink(absolute)}\0`, "latin1");
      else if (stat.kind === "file") digest.update(digestFile(files, absolute));
      else if (stat.kind === "char" || stat.kind === "block") digest.update(`${stat.rdev}\0`);
    }
  }
  return digest.digest("hex");
}

const scratch = Buffer.allocUnsafe(CHUNK_BYTES);

function digestFile(files: Pick<Files, "open">, path: string): Buffer {
  const digest = createHash("sha256");
  using file = files.open(path, "read");
  for (let count = file.read(scratch); count > 0; count = file.read(scratch)) digest.update(scratch.subarray(0, count));
  return digest.digest();
}
