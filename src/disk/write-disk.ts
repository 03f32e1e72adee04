/**
 * Writing a raw disk: the partition table, the ESP, raw pieces. A plain file is all it needs: no mount, no loop device.
 */
import type { DiskPiece } from "../format/gpt/gpt.ts";
import { SECTOR_BYTES, writeGpt } from "../format/gpt/gpt.ts";
import type { Host } from "../host/host.ts";
import { type DiskLayout, ESP_LABEL } from "./layout.ts";
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

/**
 * FAT32 over the ESP's extent, filled from `tree` by name order, every time set to the disk's own: the bytes follow from names and contents
 * alone.
 */
export async function writeEsp(
  host: Maker,
  path: string,
  options: { layout: DiskLayout; tree: string; scratch: string } & RunOptions,
): Promise<void> {
  const { files } = host;
  await runTool(host, espFormatArgv(path, options.layout), options);
  const image = `${path}@@${options.layout.esp.offsetBytes}`;
  // mmd would stamp directories with the time of day; mcopy -m keeps that of an empty directory of this name.
  const putDirectory = async (directory: string): Promise<void> => {
    const children = files
      .list(`${options.tree}${directory}`)
      .map((name) => ({ name, path: `${options.tree}${directory}/${name}` }));
    const plain = children.filter((child) => files.lstat(child.path)?.kind === "file").map((child) => child.path);
    for (const file of plain) files.setTimes(file, options.epoch, 0);
    // -b would make mtools 4.0.32 end with "Internal error, size too big".
    if (plain.length > 0) await runTool(host, ["mcopy", "-m", "-i", image, ...plain, `::${directory}/`], options);
    for (const { name } of children.filter((child) => files.lstat(child.path)?.kind === "directory")) {
      const empty = `${options.scratch}/empty${directory}/${name}`;
      files.makeDirectory(empty);
      files.setTimes(empty, options.epoch, 0);
      await runTool(host, ["mcopy", "-s", "-m", "-i", image, empty, `::${directory}/`], options);
      await putDirectory(`${directory}/${name}`);
    }
  };
  await putDirectory("");
}

export function espFormatArgv(path: string, layout: DiskLayout): readonly string[] {
  const { esp } = layout;
  return [
    // Left alone, mkfs.vfat takes the cluster size from the whole file, and the ESP would have too few clusters for FAT32.
    "mkfs.vfat",
    "-F",
    "32",
    "-s",
    "8",
    "-n",
    ESP_LABEL,
    "--invariant",
    "-i",
    esp.volumeId,
    "--offset",
    String(esp.offsetBytes / SECTOR_BYTES),
    path,
    String(esp.sizeBytes / 1024),
  ];
}
