import assert from "node:assert/strict";
import { test } from "node:test";
import { directory, file, object, symlink } from "../../test/support/trees.ts";
import { isFailure } from "../core/failure.ts";
import { bootTransform } from "./boot-transform.ts";
import type { Directory, FileLeaf, Node } from "./node.ts";
import { ociTransform } from "./oci-transform.ts";
import { relabel } from "./selinux.ts";
import { lookup, walk } from "./walk.ts";

const noObjects = (): Buffer => assert.fail("no object is needed");

function xattrs(...names: readonly string[]): { xattrs: Map<string, Uint8Array> } {
  return { xattrs: new Map(names.map((name) => [name, Buffer.from(name)])) };
}

test("ociTransform() keeps user xattrs only when told to", () => {
  const tree = directory({
    usr: directory({ f: file("f", xattrs("user.a", "security.capability", "security.ima", "trusted.x")) }),
  });
  assert.deepEqual([...(lookup(ociTransform(tree), "usr/f")?.stat.xattrs.keys() ?? [])], ["security.capability"]);
  const kept = ociTransform(tree, { keepUserXattrs: true });
  assert.deepEqual([...(lookup(kept, "usr/f")?.stat.xattrs.keys() ?? [])], ["user.a", "security.capability"]);
});

test("ociTransform() leaves /run alone when it is no directory", () => {
  assert.equal(lookup(ociTransform(directory({ usr: directory(), run: symlink("var/run") })), "run")?.kind, "symlink");
});

for (const [what, tree] of [
  ["without /usr", directory({ boot: directory(), sysroot: directory() })],
  ["whose /usr is a symlink", directory({ usr: symlink("x") })],
] as const) {
  test(`ociTransform() rejects a tree ${what}`, () => {
    assert.throws(
      () => ociTransform(tree),
      (error: unknown) => isFailure(error, "bad-input") && /\/usr .*, wanted a directory/.test(error.message),
    );
  });
}

for (const name of ["boot", "sysroot"]) {
  test(`bootTransform() rejects a tree without /${name}`, () => {
    const tree = directory({ usr: directory(), boot: directory(), sysroot: directory() });
    tree.children.delete(name as never);
    assert.throws(
      () => bootTransform(tree, { readFile: noObjects }),
      new RegExp(`/${name} is missing, wanted a directory`),
    );
  });
}

/** A tree with a policy of the given text files. */
function withPolicy(files: Readonly<Record<string, string>>, more: Readonly<Record<string, Node>> = {}): Directory {
  const policy = Object.fromEntries(Object.entries(files).map(([name, text]) => [name, file(text)]));
  return directory({
    etc: directory({
      selinux: directory({
        config: file("# SELINUXTYPE=no\nSELINUX=enforcing\n selinuxtype = my \n"),
        my: directory({ contexts: directory({ files: directory(policy) }) }),
      }),
    }),
    ...more,
  });
}

function labels(tree: Directory): Record<string, string> {
  const relabelled = relabel(tree, { readFile: noObjects });
  const all = [...walk(relabelled)].map(({ path, node }): [string, string] => {
    return [path, Buffer.from(node.stat.xattrs.get("security.selinux") ?? []).toString()];
  });
  return Object.fromEntries(all.filter(([path]) => !path.startsWith("/etc")));
}

test("relabel(): the last specification that matches wins, types and <<none>> count", () => {
  const contexts =
    "/.* all\n/a -d dir\n/a/.*\t--\tfile\n/a/none <<none>>\n/a/none/[[:digit:]]+ deep\n/a\\.b dot\n/(x|y)z? alt\n/q|/r top\n/lit+ plus\n";
  const tree = withPolicy(
    { file_contexts: contexts, "file_contexts.local": "/a/local local\n", "file_contexts.homedirs": "/a/lo.* home\n" },
    {
      a: directory({
        f: file("f"),
        s: symlink("x"),
        local: file("l"),
        none: directory({ "12": file("n"), x: symlink("y") }),
      }),
      "a.b": file("x"),
      axb: file("x"),
      yz: file("x"),
      r: file("r"),
      li: file("x"),
      littt: file("x"),
    },
  );
  assert.deepEqual(labels(tree), {
    "/": "all",
    "/a": "dir",
    "/a/f": "file",
    "/a/local": "home",
    "/a/none": "",
    "/a/none/12": "deep",
    "/a/none/x": "all",
    "/a/s": "all",
    "/a.b": "dot",
    "/axb": "all",
    "/li": "all",
    "/littt": "plus",
    "/r": "top",
    "/yz": "alt",
  });
});

test("relabel() reads a policy of more lines than a call takes arguments", () => {
  const contexts = `/ top\n${Array.from({ length: 130_000 }, (_, i) => `/${i} other\n`).join("")}`;
  assert.deepEqual(labels(withPolicy({ file_contexts: contexts }, {})), { "/": "top" });
});

test("relabel() follows substitutions for the alias and everything below it", () => {
  const tree = withPolicy(
    {
      file_contexts: "/home(/.*)? home\n/var(/.*)? var\n",
      "file_contexts.subs": "/var/home /home\n",
      "file_contexts.subs_dist": "/var/f\t/home/f\n",
    },
    { var: directory({ home: directory({ u: directory({ x: file("x") }) }), homer: file("r"), f: file("f") }) },
  );
  assert.deepEqual(labels(tree), {
    "/": "",
    "/var": "var",
    "/var/f": "home",
    "/var/home": "home",
    "/var/home/u": "home",
    "/var/home/u/x": "home",
    "/var/homer": "var",
  });
});

test("relabel() splits a file whose names get different labels, and keeps the others together", () => {
  const leaf = file("x");
  const tree = withPolicy({ file_contexts: "/a one\n/b one\n/c two\n" }, { a: leaf, b: leaf, c: leaf });
  const relabelled = relabel(tree, { readFile: noObjects });
  assert.equal(lookup(relabelled, "a"), lookup(relabelled, "b"));
  assert.notEqual(lookup(relabelled, "a"), lookup(relabelled, "c"));
  assert.equal(leaf.stat.xattrs.size, 0);
});

test("relabel() without a policy removes labels and keeps all else", () => {
  const leaf = file("x", xattrs("security.selinux", "security.capability"));
  const tree = directory({
    etc: directory({ selinux: directory({ config: file("SELINUX=disabled\n") }) }),
    a: leaf,
    b: leaf,
  });
  const relabelled = relabel(tree, { readFile: noObjects });
  assert.deepEqual([...(lookup(relabelled, "a")?.stat.xattrs.keys() ?? [])], ["security.capability"]);
  assert.equal(lookup(relabelled, "a"), lookup(relabelled, "b"));
});

test("relabel() reads a policy that is an object through readFile", () => {
  const tree = withPolicy({}, { a: file("a") });
  const files = lookup(tree, "/etc/selinux/my/contexts/files");
  const policy = object("ab".repeat(64));
  if (files?.kind === "directory") files.children.set("file_contexts" as never, policy);
  const asked: FileLeaf[] = [];
  const relabelled = relabel(tree, {
    readFile(leaf) {
      asked.push(leaf);
      return Buffer.from("/a ctx\n");
    },
  });
  assert.deepEqual(asked, [policy]);
  assert.equal(Buffer.from(lookup(relabelled, "a")?.stat.xattrs.get("security.selinux") ?? []).toString(), "ctx");
});

const malformed: readonly (readonly [what: string, files: Readonly<Record<string, string>>, message: RegExp])[] = [
  ["that is missing", {}, /policy file ".*\/file_contexts" is missing/],
  ["without a context", { file_contexts: "# x\n/a\n" }, /line 2: it has no context/],
  ["without a context after a type", { file_contexts: "/a --\n" }, /line 1: it has no context/],
  ["with an unknown type", { file_contexts: "/a -x ctx\n" }, /unknown file type "-x"/],
  ["with words after the context", { file_contexts: "/a ctx more\n" }, /words follow the context/],
  ["with a bad expression", { file_contexts: "/a( ctx\n" }, /"\/a\(" is not a regular expression/],
  [
    "with a bad substitution",
    { file_contexts: "", "file_contexts.subs": "/a\n" },
    /it has 1 words, wanted an alias and a path/,
  ],
];

for (const [what, files, message] of malformed) {
  test(`relabel() rejects a policy ${what}`, () => {
    assert.throws(
      () => relabel(withPolicy(files), { readFile: noObjects }),
      (error: unknown) => isFailure(error, "bad-input") && message.test(error.message),
    );
  });
}

test("relabel() rejects a policy file that is a directory", () => {
  const tree = withPolicy({});
  const files = lookup(tree, "/etc/selinux/my/contexts/files");
  if (files?.kind === "directory") files.children.set("file_contexts" as never, directory());
  assert.throws(() => relabel(tree, { readFile: noObjects }), /it is a directory, wanted a file/);
});
