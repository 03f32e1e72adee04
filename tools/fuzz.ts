/**
 * Fuzzes the readers of composefs formats with mutated vectors: `node tools/fuzz.ts erofs|dump [--seed N] [--seconds S]`.
 * A failure prints its seed; `--seed N --seconds 0` runs that one case again.
 */
import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { parseDump } from "../src/format/dumpfile/parse.ts";
import { writeErofs } from "../src/format/erofs/write.ts";
import { fuzzCase, type Target } from "../test/support/fuzz-formats.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string", default: "1" }, seconds: { type: "string", default: "60" } },
});
const target = positionals[0];
if (target !== "erofs" && target !== "dump") throw new Error("usage: fuzz.ts erofs|dump [--seed N] [--seconds S]");
run(target, Number(values.seed), Number(values.seconds));

function run(kind: Target, firstSeed: number, seconds: number): void {
  const samples = readSamples(kind);
  const end = performance.now() + seconds * 1000;
  let seed = firstSeed;
  let accepted = 0;
  do {
    if (fuzzCase(kind, samples, seed)) accepted += 1;
    seed += 1;
  } while (performance.now() < end);
  process.stdout.write(`${kind}: seeds ${firstSeed} to ${seed - 1}, ${accepted} accepted, no failure\n`);
}

function readSamples(kind: Target): Buffer[] {
  const folder = new URL("../test/vectors/composefs/", import.meta.url);
  const dumps = readdirSync(folder).filter((name) => name.endsWith(".dump") && !name.endsWith(".sha512.dump"));
  const texts = dumps.map((name) => readFileSync(new URL(name, folder)));
  return kind === "dump" ? texts : texts.map((text) => writeErofs(parseDump(text), { algorithm: "sha256" }));
}
