/** What a fuzzer does to the composefs formats: a reader, given any bytes, returns or throws its own errors, in bounded time. */
import assert from "node:assert/strict";
import { formatDump } from "../../src/format/dumpfile/format.ts";
import { parseDump } from "../../src/format/dumpfile/parse.ts";
import { readErofs } from "../../src/format/erofs/read.ts";
import { writeErofs } from "../../src/format/erofs/write.ts";
import type { Directory } from "../../src/tree/node.ts";
import { createRandom, mutate, mutateInPlace } from "./mutate.ts";

export type Target = "erofs" | "dump";

/** Runs one case; throws with the seed in its message when the law is broken. Returns true when the bytes were accepted. */
export function fuzzCase(target: Target, samples: readonly Buffer[], seed: number): boolean {
  const random = createRandom(seed);
  const sample = samples[random(samples.length)] ?? Buffer.alloc(0);
  const bytes = target === "erofs" && random(3) !== 0 ? mutateInPlace(sample, random) : mutate(sample, random);
  const started = performance.now();
  try {
    const tree = attempt(() => (target === "erofs" ? readErofs(bytes) : parseDump(bytes)));
    if (tree !== undefined) checkTree(tree);
    assert.ok(performance.now() - started < 5000, "it took more than five seconds");
    return tree !== undefined;
  } catch (cause) {
    throw new Error(`fuzz ${target} --seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

/** What was accepted can be written, or is refused by the writer's own error, and its dump means the same tree. */
function checkTree(tree: Directory): void {
  const text = formatDump(tree);
  const again = attempt(() => parseDump(Buffer.from(text, "latin1")));
  if (again !== undefined) assert.equal(formatDump(again), text);
  const image = attempt(() => writeErofs(tree, { algorithm: "sha256" }));
  if (image !== undefined)
    assert.ok(
      writeErofs(readErofs(image), { algorithm: "sha256" }).equals(image),
      "its image changes when written again",
    );
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    if (
      (error instanceof SyntaxError || error instanceof RangeError) &&
      /^(Syntax|Range)Error$/.test(name) &&
      error.message.startsWith("Cannot ")
    ) {
      return undefined;
    }
    throw error;
  }
}
