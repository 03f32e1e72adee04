/**
 * fs-verity: the Merkle tree over 4096-byte blocks, without salt, and the digest of its descriptor. That digest names objects
 * and images. Memory stays at one block for each level of the tree, whatever the size.
 *
 * @see Linux Documentation/filesystems/fsverity.rst, "Merkle tree" and "File digest computation"
 */
import { hash } from "node:crypto";
import type { DigestAlgorithm } from "../../core/digest.ts";
import { struct } from "../../core/struct.ts";

export const VERITY_BLOCK_BYTES = 4096;

export interface VerityDigest {
  /** Lower-case hex of the fs-verity digest. */
  readonly id: string;
  readonly sizeBytes: number;
}

export interface VerityHasher {
  update(chunk: Uint8Array): void;
  /** May be called once. */
  finish(): VerityDigest;
}

export interface MerkleTree {
  readonly rootHash: Buffer;
  /** Blocks as the kernel stores them: top level first, leaves last; empty for at most one block of data. */
  readonly tree: Buffer;
  /** 256 bytes. */
  readonly descriptor: Buffer;
  readonly id: string;
}

/** Bytes of one digest. */
export function verityHashBytes(algorithm: DigestAlgorithm): number {
  return algorithm === "sha256" ? 32 : 64;
}

/**
 * Lower-case hex. For content that is in memory: thousands of small files are hashed with it, so nothing is allocated for each of
 * them. Levels are built in one buffer: a digest is written where the blocks before it have been hashed already.
 */
export function verityDigest(bytes: Uint8Array, algorithm: DigestAlgorithm): string {
  const hashBytes = verityHashBytes(algorithm);
  const blocks = Math.ceil(bytes.length / VERITY_BLOCK_BYTES);
  if (level.length < blocks * hashBytes + VERITY_BLOCK_BYTES)
    level = Buffer.alloc(blocks * hashBytes * 2 + VERITY_BLOCK_BYTES);
  let filled = 0;
  for (let at = 0; at < bytes.length; at += VERITY_BLOCK_BYTES) {
    const block = bytes.subarray(at, at + VERITY_BLOCK_BYTES);
    filled += level.write(
      hashBlock(algorithm, block.length === VERITY_BLOCK_BYTES ? block : padBlock(block)),
      filled,
      "latin1",
    );
  }
  while (filled > hashBytes) {
    const end = Math.ceil(filled / VERITY_BLOCK_BYTES) * VERITY_BLOCK_BYTES;
    level.fill(0, filled, end);
    filled = 0;
    for (let at = 0; at < end; at += VERITY_BLOCK_BYTES) {
      const digest = hashBlock(algorithm, level.subarray(at, at + VERITY_BLOCK_BYTES));
      filled += level.write(digest, filled, "latin1");
    }
  }
  const rootHash = filled === 0 ? Buffer.alloc(hashBytes) : level.subarray(0, hashBytes);
  return hash(algorithm, describe(algorithm, bytes.length, rootHash), "hex");
}

let level: Buffer = Buffer.alloc(16 * VERITY_BLOCK_BYTES);
const lastBlock = Buffer.alloc(VERITY_BLOCK_BYTES);

/** The block padded with zeros; valid until the next call. */
function padBlock(block: Uint8Array): Buffer {
  lastBlock.set(block);
  return lastBlock.fill(0, block.length);
}

export function createVerityHasher(algorithm: DigestAlgorithm): VerityHasher {
  const tree = createTree(algorithm);
  const blocks = createBlocks((block) => tree.add(hashBlock(algorithm, block)));
  return {
    update(chunk) {
      blocks.update(chunk);
    },
    finish() {
      const sizeBytes = blocks.finish();
      const descriptor = describe(algorithm, sizeBytes, tree.finish());
      return { id: hash(algorithm, descriptor, "hex"), sizeBytes };
    },
  };
}

export function merkleTree(bytes: Uint8Array, algorithm: DigestAlgorithm): MerkleTree {
  const levels: Buffer[][] = [];
  const tree = createTree(algorithm, (level, block) => {
    (levels[level] ??= []).push(Buffer.from(block));
  });
  const blocks = createBlocks((block) => tree.add(hashBlock(algorithm, block)));
  blocks.update(bytes);
  blocks.finish();
  const rootHash = tree.finish();
  const descriptor = describe(algorithm, bytes.length, rootHash);
  return {
    rootHash,
    tree: Buffer.concat(levels.toReversed().flat()),
    descriptor,
    id: hash(algorithm, descriptor, "hex"),
  };
}

const Descriptor = struct("fsverity_descriptor", 256, {
  version: "u8",
  hashAlgorithm: "u8",
  logBlockSize: "u8",
  saltSize: "u8",
  signatureSize: "u32",
  dataSize: "u53",
  rootHash: "bytes:64",
  salt: "zero:32",
  reserved: "zero:144",
});

function describe(algorithm: DigestAlgorithm, sizeBytes: number, rootHash: Buffer): Buffer {
  const descriptor = Buffer.alloc(Descriptor.sizeBytes);
  const padded = Buffer.alloc(64);
  padded.set(rootHash);
  Descriptor.write(descriptor, 0, {
    version: 1,
    hashAlgorithm: algorithm === "sha256" ? 1 : 2,
    logBlockSize: 12,
    saltSize: 0,
    signatureSize: 0,
    dataSize: sizeBytes,
    rootHash: padded,
  });
  return descriptor;
}

/** As a latin1 string: no Buffer is made for each block, which is the fastest way through crypto.hash. */
function hashBlock(algorithm: DigestAlgorithm, block: Uint8Array): string {
  return hash(algorithm, block, "binary");
}

/** Cuts what flows into blocks, the last one padded with zeros; `finish` returns the bytes seen. */
function createBlocks(onBlock: (block: Uint8Array) => void): { update(chunk: Uint8Array): void; finish(): number } {
  const partial = Buffer.alloc(VERITY_BLOCK_BYTES);
  let filled = 0;
  let seen = 0;
  return {
    update(chunk) {
      seen += chunk.length;
      let at = 0;
      if (filled > 0) {
        at = Math.min(VERITY_BLOCK_BYTES - filled, chunk.length);
        partial.set(chunk.subarray(0, at), filled);
        filled += at;
        if (filled < VERITY_BLOCK_BYTES) return;
        onBlock(partial);
        filled = 0;
      }
      for (; at + VERITY_BLOCK_BYTES <= chunk.length; at += VERITY_BLOCK_BYTES) {
        onBlock(chunk.subarray(at, at + VERITY_BLOCK_BYTES));
      }
      partial.set(chunk.subarray(at), 0);
      filled = chunk.length - at;
    },
    finish() {
      if (filled > 0) onBlock(partial.fill(0, filled));
      return seen;
    },
  };
}

interface Level {
  readonly block: Buffer;
  filled: number;
}

/**
 * Collects hashes level by level. A full block is hashed upwards only when one more hash arrives, so that at the end every
 * level holds at least one hash and a level that holds one hash and has nothing above it is the root.
 */
function createTree(
  algorithm: DigestAlgorithm,
  onBlock?: (level: number, block: Buffer) => void,
): { add(digest: string): void; finish(): Buffer } {
  const hashBytes = verityHashBytes(algorithm);
  const levels: Level[] = [];
  const push = (depth: number, digest: string): void => {
    const level = (levels[depth] ??= { block: Buffer.alloc(VERITY_BLOCK_BYTES), filled: 0 });
    if (level.filled === VERITY_BLOCK_BYTES) flush(depth, level);
    level.block.write(digest, level.filled, "latin1");
    level.filled += hashBytes;
  };
  const flush = (depth: number, level: Level): void => {
    level.block.fill(0, level.filled);
    onBlock?.(depth, level.block);
    push(depth + 1, hashBlock(algorithm, level.block));
    level.filled = 0;
  };
  return {
    add: (digest) => push(0, digest),
    finish() {
      for (let depth = 0; ; depth++) {
        const level = levels[depth];
        if (level === undefined) return Buffer.alloc(hashBytes);
        if (level.filled === hashBytes && levels[depth + 1] === undefined) {
          return Buffer.from(level.block.subarray(0, hashBytes));
        }
        flush(depth, level);
      }
    },
  };
}
