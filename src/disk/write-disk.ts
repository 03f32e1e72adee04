/**
 * Writing a raw disk from staged trees: partition table, ESP, root, loader. A plain file is all it needs: no mount, no loop device.
 *
 * mke2fs takes owners, modes, xattrs and hard links from the staged tree; `settle` gives every inode the one thing that it cannot take
 * from there without a trace of the build: change and access times.
 */
import { Failure } from "../core/failure.ts";
import type { DiskPiece } from "../format/gpt/gpt.ts";
import { SECTOR_BYTES, writeGpt } from "../format/gpt/gpt.ts";
import type { Host } from "../host/host.ts";
import { type DiskLayout, ESP_LABEL, ROOT_LABEL } from "./layout.ts";
import { type RunOptions, runTool } from "./tools.ts";

type Maker = Pick<Host, "exec" | "env" | "files" | "which">;

/** A sparse file with the partition table. */
export function createRawDisk(host: Pick<Host, "files">, path: string, layout: DiskLayout): void {
  host.files.write(path, Buffer.alloc(0), { mode: 0o644 });
  host.files.truncate(path, layout.sizeBytes);
  writePieces(host, path, writeGpt(layout.gpt));
}

export function writePieces(host: Pick<Host, "files">, path: string, pieces: readonly DiskPiece[]): void {
  using disk = host.files.open(path, "read-write");
  for (const piece of pieces) disk.write(piece.bytes, piece.offsetBytes);
}

/** FAT32 over the ESP's extent, filled from `tree` with its times kept. */
export async function writeEsp(host: Maker, path: string, options: { layout: DiskLayout; tree: string } & RunOptions): Promise<void> {
  const { esp } = options.layout;
  await runTool(host, espFormatArgv(path, options.layout), options);
  const names = host.files.list(options.tree).map((name) => `${options.tree}/${name}`);
  // -b would make mtools 4.0.32 end with "Internal error, size too big".
  await runTool(host, ["mcopy", "-s", "-m", "-i", `${path}@@${esp.offsetBytes}`, ...names, "::/"], options);
}

export function espFormatArgv(path: string, layout: DiskLayout): readonly string[] {
  const { esp } = layout;
  return [
    "mkfs.vfat", "-F", "32", "-n", ESP_LABEL, "--invariant", "-i", esp.volumeId,
    "--offset", String(esp.offsetBytes / SECTOR_BYTES), path, String(esp.sizeBytes / 1024),
  ];
}

/** ext4 over the root's extent, filled from `tree`. Access and change times are the build's until `runDebugfs` settles them. */
export async function writeRoot(host: Maker, path: string, options: { layout: DiskLayout; tree: string } & RunOptions): Promise<void> {
  await runTool(host, rootFormatArgv(path, options.layout, options.tree), options);
}

export function rootFormatArgv(path: string, layout: DiskLayout, tree: string): readonly string[] {
  const { root } = layout;
  return [
    // metadata_csum_seed and orphan_file are unknown to older GRUB and kernels; -m 0: nothing here runs out of space but the machine.
    "mke2fs", "-q", "-t", "ext4", "-O", "verity,^metadata_csum_seed,^orphan_file", "-b", "4096", "-m", "0",
    "-L", ROOT_LABEL, "-U", root.uuid,
    "-E", `offset=${root.offsetBytes},lazy_itable_init=1,root_owner=0:0,hash_seed=${root.hashSeed}`,
    "-d", tree, path, `${root.sizeBytes / 1024}k`,
  ];
}

/** Runs debugfs commands on the root in one go. debugfs ends with 0 whatever happens: its stderr tells. */
export async function runDebugfs(
  host: Maker,
  path: string,
  options: { layout: DiskLayout; script: string } & RunOptions,
): Promise<void> {
  const disk = `${path}?offset=${options.layout.root.offsetBytes}`;
  const { stderr } = await runTool(host, ["debugfs", "-w", "-f", options.script, disk], options);
  const complaint = stderr.split("\n").find((line) => line.trim() !== "" && !/^debugfs [0-9.]+ \(/.test(line));
  if (complaint !== undefined) throw new Failure("exec-failed", `Cannot finish the root file system of "${path}": ${complaint.trim()}`);
}
