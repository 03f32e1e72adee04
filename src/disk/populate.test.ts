import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost, type FakeEntry, type FakeHost } from "../host/fake.ts";
import { type Population, populate, quoteForDebugfs } from "./populate.ts";

const options = { tree: "/t", objects: "/composefs/objects", hashBytes: 64, epoch: 1000, scratch: "/scratch" };

function run(files: Readonly<Record<string, FakeEntry>>, prepare: (host: FakeHost) => void = () => {}): Population {
  const host = createFakeHost({ files: { ...files, "/scratch": { directory: true } } });
  prepare(host);
  return populate(host, options);
}

const times = (path: string, mtime = 1000): string[] => [
  `sif ${path} ctime @1000`,
  `sif ${path} atime @1000`,
  `sif ${path} mtime @${mtime}`,
];

test("populate() goes by name order, leaves first, and settles a directory after its children", () => {
  const { commands } = run(
    { "/t/b/x": "1", "/t/a": { content: "2", mode: 0o600, uid: 5, gid: 6 }, "/t/c": { symlink: "a b" } },
    (host) => {
      host.files.setTimes("/t/a", 7, 0);
    },
  );
  assert.deepEqual(commands, [
    "mkdir /b",
    "cd /",
    "write /t/a a",
    "sif /a mode 0100600",
    "sif /a uid 5",
    "sif /a gid 6",
    ...times("/a", 7),
    'symlink c "a b"',
    ...times("/c"),
    "cd /b",
    "write /t/b/x x",
    "sif /b/x mode 0100644",
    ...times("/b/x"),
    "sif /b mode 040755",
    ...times("/b"),
    "sif / mode 040755",
    ...times("/"),
  ]);
});

test("populate() gives objects their tail blocks, size and flag", () => {
  const { commands, objects } = run({ "/t/composefs/objects/ab/cd": "x".repeat(5000), "/t/composefs/meta.json": "{}" });
  const at = commands.indexOf("write /t/composefs/objects/ab/cd cd");
  assert.deepEqual(commands.slice(at - 1, at + 9), [
    "cd /composefs/objects/ab",
    "write /t/composefs/objects/ab/cd cd",
    "bmap -a cd 16",
    "bmap -a cd 17",
    "sif cd size 5000",
    "sif cd flags 0x180000",
    "sif cd mode 0100644",
    ...times("cd"),
  ]);
  assert.deepEqual(objects, [{ id: "abcd", source: "/t/composefs/objects/ab/cd", sizeBytes: 5000, tailBlocks: 2 }]);
});

test("populate() keeps hard links, devices, pipes and attributes", () => {
  const { commands } = run({ "/t/a": "1" }, (host) => {
    host.files.link("/t/a", "/t/b");
    host.files.link("/t/a", "/t/c");
    host.files.makeNode("/t/d", "char", 0o660, (5 << 8) | 1);
    host.files.makeNode("/t/e", "fifo", 0o600, 0);
    host.files.setXattr("/t/a", "user.k", Buffer.from("v"));
  });
  for (const line of [
    "ln /a /b",
    "sif /b links_count 2",
    "ln /a /c",
    "sif /c links_count 3",
    "mknod d c 5 1",
    "sif /d mode 020660",
    "mknod e p",
    "sif /e mode 010600",
    "ea_set -f /scratch/0 /a user.k",
  ]) {
    assert.ok(commands.includes(line), line);
  }
});

test("populate() rejects what debugfs cannot be told", () => {
  assert.throws(() => run({ "/t/a\nb": "x" }), RangeError);
  assert.throws(() => run({ "/t/a": "" }, (host) => host.files.makeNode("/t/s", "socket", 0o600, 0)), RangeError);
});

test("quoteForDebugfs() quotes blanks, quotes and brackets", () => {
  assert.equal(quoteForDebugfs("/a/b-1.c"), "/a/b-1.c");
  assert.equal(quoteForDebugfs('/a b/"c"'), '"/a b/""c"""');
  assert.equal(quoteForDebugfs("<5>"), '"<5>"');
});
