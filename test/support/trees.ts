/** Trees for tests: short makers, and arbitrary trees for fast-check. */
import fc from "fast-check";
import type { ByteName } from "../../src/core/bytes.ts";
import {
  createDirectory,
  type Directory,
  type FileLeaf,
  type Leaf,
  type Node,
  NO_XATTRS,
  type Stat,
} from "../../src/tree/node.ts";

export function stat(change: Partial<Stat> = {}): Stat {
  return { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, xattrs: NO_XATTRS, ...change };
}

export function directory(children: Readonly<Record<string, Node>> = {}, change: Partial<Stat> = {}): Directory {
  const made = createDirectory(stat({ mode: 0o755, ...change }));
  for (const [name, child] of Object.entries(children)) made.children.set(name as ByteName, child);
  return made;
}

export function file(text: string, change: Partial<Stat> = {}): FileLeaf {
  const bytes = Buffer.from(text);
  return { kind: "file", stat: stat(change), size: bytes.length, content: { kind: "inline", bytes } };
}

export function object(objectId: string, size = 100, change: Partial<Stat> = {}): FileLeaf {
  return { kind: "file", stat: stat(change), size, content: { kind: "external", objectId } };
}

export function symlink(target: string, change: Partial<Stat> = {}): Leaf {
  return { kind: "symlink", stat: stat({ mode: 0o777, ...change }), target: target as ByteName };
}

const bytes = (min: number, max: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: min, maxLength: max });

const names = bytes(1, 12)
  .map((value) => Buffer.from(value).toString("latin1").replace(/[\0/]/g, "_"))
  .filter((name) => name !== "." && name !== "..");

const xattrNames = fc
  .tuple(
    fc.constantFrom("user.", "trusted.", "trusted.overlay.", "security.", "system.posix_acl_access", "lustre.", ""),
    names,
  )
  .map(([prefix, name]) => prefix + name);

const stats: fc.Arbitrary<Stat> = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.constantFrom(0, 1000, 65535, 65536, 0xffffffff),
  gid: fc.constantFrom(0, 5, 65536),
  mtimeSec: fc.constantFrom(0, 1, -1, 1_700_000_000),
  mtimeNsec: fc.constantFrom(0, 1, 999_999_999),
  xattrs: fc
    .array(fc.tuple(xattrNames, bytes(0, 20)), { maxLength: 3 })
    .map((items) =>
      items.length === 0 ? NO_XATTRS : new Map(items.map(([name, value]) => [name, Buffer.from(value)])),
    ),
});

const objectIds = bytes(32, 32).map((value) => Buffer.from(value).toString("hex"));

const leaves: fc.Arbitrary<Leaf> = fc.oneof(
  fc.tuple(stats, bytes(0, 5000)).map(([itsStat, value]): Leaf => {
    return { kind: "file", stat: itsStat, size: value.length, content: { kind: "inline", bytes: Buffer.from(value) } };
  }),
  fc
    .tuple(stats, fc.constantFrom(1, 4096, 2 ** 33, 2 ** 44), fc.option(objectIds, { nil: undefined }))
    .map(([itsStat, size, objectId]): Leaf => {
      return { kind: "file", stat: itsStat, size, content: { kind: "external", objectId } };
    }),
  fc.tuple(stats, bytes(1, 4095)).map(([itsStat, value]): Leaf => {
    return {
      kind: "symlink",
      stat: itsStat,
      target: Buffer.from(value).toString("latin1").replaceAll("\0", "_") as ByteName,
    };
  }),
  fc
    .tuple(stats, fc.constantFrom("char" as const, "block" as const), fc.integer({ min: 1, max: 0xffffffff }))
    .map(([itsStat, kind, rdev]): Leaf => {
      return { kind, stat: itsStat, rdev };
    }),
  fc
    .tuple(stats, fc.constantFrom("fifo" as const, "socket" as const))
    .map(([itsStat, kind]): Leaf => ({ kind, stat: itsStat })),
);

/** Trees with hard links, binary names and odd xattrs, of which reading what was written gives the same tree. */
export const trees: fc.Arbitrary<Directory> = fc
  .tuple(
    fc.array(leaves, { minLength: 1, maxLength: 8 }),
    fc.array(fc.tuple(fc.nat(), fc.nat(), names, stats), { maxLength: 30 }),
    stats,
  )
  .map(([pool, steps, rootStat]) => {
    const root = createDirectory(rootStat);
    const directories = [root];
    for (const [where, what, name, itsStat] of steps) {
      const parent = directories[where % directories.length] ?? root;
      const leaf = pool[what % (pool.length * 2)];
      if (parent.children.has(name as ByteName)) continue;
      const node = leaf ?? createDirectory(itsStat);
      if (node.kind === "directory") directories.push(node);
      parent.children.set(name as ByteName, node);
    }
    return root;
  });
