/**
 * Files with fs-verity inside an ext4 image, made without a kernel that knows fs-verity.
 *
 * ext4 keeps a file's Merkle tree and descriptor in the file's own blocks past its end: the tree at the next multiple of 64 KiB, then
 * the descriptor in a block of its own, whose last four bytes hold the descriptor's size. These blocks are the file's tail.
 *
 * @see Linux Documentation/filesystems/ext4/verity.rst, fs/ext4/verity.c
 */
import type { DigestAlgorithm } from "../core/digest.ts";
import { merkleTree, VERITY_BLOCK_BYTES } from "../format/verity/verity.ts";

const TAIL_ALIGNMENT = 65536;
/** EXT4_EXTENTS_FL | EXT4_VERITY_FL */
export const VERITY_FLAGS = "0x180000";

export interface VerityTail {
  /** Lower-case hex: the fs-verity digest of the content. */
  readonly id: string;
  /** Whole blocks. */
  readonly bytes: Buffer;
}

export function verityTail(content: Uint8Array, algorithm: DigestAlgorithm): VerityTail {
  const merkle = merkleTree(content, algorithm);
  const descriptor = Buffer.alloc(VERITY_BLOCK_BYTES);
  merkle.descriptor.copy(descriptor);
  descriptor.writeUInt32LE(merkle.descriptor.length, VERITY_BLOCK_BYTES - 4);
  return { id: merkle.id, bytes: Buffer.concat([merkle.tree, descriptor]) };
}

/** Numbers of the file's blocks that hold the tail: first one and how many. Follows from the size alone. */
export function verityTailBlocks(sizeBytes: number, hashBytes: number): { first: number; count: number } {
  let count = 1;
  for (let blocks = Math.ceil(sizeBytes / VERITY_BLOCK_BYTES); blocks > 1; ) {
    blocks = Math.ceil((blocks * hashBytes) / VERITY_BLOCK_BYTES);
    count += blocks;
  }
  return { first: (Math.ceil(sizeBytes / TAIL_ALIGNMENT) * TAIL_ALIGNMENT) / VERITY_BLOCK_BYTES, count };
}

/** Bytes that a file of `sizeBytes` takes on the disk, tail included. */
export function verityFileBytes(sizeBytes: number, hashBytes: number): number {
  return (
    (Math.ceil(sizeBytes / VERITY_BLOCK_BYTES) + verityTailBlocks(sizeBytes, hashBytes).count) * VERITY_BLOCK_BYTES
  );
}
