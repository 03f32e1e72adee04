/** The directory-tree half of the fake host's Files: names, links, nodes, removal, each change one crash point. */
import { compareBytes } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { systemFailure } from "./errors.ts";
import type { Inode } from "./fake-disk.ts";
import type { FakeMount, FakeWorld, Place } from "./fake-world.ts";
import type { Files, FileStat } from "./host.ts";

type TreeCalls =
  | "exists"
  | "lstat"
  | "stat"
  | "version"
  | "list"
  | "listIfAny"
  | "makeDirectory"
  | "temporaryDirectory"
  | "remove"
  | "rename"
  | "exchange"
  | "link"
  | "symlink"
  | "readlink"
  | "realpath"
  | "makeNode";

export interface FakeTree {
  readonly calls: Pick<Files, TreeCalls>;
  /** undefined when a directory on the way is missing. */
  findIfAny(path: string, options?: { follow: boolean }): Place | undefined;
  insert(call: string, path: string, place: Place, child: Inode): void;
  setMode(inode: Inode, mode: number): void;
  refuseReadOnly(call: string, path: string, mount: FakeMount): void;
  parentOf(path: string): string;
  temporaryName(path: string): string;
}

export function createFakeTree(world: FakeWorld, random: (sizeBytes: number) => Buffer): FakeTree {
  const findIfAny: FakeTree["findIfAny"] = (path, options = { follow: true }) => {
    try {
      return world.walk("stat", path, options);
    } catch (error) {
      if (error instanceof Failure && (error.code === "not-found" || / ENOTDIR,/.test(error.message))) return undefined;
      throw error;
    }
  };
  const refuseReadOnly: FakeTree["refuseReadOnly"] = (call, path, mount) => {
    if (mount.readOnly) throw systemFailure({ call, path }, "EROFS");
  };
  const insert: FakeTree["insert"] = (call, path, place, child) => {
    if (place.inode !== undefined) throw systemFailure({ call, path }, "EEXIST");
    refuseReadOnly(call, path, place.mount);
    world.mutate(call, path, () => world.disk.setName(place.directory, place.name, child));
  };
  const setMode: FakeTree["setMode"] = (inode, mode) => {
    const before = inode.mode;
    world.disk.change(
      [inode],
      () => void (inode.mode = mode & 0o7777),
      () => void (inode.mode = before),
    );
  };
  const tree: Omit<FakeTree, "calls"> = {
    findIfAny,
    insert,
    setMode,
    refuseReadOnly,
    parentOf,
    temporaryName: (path) => {
      const at = path.lastIndexOf("/") + 1;
      return `${path.slice(0, at)}.${path.slice(at)}.${random(6).toString("hex")}.tmp`;
    },
  };
  return { ...tree, calls: { ...lookups(world, tree), ...changes(world, tree, random) } };
}

function lookups(
  world: FakeWorld,
  tree: Omit<FakeTree, "calls">,
): Pick<Files, "exists" | "lstat" | "stat" | "version" | "list" | "listIfAny" | "readlink" | "realpath"> {
  const stat = (path: string, follow: boolean): FileStat | undefined => {
    const place = tree.findIfAny(path, { follow });
    return place?.inode === undefined ? undefined : toFileStat(place.inode, place.inodeMount);
  };
  const names = (inode: Inode, path: string): string[] => {
    if (inode.kind !== "directory") throw systemFailure({ call: "list", path }, "ENOTDIR");
    return [...inode.children.keys()].sort(compareBytes);
  };
  return {
    exists: (path) => stat(path, false) !== undefined,
    lstat: (path) => stat(path, false),
    stat: (path) => stat(path, true),
    version: (path) => {
      const found = stat(path, true);
      if (found === undefined) return undefined;
      const { ino, size, mtimeSec, mtimeNsec } = found;
      const modifiedMs = mtimeSec * 1000 + mtimeNsec / 1e6;
      return { ino, size, modifiedMs, changedMs: modifiedMs };
    },
    list: (path) => names(world.find("list", path, { follow: true }).inode, path),
    listIfAny: (path) => {
      const inode = tree.findIfAny(path)?.inode;
      return inode?.kind === "directory" ? names(inode, path) : [];
    },
    readlink: (path) => {
      const { inode } = world.find("read link", path, { follow: false });
      if (inode.kind !== "symlink") throw systemFailure({ call: "read link", path }, "EINVAL");
      return inode.target;
    },
    realpath: (path) => world.find("resolve", path, { follow: true }).path,
  };
}

type Changes =
  | "makeDirectory"
  | "temporaryDirectory"
  | "remove"
  | "rename"
  | "exchange"
  | "link"
  | "symlink"
  | "makeNode";

function changes(
  world: FakeWorld,
  tree: Omit<FakeTree, "calls">,
  random: (sizeBytes: number) => Buffer,
): Pick<Files, Changes> {
  const { disk } = world;
  const placeOf = (path: string): Place => {
    try {
      return world.walk("make directory", path, { follow: false });
    } catch (error) {
      if (!isFailure(error, "not-found") || parentOf(path) === path) throw error;
    }
    makeDirectory(parentOf(path));
    return world.walk("make directory", path, { follow: false });
  };
  const makeDirectory: Files["makeDirectory"] = (path, options = {}) => {
    const place = placeOf(path);
    if (place.inode !== undefined && isDirectory(tree, path)) return;
    tree.insert("make directory", path, place, disk.create("directory", { mode: options.mode ?? 0o755 }));
  };
  const remove = (path: string): void => {
    const place = tree.findIfAny(path, { follow: false });
    if (place?.inode === undefined) return;
    refuseMounts(world, path, place.path);
    removeBelow(world, tree, path, place.mount, place.directory, place.name);
  };
  /** Temporary directories whose maker lives. */
  const held = new Set<string>();
  const removeAbandoned = (prefix: string): void => {
    const at = prefix.lastIndexOf("/") + 1;
    const folder = tree.findIfAny(prefix.slice(0, at))?.inode;
    if (folder?.kind !== "directory") return;
    for (const [name, { kind }] of [...folder.children]) {
      const path = `${prefix.slice(0, at)}${name}`;
      const isOne = path.startsWith(prefix) && /^[0-9a-f]{12}$/.test(path.slice(prefix.length));
      if (!isOne || kind !== "directory" || held.has(path)) continue;
      try {
        remove(path);
      } catch (error) {
        if (!isFailure(error, "busy")) throw error;
      }
    }
  };
  return {
    makeDirectory,
    remove,
    temporaryDirectory: (prefix) => {
      removeAbandoned(prefix);
      const path = `${prefix}${random(6).toString("hex")}`;
      const place = world.walk("make temporary directory", path, { follow: false });
      tree.insert("make directory", path, place, disk.create("directory", { mode: 0o700 }));
      held.add(path);
      return {
        path,
        [Symbol.dispose]: () => {
          held.delete(path);
          remove(path);
        },
      };
    },
    rename: (from, to) => rename(world, tree, from, to),
    exchange: (left, right) => {
      const where = { call: "exchange", path: left, other: right };
      const [one, two] = findBoth(world, where);
      if (one.mount !== two.mount) throw systemFailure(where, "EXDEV");
      if (one.path.startsWith(`${two.path}/`) || two.path.startsWith(`${one.path}/`))
        throw systemFailure(where, "EINVAL");
      tree.refuseReadOnly("exchange", left, one.mount);
      world.mutate("exchange", `${left} ${right}`, () => {
        swap(world, one, two);
      });
    },
    link: (existing, path) => {
      const where = { call: "link", path: existing, other: path };
      const source = world.find("link", existing, { follow: false });
      const place = world.walk("link", path, { follow: false });
      if (place.inode !== undefined) throw systemFailure(where, "EEXIST");
      if (place.mount !== source.mount) throw systemFailure(where, "EXDEV");
      if (source.inode.kind === "directory") throw systemFailure(where, "EPERM");
      tree.insert("link", path, place, source.inode);
    },
    symlink: (target, path) => {
      const place = world.walk("make symlink", path, { follow: false });
      tree.insert("make symlink", path, place, disk.create("symlink", { mode: 0o777, target }));
    },
    makeNode: (path, kind, mode, rdev) => {
      const place = world.walk("make node", path, { follow: false });
      tree.insert("make node", path, place, disk.create(kind, { mode: mode & 0o7777, rdev }));
    },
  };
}

/** Both, their directories first: as the kernel looks them up. */
function findBoth(
  world: FakeWorld,
  where: { call: string; path: string; other: string },
): [Place & { inode: Inode }, Place & { inode: Inode }] {
  world.walk(where.call, where.path, { follow: false });
  world.walk(where.call, where.other, { follow: false });
  return [
    world.find(where.call, where.path, { follow: false }),
    world.find(where.call, where.other, { follow: false }),
  ];
}

/** A loop of symlinks is none. */
function isDirectory(tree: Omit<FakeTree, "calls">, path: string): boolean {
  try {
    return tree.findIfAny(path)?.inode?.kind === "directory";
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

function rename(world: FakeWorld, tree: Omit<FakeTree, "calls">, from: string, to: string): void {
  const where = { call: "rename", path: from, other: to };
  world.walk("rename", from, { follow: false });
  const target = world.walk("rename", to, { follow: false });
  const source = world.find("rename", from, { follow: false });
  if (source.mount !== target.mount) throw systemFailure(where, "EXDEV");
  tree.refuseReadOnly("rename", from, source.mount);
  if (source.inode !== source.directory.children.get(source.name)) throw systemFailure(where, "EBUSY");
  if (source.inode === target.inode) return;
  if (target.path.startsWith(`${source.path}/`)) throw systemFailure(where, "EINVAL");
  if (source.path.startsWith(`${target.path}/`)) throw systemFailure(where, "ENOTEMPTY");
  if (target.inode !== undefined) {
    const [moves, lies] = [source.inode.kind === "directory", target.inode.kind === "directory"];
    if (moves && !lies) throw systemFailure(where, "ENOTDIR");
    if (!moves && lies) throw systemFailure(where, "EISDIR");
    if (target.inode.children.size > 0) throw systemFailure(where, "ENOTEMPTY");
  }
  world.mutate("rename", `${from} ${to}`, () => {
    moveName(world, source, target);
  });
}

/** Both names change in one journal entry: a crash sees the old names or the new. */
function moveName(world: FakeWorld, source: Place, target: Place): void {
  world.disk.together([source.directory, target.directory], () => {
    world.disk.setName(source.directory, source.name, undefined);
    world.disk.setName(target.directory, target.name, source.inode);
  });
}

function swap(world: FakeWorld, one: Place, two: Place): void {
  world.disk.together([one.directory, two.directory], () => {
    world.disk.setName(one.directory, one.name, undefined);
    world.disk.setName(two.directory, two.name, one.inode);
    world.disk.setName(one.directory, one.name, two.inode);
  });
}

function removeBelow(
  world: FakeWorld,
  tree: Omit<FakeTree, "calls">,
  path: string,
  mount: FakeMount,
  directory: Inode,
  name: string,
): void {
  const inode = directory.children.get(name);
  if (inode === undefined) return;
  for (const child of inode.children.keys()) removeBelow(world, tree, `${path}/${child}`, mount, inode, child);
  tree.refuseReadOnly("remove", path, mount);
  world.mutate("remove", path, () => world.disk.setName(directory, name, undefined));
}

function refuseMounts(world: FakeWorld, path: string, real: string): void {
  const below = world.mounts.find(({ target, id }) => id !== 0 && (target === real || target.startsWith(`${real}/`)));
  if (below === undefined) return;
  throw new Failure(
    "busy",
    `Cannot remove ${JSON.stringify(path)}: a file system is mounted on ${JSON.stringify(below.target)}`,
  );
}

function toFileStat(inode: Inode, mount: FakeMount): FileStat {
  return {
    kind: inode.kind,
    mode: inode.mode,
    uid: inode.uid,
    gid: inode.gid,
    size: inode.kind === "symlink" ? inode.target.length : inode.kind === "directory" ? 4096 : inode.size,
    allocatedBytes: Math.ceil(inode.size / 4096) * 4096,
    nlink: inode.nlink,
    rdev: inode.rdev,
    dev: mount.id + 1,
    ino: inode.ino,
    mtimeSec: inode.mtimeSec,
    mtimeNsec: inode.mtimeNsec,
  };
}

function parentOf(path: string): string {
  const at = path.replace(/\/+$/, "").lastIndexOf("/");
  return at <= 0 ? "/" : path.slice(0, at);
}
