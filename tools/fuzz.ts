/**
 * Fuzzes the readers of composefs formats with mutated vectors, or the registry with random requests:
 * `node tools/fuzz.ts erofs|dump|registry [--seed N] [--seconds S]`.
 * A failure prints its seed; `--seed N --seconds 0` runs that one case again.
 */
import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { parseDump } from "../src/format/dumpfile/parse.ts";
import { writeErofs } from "../src/format/erofs/write.ts";
import { fuzzCase, type Target } from "../test/support/fuzz-formats.ts";
import { fuzzRegistry } from "../test/support/fuzz-registry.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string", default: "1" }, seconds: { type: "string", default: "60" } },
});
const target = positionals[0] ?? "";
const [firstSeed, seconds] = [Number(values.seed), Number(values.seconds)];
switch (target) {
  case "registry": {
    let requests = 0;
    const seeds = await run(async (seed) => {
      requests += [...(await fuzzRegistry(seed, 1)).values()].reduce((sum, count) => sum + count, 0);
    });
    process.stdout.write(`registry: ${seeds}, ${requests} requests, no failure\n`);
    break;
  }
  case "erofs":
  case "dump": {
    const samples = readSamples(target);
    let accepted = 0;
    const seeds = await run(async (seed) => void (accepted += Number(fuzzCase(target, samples, seed))));
    process.stdout.write(`${target}: ${seeds}, ${accepted} accepted, no failure\n`);
    break;
  }
  default:
    throw new Error("usage: fuzz.ts erofs|dump|registry [--seed N] [--seconds S]");
}

/** One case at least. Returns which seeds ran. */
async function run(runCase: (seed: number) => Promise<void>): Promise<string> {
  const end = performance.now() + seconds * 1000;
  let seed = firstSeed;
  do {
    await runCase(seed);
    seed += 1;
  } while (performance.now() < end);
  return `seeds ${firstSeed} to ${seed - 1}`;
}

function readSamples(kind: Target): Buffer[] {
  const folder = new URL("../test/vectors/composefs/", import.meta.url);
  const dumps = readdirSync(folder).filter((name) => name.endsWith(".dump") && !name.endsWith(".sha512.dump"));
  const texts = dumps.map((name) => readFileSync(new URL(name, folder)));
  return kind === "dump" ? texts : texts.map((text) => writeErofs(parseDump(text), { algorithm: "sha256" }));
}
