/**
 * Builds dist/berth: one self-contained executable, made of the pinned Node (stripped before the injection: stripping
 * afterwards breaks it), the bundle (build-bundle.ts) and the files that are no TypeScript (scripts, units). Does nothing
 * when no input has changed.
 *
 *   node tools/build-binary.ts [--force] [--print]
 *
 * @see nodejs.org/api/single-executable-applications.html
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildBundle, filesBelow } from "./build-bundle.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = join(ROOT, "dist");
const NODE = join(ROOT, "node_modules/node/bin/node");
const MAX_BYTES = 130e6;
const OLDEST_GLIBC = 231;

interface Built {
  readonly path: string;
  readonly sizeBytes: number;
  /** false: it was up to date. */
  readonly built: boolean;
}

function inputKey(): string {
  const key = createHash("sha256");
  for (const path of [
    ...filesBelow("src", "systemd"),
    "package-lock.json",
    "tools/build-binary.ts",
    "tools/build-bundle.ts",
  ]) {
    key
      .update(`${path}\0`)
      .update(readFileSync(join(ROOT, path)))
      .update("\0");
  }
  return key.update(String(statSync(NODE).size)).digest("hex");
}

/** The pinned Node without symbols; kept, because it changes only with the pin. */
function strippedNode(): string {
  const original = statSync(NODE);
  const stripped = join(DIST, `.node-stripped-${original.size}-${Math.trunc(original.mtimeMs)}`);
  if (existsSync(stripped)) return stripped;
  const temporary = `${stripped}.${process.pid}`;
  execFileSync("strip", ["-o", temporary, NODE], { stdio: ["ignore", "inherit", "inherit"] });
  checkGlibc(temporary);
  renameSync(temporary, stripped);
  return stripped;
}

/** Throws when the binary needs a symbol version newer than glibc 2.31's. */
function checkGlibc(path: string): void {
  const table = execFileSync("objdump", ["-T", path], { maxBuffer: 1 << 28 }).toString("latin1");
  for (const [, major, minor] of table.matchAll(/GLIBC_(\d+)\.(\d+)/g)) {
    if (Number(major) * 100 + Number(minor) > OLDEST_GLIBC) {
      throw new Error(`Cannot ship "${path}": it needs glibc ${major}.${minor}, newer than 2.31`);
    }
  }
}

function inject(assets: Record<string, string>): string {
  const config = join(DIST, `.sea-${process.pid}.json`);
  const output = join(DIST, `.berth-${process.pid}`);
  rmSync(output, { force: true });
  const settings = {
    main: join(DIST, "berth.mjs"),
    mainFormat: "module",
    output,
    executable: strippedNode(),
    disableExperimentalSEAWarning: true,
    // A third of a start is the compiling of the bundle.
    useCodeCache: true,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    execArgvExtension: "none",
    assets,
  };
  writeFileSync(config, JSON.stringify(settings));
  execFileSync(NODE, [`--build-sea=${config}`], { stdio: ["ignore", "ignore", "inherit"] });
  rmSync(config);
  chmodSync(output, 0o755);
  return output;
}

export async function buildBinary(options: { force: boolean }): Promise<Built> {
  const path = join(DIST, "berth");
  const stamp = join(DIST, ".berth.key");
  const key = inputKey();
  const upToDate = existsSync(path) && existsSync(stamp) && readFileSync(stamp, "utf8") === key;
  if (upToDate && !options.force) return { path, sizeBytes: statSync(path).size, built: false };
  mkdirSync(DIST, { recursive: true });
  const output = inject(await buildBundle());
  const sizeBytes = statSync(output).size;
  if (sizeBytes > MAX_BYTES)
    throw new Error(`Cannot ship "${output}": ${sizeBytes} bytes, at most ${MAX_BYTES} are allowed`);
  renameSync(output, path);
  writeFileSync(stamp, key);
  return { path, sizeBytes, built: true };
}

if (import.meta.main) {
  const result = await buildBinary({ force: process.argv.includes("--force") });
  const note = result.built ? "" : " (up to date)";
  if (process.argv.includes("--print")) process.stdout.write(`${result.path}\n`);
  else process.stdout.write(`${dirname(result.path)}/berth: ${(result.sizeBytes / 1e6).toFixed(1)} MB${note}\n`);
}
