/**
 * Files with fs-verity inside an ext4 image, made without a kernel that knows fs-verity.
 *
 * ext4 keeps a file's Merkle tree and descriptor in the file's own blocks past its end: the tree at the next multiple of 64 KiB, then
 * the descriptor in a block of its own, whose last four bytes hold the descriptor's size. So a file is staged with that tail as
 * ordinary content (a hole before it), copied into the image by mke2fs, and then gets its real size and the verity flag by debugfs.
 *
 * @see Linux Documentation/filesystems/ext4/verity.rst, fs/ext4/verity.c
 */
import { merkleTree, VERITY_BLOCK_BYTES } from "../format/verity/verity.ts";
import type { DigestAlgorithm } from "../core/digest.ts";
import type { Files } from "../host/host.ts";

const TAIL_ALIGNMENT = 65536;
/** EXT4_EXTENTS_FL | EXT4_VERITY_FL */
const VERITY_FLAGS = "0x180000";

export interface VerityFile {
  /** Absolute path inside the file system. */
  readonly path: string;
  /** Bytes, without the tail. */
  readonly sizeBytes: number;
}

export interface VerityTail {
  /** Lower-case hex: the fs-verity digest of the content. */
  readonly id: string;
  readonly offsetBytes: number;
  readonly bytes: Buffer;
}

export function verityTail(content: Uint8Array, algorithm: DigestAlgorithm): VerityTail {
  const merkle = merkleTree(content, algorithm);
  const descriptor = Buffer.alloc(VERITY_BLOCK_BYTES);
  merkle.descriptor.copy(descriptor);
  descriptor.writeUInt32LE(merkle.descriptor.length, VERITY_BLOCK_BYTES - 4);
  return { id: merkle.id, offsetBytes: roundUp(content.length, TAIL_ALIGNMENT), bytes: Buffer.concat([merkle.tree, descriptor]) };
}

/** Bytes that a file of `sizeBytes` takes on the disk, tail included. */
export function verityFileBytes(sizeBytes: number, hashBytes: number): number {
  let tree = 0;
  for (let blocks = Math.ceil(sizeBytes / VERITY_BLOCK_BYTES); blocks > 1; ) {
    blocks = Math.ceil((blocks * hashBytes) / VERITY_BLOCK_BYTES);
    tree += blocks * VERITY_BLOCK_BYTES;
  }
  return roundUp(sizeBytes, VERITY_BLOCK_BYTES) + tree + VERITY_BLOCK_BYTES;
}

/** Adds its tail to a file; returns the id and the size of its content. The mode becomes 0644. */
export function appendVerityTail(files: Files, path: string, algorithm: DigestAlgorithm): { id: string; sizeBytes: number } {
  const content = files.read(path);
  const tail = verityTail(content, algorithm);
  if (files.measureVerity(path) === undefined) {
    using file = files.open(path, "read-write");
    file.write(tail.bytes, tail.offsetBytes);
  } else {
    // A kernel with fs-verity has sealed the staged file.
    files.remove(path);
    using file = files.open(path, "create", 0o644);
    file.write(content, 0);
    file.write(tail.bytes, tail.offsetBytes);
  }
  files.chmod(path, 0o644);
  return { id: tail.id, sizeBytes: content.length };
}

/** debugfs commands that turn staged files into files with fs-verity. */
export function verityCommands(file: VerityFile): readonly string[] {
  const path = quoteForDebugfs(file.path);
  return [`sif ${path} size ${file.sizeBytes}`, `sif ${path} flags ${VERITY_FLAGS}`];
}

/**
 * A path as debugfs reads it from a script. A script is read line by line: RangeError for a path with a line break.
 */
export function quoteForDebugfs(path: string): string {
  if (/[\n\r\0]/.test(path)) throw new RangeError(`Cannot name ${JSON.stringify(path)} to debugfs: it has a line break`);
  return /^[A-Za-z0-9/._:@%+=-]+$/.test(path) ? path : `"${path.replaceAll('"', '""')}"`;
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
