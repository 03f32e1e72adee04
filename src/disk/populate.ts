/**
 * populate(): the debugfs script that fills an empty ext4 with a staged tree. Everything goes in by name order with the times that it
 * shall have, so the file system's bytes follow from the tree alone: not from the order in which a directory lists itself, nor from when
 * the tree was staged.
 *
 * Objects of the repository become files with fs-verity: their content, blocks for the tail (filled in later, at the places that debugfs
 * prints), then size and flag.
 *
 * @see debugfs(8)
 */
import type { FileStat, Host } from "../host/host.ts";
import { devMajor, devMinor } from "../tree/node.ts";
import { VERITY_FLAGS, verityTailBlocks } from "./verity-file.ts";

export interface PopulateOptions {
  /** The staged tree. */
  readonly tree: string;
  /** Directory of the repository's objects within it: `/composefs/objects`. */
  readonly objects: string;
  /** Bytes of one digest. */
  readonly hashBytes: number;
  /** Seconds since the epoch: no time is later. */
  readonly epoch: number;
  /** Folder for attribute values, which debugfs reads from files. */
  readonly scratch: string;
}

/** An object on its way: `debugfs` prints one block number for each of its tail blocks, in the order of the objects. */
export interface PlacedObject {
  /** Lower-case hex. */
  readonly id: string;
  readonly source: string;
  readonly sizeBytes: number;
  readonly tailBlocks: number;
}

export interface Population {
  readonly commands: readonly string[];
  readonly objects: readonly PlacedObject[];
}

const TYPE_BITS: Readonly<Record<FileStat["kind"], number>> = {
  fifo: 0o010000,
  char: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};

/** Throws RangeError for a name that debugfs cannot be told, and for a socket. */
export function populate(host: Pick<Host, "files">, options: PopulateOptions): Population {
  const { files } = host;
  const commands: string[] = [];
  const objects: PlacedObject[] = [];
  /** Inode of the staged tree to the path where it went. */
  const linked = new Map<string, string>();
  let values = 0;

  const settle = (path: string, stat: FileStat): void => {
    const quoted = quoteForDebugfs(path === "" ? "/" : path);
    const set = (field: string, value: string | number): void => void commands.push(`sif ${quoted} ${field} ${value}`);
    if (stat.kind !== "symlink") set("mode", `0${(TYPE_BITS[stat.kind] | stat.mode).toString(8)}`);
    if (stat.uid !== 0) set("uid", stat.uid);
    if (stat.gid !== 0) set("gid", stat.gid);
    for (const [name, value] of files.xattrs(`${options.tree}${path}`)) {
      const file = `${options.scratch}/${values++}`;
      files.write(file, value);
      commands.push(`ea_set -f ${quoteForDebugfs(file)} ${quoted} ${quoteForDebugfs(name)}`);
    }
    settleTimes(quoted, Math.min(stat.mtimeSec, options.epoch));
  };
  const settleTimes = (quoted: string, mtimeSec: number): void => {
    for (const field of ["ctime", "atime"]) commands.push(`sif ${quoted} ${field} @${options.epoch}`);
    commands.push(`sif ${quoted} mtime @${mtimeSec}`);
  };
  const putObject = (directory: string, name: string, stat: FileStat): void => {
    const source = `${options.tree}${directory}/${name}`;
    const tail = verityTailBlocks(stat.size, options.hashBytes);
    const quoted = quoteForDebugfs(name);
    commands.push(`write ${quoteForDebugfs(source)} ${quoted}`);
    for (let block = tail.first; block < tail.first + tail.count; block++) commands.push(`bmap -a ${quoted} ${block}`);
    commands.push(
      `sif ${quoted} size ${stat.size}`,
      `sif ${quoted} flags ${VERITY_FLAGS}`,
      `sif ${quoted} mode 0100644`,
    );
    settleTimes(quoted, options.epoch);
    objects.push({
      id: directory.slice(options.objects.length + 1) + name,
      source,
      sizeBytes: stat.size,
      tailBlocks: tail.count,
    });
  };
  const putLeaf = (directory: string, name: string, stat: FileStat): void => {
    const path = `${directory}/${name}`;
    const identity = `${stat.dev}:${stat.ino}`;
    const first = stat.nlink > 1 ? linked.get(identity) : undefined;
    if (first !== undefined) {
      commands.push(
        `ln ${quoteForDebugfs(first)} ${quoteForDebugfs(path)}`,
        `sif ${quoteForDebugfs(path)} links_count ${linkCount(identity)}`,
      );
      return;
    }
    commands.push(creation(files, { source: `${options.tree}${path}`, name, stat }));
    settle(path, stat);
    linked.set(identity, path);
  };
  const counts = new Map<string, number>();
  const linkCount = (identity: string): number => {
    const count = (counts.get(identity) ?? 1) + 1;
    counts.set(identity, count);
    return count;
  };
  const putDirectory = (directory: string, stat: FileStat): void => {
    const isFan = directory.startsWith(`${options.objects}/`);
    const children = files
      .list(`${options.tree}${directory}`)
      .map((name) => ({ name, stat: files.lstat(`${options.tree}${directory}/${name}`) }));
    for (const child of children) {
      if (child.stat?.kind === "directory") commands.push(`mkdir ${quoteForDebugfs(`${directory}/${child.name}`)}`);
    }
    commands.push(`cd ${quoteForDebugfs(directory === "" ? "/" : directory)}`);
    for (const child of children) {
      if (child.stat === undefined || child.stat.kind === "directory") continue;
      if (isFan) putObject(directory, child.name, child.stat);
      else putLeaf(directory, child.name, child.stat);
    }
    for (const child of children)
      if (child.stat?.kind === "directory") putDirectory(`${directory}/${child.name}`, child.stat);
    settle(directory, stat);
  };

  const root = files.lstat(options.tree);
  if (root !== undefined) putDirectory("", root);
  return { commands, objects };
}

function creation(files: Host["files"], leaf: { source: string; name: string; stat: FileStat }): string {
  const name = quoteForDebugfs(leaf.name);
  switch (leaf.stat.kind) {
    case "file":
      return `write ${quoteForDebugfs(leaf.source)} ${name}`;
    case "symlink":
      return `symlink ${name} ${quoteForDebugfs(files.readlink(leaf.source))}`;
    case "fifo":
      return `mknod ${name} p`;
    case "char":
    case "block": {
      const { rdev } = leaf.stat;
      return `mknod ${name} ${leaf.stat.kind === "char" ? "c" : "b"} ${devMajor(rdev)} ${devMinor(rdev)}`;
    }
    case "socket":
    case "directory":
      throw new RangeError(`Cannot put "${leaf.source}" on a disk: it is a ${leaf.stat.kind}`);
  }
}

/** A word as debugfs reads it from a script, line by line. Throws RangeError for one with a line break. */
export function quoteForDebugfs(word: string): string {
  if (/[\n\r\0]/.test(word))
    throw new RangeError(`Cannot name ${JSON.stringify(word)} to debugfs: it has a line break`);
  return /^[A-Za-z0-9/._:@%+=,-]+$/.test(word) ? word : `"${word.replaceAll('"', '""')}"`;
}
