/**
 * Times `composefs mkimage` as users run it, start-up included: vector 20 (15,435 entries) and a generated dump of 64,000 entries,
 * and the start-up itself. Prints the median and the peak resident memory. `MKCOMPOSEFS` names the C tool to run beside it; `BERTH`
 * another program than the self-contained one of this checkout, which is what gets installed.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { verityDigest } from "../src/format/verity/verity.ts";
import { buildBinary } from "../tools/build-binary.ts";

const RUNS = 7;
const vectors = new URL("../test/vectors/composefs/", import.meta.url);
const scratch = mkdtempSync(join(tmpdir(), "berth-bench-"));

try {
  await main();
} finally {
  rmSync(scratch, { recursive: true });
}

interface Result {
  readonly medianMs: number;
  readonly peakKib: number;
}

async function main(): Promise<void> {
  const berth = process.env["BERTH"] ?? (await buildBinary({ force: false })).path;
  report("berth --version", measure([berth, "--version"]));
  const cases: readonly (readonly [name: string, dump: Buffer, hash: string])[] = [
    ["15,435 entries, sha256", gunzipSync(readFileSync(new URL("20-debian-trixie-root.dump.gz", vectors))), "sha256"],
    [
      "15,435 entries, sha512",
      gunzipSync(readFileSync(new URL("20-debian-trixie-root.sha512.dump.gz", vectors))),
      "sha512",
    ],
    ["64,000 entries, sha256", generateDump(64_000, "sha256"), "sha256"],
    ["64,000 entries, sha512", generateDump(64_000, "sha512"), "sha512"],
  ];
  for (const [name, dump, hash] of cases) {
    const input = join(scratch, "in.dump");
    const image = join(scratch, "out.img");
    writeFileSync(input, dump);
    const mine = measure([berth, "composefs", "mkimage", "--from-dump", input, "--hash", hash, "-o", image]);
    report(`berth, ${name}, image ${statSync(image).size} bytes`, mine);
    const peer = process.env["MKCOMPOSEFS"];
    if (peer === undefined || hash !== "sha256") continue;
    const wanted = verityDigest(readFileSync(image), "sha256");
    const theirs = measure([peer, "--min-version=1", "--from-file", input, image]);
    report(`mkcomposefs, ${name}`, theirs);
    if (verityDigest(readFileSync(image), "sha256") !== wanted) throw new Error("the two images differ");
  }
}

/** GNU time prints the peak; its own start is in the noise. */
function measure(words: readonly string[]): Result {
  const times: number[] = [];
  let peakKib = 0;
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    const result = spawnSync("/usr/bin/time", ["-f", "%M", ...words], { encoding: "utf8" });
    times.push(performance.now() - started);
    if (result.status !== 0) throw new Error(`${words.join(" ")} failed: ${result.error?.message ?? result.stderr}`);
    peakKib = Math.max(peakKib, Number(result.stderr.trim().split("\n").at(-1)));
  }
  times.sort((left, right) => left - right);
  return { medianMs: times[Math.floor(RUNS / 2)] ?? 0, peakKib };
}

function report(name: string, { medianMs, peakKib }: Result): void {
  process.stdout.write(
    `${name}: median ${medianMs.toFixed(0)} ms of ${RUNS}, peak ${(peakKib / 1024).toFixed(0)} MiB\n`,
  );
}

/** A distribution's shape: 1 directory in 10, 1 symlink in 10, files with an object and an SELinux label, all times different. */
function generateDump(entries: number, hash: string): Buffer {
  const digestLength = hash === "sha256" ? 64 : 128;
  const label = "security.selinux=system_u:object_r:lib_t:s0";
  const lines = [`/ 0 40755 2 0 0 0 1700000000.0 - - - ${label}`];
  let directory = "";
  let state = 1;
  for (let index = 1; index < entries; index++) {
    if (index % 10 === 1) {
      directory =
        index % 200 === 1
          ? `/dir${index}`
          : `${directory
              .split("/")
              .slice(0, 1 + (index % 5))
              .join("/")}/dir${index}`;
      lines.push(`${directory} 0 40755 2 0 0 0 1700000000.0 - - - ${label}`);
    } else if (index % 10 === 2) {
      lines.push(`${directory}/link${index} 9 120777 1 0 0 0 1700000000.0 ../target - - ${label}`);
    } else {
      let digest = "";
      while (digest.length < digestLength) {
        state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + index;
        digest += (state >>> 0).toString(16).padStart(8, "0");
      }
      const path = `${digest.slice(0, 2)}/${digest.slice(2)}`;
      lines.push(
        `${directory}/file${index} ${100 + index} 100644 1 0 0 0 ${1600000000 + (index % 5000)}.${index} ${path} - ${digest} ${label}`,
      );
    }
  }
  return Buffer.from(`${lines.join("\n")}\n`);
}
