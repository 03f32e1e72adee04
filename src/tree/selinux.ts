/**
 * relabel(): security.selinux of every node by the policy inside the tree, as `setfiles` would set it on a running system.
 *
 * Each specification is a regular expression over whole paths with an optional file type; the last one that matches wins. A
 * policy has thousands of them, so they are found by the directory part of their fixed beginning.
 *
 * @see selabel_file(5), selinux_config(5)
 */
import { byteNameToBytes } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { type Directory, type FileLeaf, type Node, NO_XATTRS, type Stat, type Xattrs } from "./node.ts";
import { rewriteTree } from "./rewrite.ts";
import { parseContexts, parseSubstitutions, type Specification } from "./selinux-policy.ts";
import { lookup } from "./walk.ts";

const LABEL = "security.selinux";
/** What `<<none>>` means: leave such files without a label. */
const NONE = "<<none>>";

export interface RelabelOptions {
  /** Content of a file that is an object. */
  readonly readFile: (leaf: FileLeaf) => Uint8Array;
}

/** Without a policy all labels go. Throws Failure "bad-input" when the policy is named but incomplete or malformed. */
export function relabel(tree: Directory, options: RelabelOptions): Directory {
  const policy = readPolicy(tree, options);
  const withLabel = createLabeler();
  if (policy === undefined) return rewriteTree(tree, ({ node }) => withLabel(node.stat, ""));
  return rewriteTree(
    tree,
    ({ path, node }) => withLabel(node.stat, policy.label(path, node.kind)),
    (path) => policy.substitutions.get(path) ?? path,
  );
}

/** Gives the same stat for the same stat and label, so that names of one file stay together unless their labels differ. */
function createLabeler(): (stat: Stat, label: string) => Stat {
  const stats = createMemo((stat: Stat, label) => ({ ...stat, xattrs: maps(stat.xattrs, label) }));
  const maps = createMemo(setLabel);
  return (stat, label) => (label === "" && !stat.xattrs.has(LABEL) ? stat : stats(stat, label));
}

function createMemo<T>(make: (value: T, label: string) => T): (value: T, label: string) => T {
  const known = new Map<T, Map<string, T>>();
  return (value, label) => {
    let variants = known.get(value);
    if (variants === undefined) known.set(value, (variants = new Map()));
    let variant = variants.get(label);
    if (variant === undefined) variants.set(label, (variant = make(value, label)));
    return variant;
  };
}

/** An empty label removes it. The value has no final NUL. */
function setLabel(xattrs: Xattrs, label: string): Xattrs {
  const rest = [...xattrs].filter(([name]) => name !== LABEL);
  const all: [string, Uint8Array][] = label === "" ? rest : [...rest, [LABEL, byteNameToBytes(label)]];
  return all.length === 0 ? NO_XATTRS : new Map(all);
}

interface Policy {
  readonly substitutions: ReadonlyMap<string, string>;
  /** Empty for none. */
  label(path: string, kind: Node["kind"]): string;
}

function readPolicy(tree: Directory, options: RelabelOptions): Policy | undefined {
  const config = readTextFile(tree, "/etc/selinux/config", options);
  const type = config === undefined ? undefined : parseType(config);
  if (type === undefined) return undefined;
  const base = `/etc/selinux/${type}/contexts/files/file_contexts`;
  const specifications: Specification[] = [];
  for (const suffix of ["", ".local", ".homedirs"]) {
    const text = readTextFile(tree, base + suffix, options);
    if (text !== undefined) {
      for (const specification of parseContexts(text, base + suffix)) specifications.push(specification);
    } else if (suffix === "") {
      throw new Failure("bad-input", `Cannot label files: SELinux policy file "${base}" is missing in the image`, {
        hint: `/etc/selinux/config of the image names the policy "${type}": install it, or remove that file`,
      });
    }
  }
  const substitutions = new Map<string, string>();
  for (const suffix of [".subs", ".subs_dist"]) {
    const text = readTextFile(tree, base + suffix, options);
    if (text !== undefined)
      for (const [alias, path] of parseSubstitutions(text, base + suffix)) substitutions.set(alias, path);
  }
  return { substitutions, label: createMatcher(specifications) };
}

function readTextFile(tree: Directory, path: string, options: RelabelOptions): string | undefined {
  const node = lookup(tree, path);
  if (node === undefined) return undefined;
  if (node.kind !== "file")
    throw new Failure("bad-input", `Cannot read "${path}" of the image: it is a ${node.kind}, wanted a file`);
  const bytes = node.content.kind === "inline" ? node.content.bytes : options.readFile(node);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function parseType(config: string): string | undefined {
  for (const line of config.split("\n")) {
    const equals = line.indexOf("=");
    if (equals !== -1 && line.slice(0, equals).trim().toUpperCase() === "SELINUXTYPE")
      return line.slice(equals + 1).trim();
  }
  return undefined;
}

const LETTERS: Readonly<Record<Node["kind"], string>> = {
  file: "-",
  directory: "d",
  symlink: "l",
  char: "c",
  block: "b",
  fifo: "p",
  socket: "s",
};

function createMatcher(specifications: readonly Specification[]): Policy["label"] {
  const byDirectory = new Map<string, { readonly index: number; readonly specification: Specification }[]>();
  specifications.forEach((specification, index) => {
    const { prefix } = specification;
    const key = prefix.slice(0, prefix.lastIndexOf("/") + 1);
    const list = byDirectory.get(key) ?? [];
    list.push({ index, specification });
    byDirectory.set(key, list);
  });
  return (path, kind) => {
    const letter = LETTERS[kind];
    let best = -1;
    for (let end = path.length; end >= 0; end = parentEnd(path, end)) {
      const list = byDirectory.get(path.slice(0, end));
      for (let at = (list?.length ?? 0) - 1; at >= 0; at--) {
        const candidate = list?.[at];
        if (candidate === undefined || candidate.index <= best) break;
        if (matches(candidate.specification, path, letter)) {
          best = candidate.index;
          break;
        }
      }
    }
    const context = specifications[best]?.context ?? NONE;
    return context === NONE ? "" : context;
  };
}

/** Length of the directory part before `end`, its slash included; 0 comes last, then -1. */
function parentEnd(path: string, end: number): number {
  return end > 1 ? path.lastIndexOf("/", end - 2) + 1 : end - 1;
}

function matches({ type, prefix, pattern }: Specification, path: string, letter: string): boolean {
  return (type === undefined || type === letter) && path.startsWith(prefix) && pattern.test(path);
}
