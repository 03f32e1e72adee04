/**
 * FakeDisk: inodes in memory with a journal, so that a power cut can take back what was not synced.
 *
 * The model is an ordered journal, as ext4's: changes of names and attributes are entries, each touching some inodes; fsync of an
 * inode makes every entry up to the last one that touches it durable. Content is apart: it is durable only as of the last fsync of
 * its own file. A crash takes back a suffix of the journal and, per file, content that was never synced. So a file that is renamed
 * before its fsync may be empty afterwards, and a rename survives only when its directory was synced.
 */
import type { FileKind } from "./host.ts";

export interface Inode {
  readonly ino: number;
  readonly kind: FileKind;
  mode: number;
  uid: number;
  gid: number;
  readonly rdev: number;
  mtimeSec: number;
  mtimeNsec: number;
  readonly xattrs: Map<string, Buffer>;
  /** Names of this inode; a directory counts itself and its subdirectories. */
  nlink: number;
  /** Capacity may exceed `size`. */
  content: Buffer;
  size: number;
  /** What the last fsync made durable. */
  durable: Buffer;
  dirty: boolean;
  readonly target: string;
  readonly children: Map<string, Inode>;
  verity: string | undefined;
}

/** What survives a crash besides what was synced: everything, nothing, or what the seed decides. */
export type Durability = "optimistic" | "pessimistic" | "seeded";

export interface FakeDisk {
  readonly root: Inode;
  /** A new inode that no directory names yet. */
  create(kind: FileKind, fields?: { mode?: number; rdev?: number; target?: string }): Inode;
  /** Does a change of names or attributes, and remembers how to take it back. */
  change(touches: readonly Inode[], apply: () => void, undo: () => void): void;
  /** Several changes as one journal entry: a crash sees all of them or none. */
  together(touches: readonly Inode[], work: () => void): void;
  setName(directory: Inode, name: string, child: Inode | undefined): void;
  write(inode: Inode, bytes: Uint8Array, position: number): void;
  resize(inode: Inode, size: number): void;
  sync(inode: Inode): void;
  syncAll(): void;
  usedBytes(): number;
  crash(durability: Durability, random: () => number): void;
}

interface JournalEntry {
  readonly touches: readonly Inode[];
  readonly undo: () => void;
}

export function createFakeDisk(now: () => number): FakeDisk {
  let inodes = 1;
  let journal: JournalEntry[] = [];
  const dirty = new Set<Inode>();

  const create: FakeDisk["create"] = (kind, fields = {}) => {
    const milliseconds = now();
    inodes += 1;
    return {
      ino: inodes,
      kind,
      mode: fields.mode ?? 0o755,
      uid: 0,
      gid: 0,
      rdev: fields.rdev ?? 0,
      mtimeSec: Math.floor(milliseconds / 1000),
      mtimeNsec: (milliseconds % 1000) * 1_000_000,
      xattrs: new Map(),
      nlink: kind === "directory" ? 2 : 0,
      content: EMPTY,
      size: 0,
      durable: EMPTY,
      dirty: false,
      target: fields.target ?? "",
      children: new Map(),
      verity: undefined,
    };
  };

  const touch = (inode: Inode): void => {
    const milliseconds = now();
    inode.mtimeSec = Math.floor(milliseconds / 1000);
    inode.mtimeNsec = (milliseconds % 1000) * 1_000_000;
  };

  const change: FakeDisk["change"] = (touches, apply, undo) => {
    apply();
    journal.push({ touches, undo });
  };

  const soil = (inode: Inode): void => {
    inode.dirty = true;
    dirty.add(inode);
    touch(inode);
  };

  const settle = (inode: Inode): void => {
    inode.durable = Buffer.from(inode.content.subarray(0, inode.size));
    inode.dirty = false;
    dirty.delete(inode);
  };

  const root = create("directory");

  return {
    root,
    create,
    change,
    together(touches, work) {
      const start = journal.length;
      work();
      const parts = journal.splice(start);
      journal.push({
        touches,
        undo: () => {
          for (const { undo } of parts.reverse()) undo();
        },
      });
    },
    setName(directory, name, child) {
      const before = directory.children.get(name);
      const { mtimeSec, mtimeNsec } = directory;
      change(
        [directory],
        () => {
          place(directory, name, child);
          touch(directory);
        },
        () => {
          place(directory, name, before);
          Object.assign(directory, { mtimeSec, mtimeNsec });
        },
      );
    },
    write(inode, bytes, position) {
      const end = position + bytes.length;
      grow(inode, end);
      inode.content.set(bytes, position);
      inode.size = Math.max(inode.size, end);
      soil(inode);
    },
    resize(inode, size) {
      grow(inode, size);
      if (size < inode.size) inode.content.fill(0, size, inode.size);
      inode.size = size;
      soil(inode);
    },
    sync(inode) {
      settle(inode);
      const last = journal.findLastIndex(({ touches }) => touches.includes(inode));
      journal = journal.slice(last + 1);
    },
    syncAll() {
      for (const inode of dirty) settle(inode);
      journal = [];
    },
    usedBytes: () => usedBytes(root),
    crash(durability, random) {
      const kept =
        durability === "optimistic"
          ? journal.length
          : durability === "pessimistic"
            ? 0
            : Math.floor(random() * (journal.length + 1));
      for (const { undo } of journal.slice(kept).reverse()) undo();
      journal = [];
      for (const inode of dirty) {
        const fate = durability === "optimistic" ? 1 : durability === "pessimistic" ? 0 : random();
        if (fate < 2 / 3)
          forget(inode, fate < 1 / 3 ? inode.durable.length : Math.floor(random() * (inode.size + 1)), fate);
        settle(inode);
      }
    },
  };
}

const EMPTY = Buffer.alloc(0);

/** Below a third: back to the durable content. Below two thirds: cut off somewhere. */
function forget(inode: Inode, size: number, fate: number): void {
  if (fate < 1 / 3) inode.content = Buffer.from(inode.durable);
  inode.size = size;
}

function place(directory: Inode, name: string, child: Inode | undefined): void {
  const before = directory.children.get(name);
  if (before !== undefined) {
    before.nlink -= before.kind === "directory" ? 2 : 1;
    if (before.kind === "directory") directory.nlink -= 1;
  }
  if (child === undefined) {
    directory.children.delete(name);
    return;
  }
  directory.children.set(name, child);
  if (child.kind !== "directory") child.nlink += 1;
  else {
    child.nlink = 2 + [...child.children.values()].filter(({ kind }) => kind === "directory").length;
    directory.nlink += 1;
  }
}

function grow(inode: Inode, size: number): void {
  if (size <= inode.content.length) return;
  const larger = Buffer.alloc(Math.max(size, Math.min(inode.content.length * 2, inode.content.length + (1 << 24))));
  inode.content.copy(larger, 0, 0, inode.size);
  inode.content = larger;
}

function usedBytes(root: Inode): number {
  const seen = new Set<Inode>();
  const visit = (inode: Inode): number => {
    if (seen.has(inode)) return 0;
    seen.add(inode);
    let sum = inode.size;
    for (const child of inode.children.values()) sum += visit(child);
    return sum;
  };
  return visit(root);
}
