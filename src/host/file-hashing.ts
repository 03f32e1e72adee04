/**
 * createFileHashing(): digests of files that grow, step by step, in the thread of who calls it: digest.worker.ts, and
 * file-digester.ts for what is small.
 *
 * Invariant: no file stays open between two steps, so a digest that nobody asks for any more holds nothing but its state.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { createDigester, type Digest, type DigestAlgorithm, type Digester } from "../core/digest.ts";
import { errnoOf, nodePath } from "./linux-path.ts";

/** `id` names the digest among others; one that is not known starts with the file's first byte. */
export type HashingStep =
  | {
      /** `finish` ends in an answer. */
      readonly kind: "grow" | "finish";
      readonly id: number;
      readonly path: string;
      readonly algorithm: DigestAlgorithm;
      /** Hash up to here. */
      readonly sizeBytes: number;
    }
  | { readonly kind: "forget"; readonly id: number };

/** `errno` of a file that cannot be read. */
export type HashingAnswer = { readonly id: number } & ({ readonly digest: Digest } | { readonly errno: string });

const PIECE_BYTES = 1 << 18;

/** What a file lacks of `sizeBytes` is not hashed: the digest is then another one. */
export function createFileHashing(): (step: HashingStep) => HashingAnswer | undefined {
  const states = new Map<number, { readonly digester: Digester; hashedBytes: number }>();
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  return (step) => {
    const { id } = step;
    if (step.kind === "forget") {
      states.delete(id);
      return undefined;
    }
    const state = states.get(id) ?? { digester: createDigester(step.algorithm), hashedBytes: 0 };
    states.set(id, state);
    try {
      const fd = openSync(nodePath(step.path), "r");
      try {
        while (state.hashedBytes < step.sizeBytes) {
          const wanted = Math.min(PIECE_BYTES, step.sizeBytes - state.hashedBytes);
          const count = readSync(fd, piece, 0, wanted, state.hashedBytes);
          if (count === 0) break;
          state.digester.update(piece.subarray(0, count));
          state.hashedBytes += count;
        }
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      // Who asks for the digest is told, when the file cannot be read then either.
      return step.kind === "grow" ? undefined : { id, errno: errnoOf(error) ?? "EIO" };
    }
    if (step.kind === "grow") return undefined;
    states.delete(id);
    return { id, digest: state.digester.digest() };
  };
}
