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
import { typeBits } from "../tree/mode.ts";

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

/** Throws RangeError for a name that debugfs cannot be told, and for a socket. */
export function populate(host: Pick<Host, "files">, options: PopulateOptions): Population {
  const writer: Writer = { ...options, files: host.files, commands: [], placed: [], linked: new Map(), values: 0 };
  const root = host.files.lstat(options.tree);
  if (root !== undefined) putDirectory(writer, "", root);
  return { commands: writer.commands, objects: writer.placed };
}

interface Writer extends PopulateOptions {
  readonly files: Host["files"];
  readonly commands: string[];
  readonly placed: PlacedObject[];
  /** Inode of the staged tree to the path where it went, and how often. */
  readonly linked: Map<string, { readonly path: string; count: number }>;
  values: number;
}

/** Files first, while debugfs stands in the directory; then what is below; then the directory's own mode and times. */
function putDirectory(writer: Writer, directory: string, stat: FileStat): void {
  const { files, commands } = writer;
  const isFan = directory.startsWith(`${writer.objects}/`);
  const children = files
    .list(`${writer.tree}${directory}`)
    .map((name) => ({ name, stat: files.lstat(`${writer.tree}${directory}/${name}`) }));
  for (const child of children) {
    if (child.stat?.kind === "directory") commands.push(`mkdir ${quoteForDebugfs(`${directory}/${child.name}`)}`);
  }
  commands.push(`cd ${quoteForDebugfs(directory === "" ? "/" : directory)}`);
  for (const child of children) {
    if (child.stat === undefined || child.stat.kind === "directory") continue;
    if (isFan) putObject(writer, { directory, name: child.name, stat: child.stat });
    else putLeaf(writer, { directory, name: child.name, stat: child.stat });
  }
  for (const child of children) {
    if (child.stat?.kind === "directory") putDirectory(writer, `${directory}/${child.name}`, child.stat);
  }
  settle(writer, directory, stat);
}

interface Leaf {
  readonly directory: string;
  readonly name: string;
  readonly stat: FileStat;
}

function putObject(writer: Writer, { directory, name, stat }: Leaf): void {
  const { commands } = writer;
  const source = `${writer.tree}${directory}/${name}`;
  const tail = verityTailBlocks(stat.size, writer.hashBytes);
  const quoted = quoteForDebugfs(name);
  commands.push(`write ${quoteForDebugfs(source)} ${quoted}`);
  for (let block = tail.first; block < tail.first + tail.count; block++) commands.push(`bmap -a ${quoted} ${block}`);
  commands.push(`sif ${quoted} size ${stat.size}`, `sif ${quoted} flags ${VERITY_FLAGS}`, `sif ${quoted} mode 0100644`);
  settleTimes(writer, quoted, writer.epoch);
  const id = directory.slice(writer.objects.length + 1) + name;
  writer.placed.push({ id, source, sizeBytes: stat.size, tailBlocks: tail.count });
}

function putLeaf(writer: Writer, { directory, name, stat }: Leaf): void {
  const path = `${directory}/${name}`;
  const identity = `${stat.dev}:${stat.ino}`;
  const known = stat.nlink > 1 ? writer.linked.get(identity) : undefined;
  if (known !== undefined) {
    known.count += 1;
    const quoted = quoteForDebugfs(path);
    // debugfs makes the name but does not count it.
    writer.commands.push(`ln ${quoteForDebugfs(known.path)} ${quoted}`, `sif ${quoted} links_count ${known.count}`);
    return;
  }
  writer.commands.push(creation(writer.files, { source: `${writer.tree}${path}`, name, stat }));
  settle(writer, path, stat);
  writer.linked.set(identity, { path, count: 1 });
}

/** Mode, owner, attributes and times of what is there. */
function settle(writer: Writer, path: string, stat: FileStat): void {
  const { commands } = writer;
  const quoted = quoteForDebugfs(path === "" ? "/" : path);
  if (stat.kind !== "symlink") {
    commands.push(`sif ${quoted} mode 0${(typeBits(stat.kind) | stat.mode).toString(8)}`);
  }
  if (stat.uid !== 0) commands.push(`sif ${quoted} uid ${stat.uid}`);
  if (stat.gid !== 0) commands.push(`sif ${quoted} gid ${stat.gid}`);
  for (const [name, value] of writer.files.xattrs(`${writer.tree}${path}`)) {
    const file = `${writer.scratch}/${writer.values++}`;
    writer.files.write(file, value);
    commands.push(`ea_set -f ${quoteForDebugfs(file)} ${quoted} ${quoteForDebugfs(name)}`);
  }
  settleTimes(writer, quoted, Math.min(stat.mtimeSec, writer.epoch));
}

function settleTimes(writer: Writer, quoted: string, mtimeSec: number): void {
  for (const field of ["ctime", "atime"]) writer.commands.push(`sif ${quoted} ${field} @${writer.epoch}`);
  writer.commands.push(`sif ${quoted} mtime @${mtimeSec}`);
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
