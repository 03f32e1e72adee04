/**
 * Kernel modules: which files a list of modules needs, in the order in which they must be loaded.
 *
 * @see modules.dep(5); depmod(8); the kernel's lib/modules/<version> index files
 */
import { Failure } from "../../../core/failure.ts";

export interface ModuleIndex {
  /** Module name (`-` written `_`) to its path below the modules directory, e.g. kernel/fs/ext4/ext4.ko.xz. */
  readonly paths: ReadonlyMap<string, string>;
  /** Path to the paths that it needs, as modules.dep lists them: the nearest first. */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
  readonly builtin: ReadonlySet<string>;
  /** Module name to what is to be loaded before it, where there is such a thing (soft dependencies). */
  readonly before: ReadonlyMap<string, readonly string[]>;
  /** Alias patterns, in the file's order. */
  readonly aliases: readonly { readonly pattern: string; readonly name: string }[];
}

/** Texts of the index files; a missing one is empty. */
export interface IndexFiles {
  readonly dep: string;
  readonly builtin: string;
  readonly softdep: string;
  readonly alias: string;
}

export function parseModuleIndex(files: IndexFiles): ModuleIndex {
  const paths = new Map<string, string>();
  const dependencies = new Map<string, readonly string[]>();
  for (const line of lines(files.dep)) {
    const colon = line.indexOf(":");
    if (colon <= 0) throw new SyntaxError(`modules.dep: ${JSON.stringify(line.slice(0, 100))} has no colon`);
    const path = line.slice(0, colon);
    paths.set(moduleName(path), path);
    dependencies.set(path, words(line.slice(colon + 1)));
  }
  const before = new Map<string, string[]>();
  for (const line of lines(files.softdep)) {
    const match = /^softdep (\S+)(.*)$/.exec(line);
    const pre = /\bpre: ([^:]*?)(?=\s+\w+:|$)/.exec(match?.[2] ?? "")?.[1];
    if (match?.[1] === undefined || pre === undefined) continue;
    const name = normalise(match[1]);
    before.set(name, [...(before.get(name) ?? []), ...words(pre)]);
  }
  return {
    paths,
    dependencies,
    builtin: new Set(lines(files.builtin).map(moduleName)),
    before,
    aliases: lines(files.alias).flatMap((line) => {
      const [word, pattern, name] = words(line);
      return word === "alias" && pattern !== undefined && name !== undefined
        ? [{ pattern, name: normalise(name) }]
        : [];
    }),
  };
}

export interface ModuleChoice {
  /** Failure when the kernel has no such module and it is not built in. */
  readonly required: readonly string[];
  /** Left out where the kernel has no such module. */
  readonly optional: readonly string[];
}

/** Paths below the modules directory, each after all that it needs; in the order of the names given. */
export function resolveModules(index: ModuleIndex, choice: ModuleChoice): string[] {
  const order = new Set<string>();
  const visiting = new Set<string>();
  const addPath = (path: string): void => {
    if (order.has(path) || visiting.has(path)) return;
    visiting.add(path);
    for (const soft of index.before.get(moduleName(path)) ?? []) addSoft(soft);
    // modules.dep lists what a module needs from the top down: the last one is needed by all the others.
    for (const needed of (index.dependencies.get(path) ?? []).toReversed()) addPath(needed);
    order.add(path);
  };
  const addSoft = (name: string): void => {
    const names = index.paths.has(normalise(name)) ? [normalise(name)] : aliasedModules(index, name);
    for (const found of names) {
      const path = index.paths.get(found);
      if (path !== undefined) addPath(path);
    }
  };
  for (const [names, isRequired] of [
    [choice.required, true],
    [choice.optional, false],
  ] as const) {
    for (const name of names.map(normalise)) {
      const path = index.paths.get(name);
      if (path !== undefined) addPath(path);
      else if (isRequired && !index.builtin.has(name)) {
        throw new Failure("unsupported", `Cannot make an initramfs: the kernel has no module "${name}"`, {
          hint: "berth needs a kernel with EROFS and overlayfs, 6.12 or newer",
        });
      }
    }
  }
  return [...order];
}

/** Lines of modules.alias and modules.dep for the chosen files only; paths as `modules/<file name>` without compression. */
export function formatSubset(index: ModuleIndex, paths: readonly string[]): { dep: string; alias: string } {
  const chosen = new Set(paths);
  const names = new Set(paths.map(moduleName));
  const dep = paths.map((path) => {
    const needs = (index.dependencies.get(path) ?? []).filter((needed) => chosen.has(needed));
    return `${plainPath(path)}:${needs.map((needed) => ` ${plainPath(needed)}`).join("")}\n`;
  });
  const alias = index.aliases
    .filter(({ name }) => names.has(name))
    .map(({ pattern, name }) => `alias ${pattern} ${name}\n`);
  return { dep: dep.join(""), alias: alias.join("") };
}

/** The path without its compression suffix. */
export function plainPath(path: string): string {
  return path.replace(/\.(?:xz|zst|gz)$/, "");
}

/** `kernel/fs/ext4/ext4.ko.xz` and `ext4` are both module ext4. */
export function moduleName(path: string): string {
  return normalise(path.slice(path.lastIndexOf("/") + 1).replace(/\.ko(?:\.\w+)?$/, ""));
}

/** Modules that carry exactly this alias: soft dependencies name such (`crypto-crc32c`). */
function aliasedModules(index: ModuleIndex, alias: string): string[] {
  return index.aliases.filter(({ pattern }) => pattern === alias).map(({ name }) => name);
}

function normalise(name: string): string {
  return name.replaceAll("-", "_");
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
