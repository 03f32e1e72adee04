/**
 * Files of the fake host: the same behaviour as linux-files.ts for root, over a FakeWorld. Compound calls (replace, remove of a
 * tree, copy) are made of the same steps as the real ones, so that the power can go between any two of them.
 */
import { digestOf } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { notAFile, notReplaceable, systemFailure } from "./errors.ts";
import { createFakeAttributes } from "./fake-attributes.ts";
import type { Inode } from "./fake-disk.ts";
import { createFakeTree, type FakeTree } from "./fake-tree.ts";
import type { FakeWorld } from "./fake-world.ts";
import type { Files, Lock, OpenFile, OpenMode } from "./host.ts";

export interface FakeFilesOptions {
  /** Of the whole disk; writing past it is "no-space". */
  readonly totalBytes: number | undefined;
  readonly verity: boolean;
  readonly random: (sizeBytes: number) => Buffer;
}

export function createFakeFiles(world: FakeWorld, options: FakeFilesOptions): Files {
  const tree = createFakeTree(world, options.random);
  const attributes = createFakeAttributes(world, options.verity);
  return { ...tree.calls, ...attributes, ...createContent(world, tree, attributes, options) };
}

type ContentCalls =
  | "read"
  | "readText"
  | "readTextIfAny"
  | "write"
  | "replace"
  | "replaceSymlink"
  | "open"
  | "copy"
  | "truncate"
  | "sync"
  | "syncInBackground"
  | "syncFileSystem"
  | "lock"
  | "space"
  | "readStream"
  | "openDigester";

function createContent(
  world: FakeWorld,
  tree: FakeTree,
  attributes: Pick<Files, "chown">,
  options: FakeFilesOptions,
): Pick<Files, ContentCalls> {
  const content = contentOf(world, tree, options);
  const read: Files["read"] = (path) => content.read(path);
  const write: Files["write"] = (path, bytes, settings) => content.write(path, bytes, settings);
  return {
    read,
    readText: (path) => read(path).toString("utf8"),
    readTextIfAny: (path) => (tree.findIfAny(path)?.inode === undefined ? undefined : read(path).toString("utf8")),
    write,
    replace: (path, bytes, settings = {}) => {
      const kind = tree.findIfAny(path)?.inode?.kind ?? "file";
      if (kind !== "file" && kind !== "directory") throw notReplaceable(path);
      const temporary = tree.temporaryName(path);
      write(temporary, bytes, settings);
      if (settings.owner !== undefined) attributes.chown(temporary, settings.owner.uid, settings.owner.gid);
      content.sync(temporary);
      renameOrRemove(tree, temporary, path);
      content.sync(tree.parentOf(path));
    },
    replaceSymlink: (path, target) => {
      const temporary = tree.temporaryName(path);
      tree.calls.symlink(target, temporary);
      renameOrRemove(tree, temporary, path);
      content.sync(tree.parentOf(path));
    },
    open: (path, mode, permissions) => openFile(world, content, path, mode, permissions),
    copy: (from, to) => {
      const bytes = read(from);
      const same = tree.findIfAny(to)?.inode === world.find("copy", from, { follow: true }).inode;
      if (same) throw systemFailure({ call: "copy", path: from, other: to }, "EINVAL");
      write(to, bytes, { mode: world.find("copy", from, { follow: true }).inode.mode });
    },
    truncate: (path, sizeBytes) => {
      const { inode, inodeMount } = world.find("truncate", path, { follow: true });
      if (inode.kind === "directory") throw systemFailure({ call: "truncate", path }, "EISDIR");
      refuseRendezvous("truncate", path, inode);
      tree.refuseReadOnly("truncate", path, inodeMount);
      content.room("truncate", path, sizeBytes - inode.size);
      world.mutate("truncate", path, () => world.disk.resize(inode, sizeBytes));
    },
    sync: (path) => content.sync(path),
    syncInBackground: async (path) => content.sync(path),
    syncFileSystem: (path) => {
      world.find("sync the file system of", path, { follow: true });
      world.mutate("sync file system", path, () => world.disk.syncAll());
    },
    lock: (path, how, settings) => lock(world, content, path, how, settings),
    space: (path) => {
      world.find("measure space at", path, { follow: true });
      const totalBytes = options.totalBytes ?? 2 ** 40;
      return { freeBytes: Math.max(0, totalBytes - world.disk.usedBytes()), totalBytes };
    },
    readStream: (path, range = {}) => {
      const pieces = async function* (pieceBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
        const bytes = read(path).subarray(range.start ?? 0, range.end);
        for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
      };
      return { [Symbol.asyncIterator]: () => pieces(1 << 20), into: (buffer) => pieces(buffer.length) };
    },
    openDigester: (path, algorithm) => ({
      grown() {},
      digest: async (sizeBytes) => digestOf(read(path).subarray(0, sizeBytes), algorithm),
      [Symbol.dispose]() {},
    }),
  };
}

/** The real host leaves no temporary file behind when the rename fails. */
function renameOrRemove(tree: FakeTree, temporary: string, path: string): void {
  try {
    tree.calls.rename(temporary, path);
  } catch (error) {
    if (error instanceof Failure) tree.calls.remove(temporary);
    throw error;
  }
}

interface Content {
  read(path: string): Buffer;
  write(path: string, bytes: Uint8Array | string, settings?: { mode?: number }): void;
  sync(path: string): void;
  /** Failure "no-space" when `more` bytes do not fit. */
  room(call: string, path: string, more: number): void;
  /** The inode of a file, made when missing. */
  openInode(call: string, path: string, settings: { create: boolean; exclusive: boolean; mode: number }): Inode;
}

function contentOf(world: FakeWorld, tree: FakeTree, options: FakeFilesOptions): Content {
  const room: Content["room"] = (call, path, more) => {
    if (options.totalBytes === undefined || more <= 0) return;
    if (world.disk.usedBytes() + more > options.totalBytes) throw systemFailure({ call, path }, "ENOSPC");
  };
  const openInode: Content["openInode"] = (call, path, settings) => {
    const place = world.walk(call, path, { follow: !settings.exclusive });
    if (place.inode !== undefined) {
      if (settings.exclusive) throw systemFailure({ call, path }, "EEXIST");
      if (place.inode.kind === "directory") throw systemFailure({ call, path }, "EISDIR");
      refuseRendezvous(call, path, place.inode);
      tree.refuseReadOnly(call, path, place.inodeMount);
      if (place.inode.verity !== undefined) throw systemFailure({ call, path }, "EPERM");
      return place.inode;
    }
    if (!settings.create) throw systemFailure({ call, path }, "ENOENT");
    const made = world.disk.create("file", { mode: settings.mode });
    tree.insert("create", path, place, made);
    return made;
  };
  return {
    room,
    openInode,
    read: (path) => {
      const { inode } = world.find("read", path, { follow: true });
      if (inode.kind === "directory") throw systemFailure({ call: "read", path }, "EISDIR");
      refuseRendezvous("read", path, inode);
      return Buffer.from(inode.content.subarray(0, inode.size));
    },
    write: (path, bytes, settings = {}) => {
      const mode = settings.mode ?? 0o644;
      const inode = openInode("write", path, { create: true, exclusive: false, mode });
      const content = typeof bytes === "string" ? Buffer.from(bytes, "utf8") : bytes;
      room("write", path, content.length - inode.size);
      world.mutate("write", path, () => {
        world.disk.resize(inode, 0);
        world.disk.write(inode, content, 0);
        if (settings.mode !== undefined) tree.setMode(inode, settings.mode);
      });
    },
    sync: (path) => {
      const { inode } = world.find("sync", path, { follow: true });
      world.mutate("sync", path, () => world.disk.sync(inode));
    },
  };
}

function refuseRendezvous(call: string, path: string, { kind }: Inode): void {
  if (kind === "fifo" || kind === "socket") throw notAFile({ call, path });
}

function openFile(world: FakeWorld, content: Content, path: string, mode: OpenMode, permissions?: number): OpenFile {
  const inode =
    mode === "read"
      ? world.find("open", path, { follow: true }).inode
      : content.openInode("open", path, { create: true, exclusive: mode === "create", mode: permissions ?? 0o644 });
  if (inode.kind === "directory") throw systemFailure({ call: "open", path }, "EISDIR");
  refuseRendezvous("open", path, inode);
  if (mode === "write") world.mutate("truncate", path, () => world.disk.resize(inode, 0));
  let position = 0;
  let open = true;
  const use = (call: string): void => {
    world.enter();
    if (!open) throw systemFailure({ call, path }, "EBADF");
  };
  const close = (): void => {
    open = false;
  };
  const write = (bytes: Uint8Array, at?: number): void => {
    use("write");
    if (mode === "read") throw systemFailure({ call: "write", path }, "EBADF");
    const start = mode === "append" ? inode.size : (at ?? position);
    content.room("write", path, start + bytes.length - inode.size);
    world.mutate("write", path, () => world.disk.write(inode, bytes, start));
    if (at === undefined) position = start + bytes.length;
  };
  return {
    path,
    read: (into, at) => {
      use("read");
      const start = at ?? position;
      const count = Math.max(0, Math.min(into.length, inode.size - start));
      into.set(inode.content.subarray(start, start + count));
      if (at === undefined) position += count;
      return count;
    },
    write,
    writeAll: (pieces, at) => {
      let start = at;
      for (const piece of pieces) {
        write(piece, start);
        start += piece.length;
      }
    },
    sizeBytes: () => {
      use("measure");
      return inode.size;
    },
    sync: () => {
      use("sync");
      world.mutate("sync", path, () => world.disk.sync(inode));
    },
    close,
    [Symbol.dispose]: close,
  };
}

function lock(
  world: FakeWorld,
  content: Content,
  path: string,
  how: "shared" | "exclusive",
  options: { wait: boolean },
): Lock {
  const place = world.walk("lock", path, { follow: true });
  const inode =
    place.inode?.kind === "directory"
      ? place.inode
      : content.openInode("lock", path, { create: true, exclusive: false, mode: 0o644 });
  const held = world.locks.get(inode) ?? { shared: 0, exclusive: false };
  if (held.exclusive || (how === "exclusive" && held.shared > 0)) {
    if (options.wait) throw new Error(`The fake host would wait for ever for the lock on ${path}: this test holds it`);
    throw new Failure("busy", `Cannot lock ${JSON.stringify(path)}: another process holds it`);
  }
  if (how === "shared") held.shared += 1;
  else held.exclusive = true;
  world.locks.set(inode, held);
  let mine = true;
  const release = (): void => {
    if (!mine) return;
    mine = false;
    if (how === "shared") held.shared -= 1;
    else held.exclusive = false;
    if (held.shared === 0 && !held.exclusive) world.locks.delete(inode);
  };
  return { release, [Symbol.dispose]: release };
}
