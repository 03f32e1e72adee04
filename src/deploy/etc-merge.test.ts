import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { ByteName } from "../core/bytes.ts";
import { createDirectory, type Directory, NO_XATTRS, type Node, type Stat, type Xattrs } from "../tree/node.ts";
import { type LiveDirectory, type LiveNode, type MergedNode, mergeEtc } from "./etc-merge.ts";

/** What stands at a path: a file's content, a link's target after `->`, or a directory. Attributes after `|`: mode, xattrs. */
type Spec = { readonly [name: string]: string | Spec };

const stat = (mode: number, xattrs: Xattrs = NO_XATTRS): Stat => ({
  mode,
  uid: 0,
  gid: 0,
  mtimeSec: 0,
  mtimeNsec: 0,
  xattrs,
});

function leafStat(text: string): Stat {
  const attributes = text.split("|")[1];
  if (attributes === undefined) return stat(0o644);
  const [mode = "644", ...pairs] = attributes.split(",");
  const xattrs = new Map(pairs.map((pair) => [pair.split("=")[0] ?? "", Buffer.from(pair.split("=")[1] ?? "")]));
  return stat(Number.parseInt(mode, 8), xattrs);
}

function image(spec: Spec): Directory {
  const directory = createDirectory(stat(Number.parseInt(typeof spec["."] === "string" ? spec["."] : "755", 8)));
  for (const [name, value] of Object.entries(spec)) {
    if (name !== ".") directory.children.set(name as ByteName, imageNode(value));
  }
  return directory;
}

function imageNode(value: string | Spec): Node {
  if (typeof value === "object") return image(value);
  if (value === "fifo") return { kind: "fifo", stat: stat(0o600) };
  if (value.startsWith("->")) return { kind: "symlink", stat: stat(0o777), target: value.slice(2) as ByteName };
  const content = Buffer.from(value.split("|")[0] ?? "");
  return { kind: "file", stat: leafStat(value), size: content.length, content: { kind: "inline", bytes: content } };
}

function live(spec: Spec): LiveDirectory {
  const children = new Map<ByteName, LiveNode>();
  for (const [name, value] of Object.entries(spec)) {
    if (name === ".") continue;
    if (typeof value === "object") children.set(name as ByteName, live(value));
    else if (value.startsWith("->")) {
      children.set(name as ByteName, {
        kind: "symlink",
        stat: stat(0o777),
        path: value,
        target: value.slice(2) as ByteName,
      });
    } else {
      const path = value.split("|")[0] ?? "";
      children.set(name as ByteName, { kind: "file", stat: leafStat(value), path, size: path.length });
    }
  }
  return {
    kind: "directory",
    stat: stat(Number.parseInt(typeof spec["."] === "string" ? spec["."] : "755", 8)),
    children,
  };
}

function show(node: MergedNode): string | Record<string, unknown> {
  if (node.kind === "directory") {
    const entries = [...node.children].map(([name, child]) => [name, show(child)] as const);
    return Object.fromEntries(node.stat.mode === 0o755 ? entries : [[".", node.stat.mode.toString(8)], ...entries]);
  }
  if (node.kind === "live")
    return node.leaf.kind === "symlink" ? `live ->${node.leaf.target}` : `live ${node.leaf.path}`;
  const { leaf } = node;
  if (leaf.kind === "symlink") return `->${leaf.target}`;
  return leaf.kind === "file" && leaf.content.kind === "inline"
    ? Buffer.from(leaf.content.bytes).toString()
    : leaf.kind;
}

function merge(pristine: Spec, current: Spec, next: Spec): { merged: unknown; conflicts: string[]; changes: string[] } {
  const result = mergeEtc({
    pristine: image(pristine),
    live: live(current),
    next: image(next),
    sameContent: (before, now) =>
      before.content.kind === "inline" && Buffer.from(before.content.bytes).toString() === now.path,
  });
  return {
    merged: show(result.merged),
    conflicts: result.conflicts.map(({ path, next: becomes }) => `${path}: ${becomes}`),
    changes: result.changes.map(({ kind, path }) => `${kind} ${path}`),
  };
}

test("the mode that an image gives a symlink is no local change", () => {
  const link = (target: string): Node => ({ kind: "symlink", stat: stat(0o644), target: target as ByteName });
  const etc = (target: string): Directory => {
    const directory = image({});
    directory.children.set("a" as ByteName, link(target));
    return directory;
  };
  const inputs = { pristine: etc("one"), live: live({ a: "->one" }), next: etc("two"), sameContent: () => true };
  const { merged, changes } = mergeEtc(inputs);
  assert.deepEqual([show(merged), changes], [{ a: "->two" }, []]);
});

const CASES: readonly {
  name: string;
  pristine: Spec;
  live: Spec;
  next: Spec;
  merged: Record<string, unknown>;
  conflicts?: string[];
}[] = [
  {
    name: "untouched files follow the image",
    pristine: { a: "1", gone: "1" },
    live: { a: "1", gone: "1" },
    next: { a: "2", new: "3" },
    merged: { a: "2", new: "3" },
  },
  {
    name: "an edit wins over the image's edit",
    pristine: { a: "1" },
    live: { a: "mine" },
    next: { a: "2" },
    merged: { a: "live mine" },
  },
  {
    name: "an edit survives a file that the image drops",
    pristine: { a: "1" },
    live: { a: "mine" },
    next: {},
    merged: { a: "live mine" },
  },
  {
    name: "an added file stays, also against one that the image adds",
    pristine: {},
    live: { a: "mine", b: "x" },
    next: { a: "2" },
    merged: { a: "live mine", b: "live x" },
  },
  {
    name: "a deletion wins",
    pristine: { a: "1", d: { x: "1" } },
    live: {},
    next: { a: "2", d: { x: "2", y: "3" } },
    merged: {},
  },
  {
    name: "a deletion inside a directory",
    pristine: { d: { x: "1", y: "1" } },
    live: { d: { y: "1" } },
    next: { d: { x: "1", y: "2", z: "3" } },
    merged: { d: { y: "2", z: "3" } },
  },
  {
    name: "a changed mode pins the old content",
    pristine: { a: "1|644" },
    live: { a: "1|600" },
    next: { a: "2" },
    merged: { a: "live 1" },
  },
  {
    name: "a changed attribute counts",
    pristine: { a: "1|644,user.x=1" },
    live: { a: "1|644,user.x=2" },
    next: { a: "2" },
    merged: { a: "live 1" },
  },
  {
    name: "a lost attribute counts",
    pristine: { a: "1|644,user.x=1" },
    live: { a: "1|644" },
    next: { a: "2" },
    merged: { a: "live 1" },
  },
  {
    name: "a label's trailing NUL does not count",
    pristine: { a: "1|644,security.selinux=etc_t" },
    live: { a: "1|644,security.selinux=etc_t\0" },
    next: { a: "2" },
    merged: { a: "2" },
  },
  {
    name: "a symlink of other target",
    pristine: { l: "->a" },
    live: { l: "->b" },
    next: { l: "->c" },
    merged: { l: "live ->b" },
  },
  {
    name: "an untouched symlink follows",
    pristine: { l: "->a" },
    live: { l: "->a" },
    next: { l: "->c" },
    merged: { l: "->c" },
  },
  {
    name: "a file replaced by a symlink",
    pristine: { l: "1" },
    live: { l: "->b" },
    next: { l: "2" },
    merged: { l: "live ->b" },
  },
  {
    name: "a symlink replaced by a file",
    pristine: { l: "->b" },
    live: { l: "x" },
    next: { l: "->c" },
    merged: { l: "live x" },
  },
  {
    name: "a directory's own mode",
    pristine: { d: { ".": "755", x: "1" } },
    live: { d: { ".": "700", x: "1" } },
    next: { d: { ".": "711", x: "2" } },
    merged: { d: { ".": "700", x: "2" } },
  },
  {
    name: "an untouched directory takes the image's mode",
    pristine: { d: { x: "1" } },
    live: { d: { x: "1" } },
    next: { d: { ".": "711", x: "1" } },
    merged: { d: { ".": "711", x: "1" } },
  },
  {
    name: "a directory that the image drops comes back for an edit inside",
    pristine: { d: { e: { x: "1", y: "1" } } },
    live: { d: { e: { x: "mine", y: "1" } } },
    next: {},
    merged: { d: { e: { x: "live mine" } } },
  },
  {
    name: "a directory that the image drops goes when nothing inside changed",
    pristine: { d: { x: "1" } },
    live: { d: { x: "1" } },
    next: {},
    merged: {},
  },
  {
    name: "a deletion inside does not bring a dropped directory back",
    pristine: { d: { x: "1", y: "1" } },
    live: { d: { y: "1" } },
    next: {},
    merged: {},
  },
  {
    name: "an added empty directory",
    pristine: {},
    live: { d: { ".": "700" } },
    next: {},
    merged: { d: { ".": "700" } },
  },
  {
    name: "an added directory joins the image's new one",
    pristine: {},
    live: { d: { x: "mine" } },
    next: { d: { y: "2" } },
    merged: { d: { x: "live mine", y: "2" } },
  },
  {
    name: "the image turns an untouched directory into a file",
    pristine: { d: { x: "1" } },
    live: { d: { x: "1" } },
    next: { d: "2" },
    merged: { d: "2" },
  },
  {
    name: "the image turns an untouched file into a directory",
    pristine: { a: "1" },
    live: { a: "1" },
    next: { a: { x: "2" } },
    merged: { a: { x: "2" } },
  },
  {
    name: "a local directory in the place of a file stays",
    pristine: { a: "1" },
    live: { a: { x: "mine" } },
    next: { a: "2" },
    merged: { a: { x: "live mine" } },
  },
  {
    name: "a local symlink in the place of a directory stays",
    pristine: { d: { x: "1" } },
    live: { d: "->/var/d" },
    next: { d: { x: "2" } },
    merged: { d: "live ->/var/d" },
  },
  { name: ".updated is dropped", pristine: {}, live: { ".updated": "x" }, next: {}, merged: {} },
  {
    name: "the image's own pipe is no deletion",
    pristine: { p: "fifo" },
    live: {},
    next: { p: "fifo" },
    merged: { p: "fifo" },
  },
  { name: "the root takes the image's mode", pristine: {}, live: { ".": "700" }, next: {}, merged: {} },
  {
    name: "an added file meets the image's new directory",
    pristine: {},
    live: { a: "mine" },
    next: { a: { x: "2" } },
    merged: {},
    conflicts: ["a: directory"],
  },
  {
    name: "an edited file becomes a directory in the image",
    pristine: { a: "1" },
    live: { a: "mine" },
    next: { a: { x: "2" } },
    merged: {},
    conflicts: ["a: directory"],
  },
  {
    name: "an added directory meets the image's new file",
    pristine: {},
    live: { d: { x: "mine" } },
    next: { d: "2" },
    merged: {},
    conflicts: ["d: file"],
  },
  {
    name: "an edited directory becomes a file in the image",
    pristine: { d: { x: "1" } },
    live: { d: { x: "mine" } },
    next: { d: "2" },
    merged: {},
    conflicts: ["d: file"],
  },
  {
    name: "a directory of changed mode becomes a symlink in the image",
    pristine: { d: {} },
    live: { d: { ".": "700" } },
    next: { d: "->e" },
    merged: {},
    conflicts: ["d: file"],
  },
  {
    name: "all conflicts are told at once",
    pristine: { a: "1", z: { d: { x: "1" } } },
    live: { a: "mine", z: { d: { x: "mine" } } },
    next: { a: { x: "2" }, z: { d: "2" } },
    merged: { z: {} },
    conflicts: ["a: directory", "z/d: file"],
  },
];

for (const { name, pristine, live: current, next, merged, conflicts } of CASES) {
  test(`mergeEtc(): ${name}`, () => {
    const result = merge(pristine, current, next);
    assert.deepEqual(result.conflicts, conflicts ?? []);
    assert.deepEqual(result.merged, merged);
  });
}

test("mergeEtc() lists what the machine changed", () => {
  const result = merge(
    { kept: "1", edited: "1", deleted: "1", d: { x: "1" } },
    { kept: "1", edited: "2", added: "1", d: { ".": "700", x: "1", y: "2" } },
    {},
  );
  assert.deepEqual(result.changes, ["added added", "modified d", "added d/y", "removed deleted", "modified edited"]);
});
