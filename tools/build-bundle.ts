/**
 * Builds dist/berth.mjs, the program in one file, with dist/workers/ and dist/late/ (what few commands need) beside it: what the
 * launcher runs (a fifth of the start-up time of the sources) and what goes into the self-contained program.
 *
 *   node tools/build-bundle.ts
 */
import { globSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
export const DIST = join(ROOT, "dist");

/** The project's files below these folders, as paths from the root, in byte order; tests and their data left out. */
export function filesBelow(...folders: readonly string[]): string[] {
  return globSync(
    folders.map((folder) => `${folder}/**/*`),
    { cwd: ROOT, withFileTypes: true },
  )
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".test.ts") && !entry.parentPath.includes("/testdata"))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length))
    .sort();
}

const COMMON = {
  bundle: true,
  platform: "node",
  target: "node26",
  absWorkingDir: ROOT,
  logLevel: "warning",
  legalComments: "none",
} as const;
/** CommonJS packages inside an ES module still ask for Node's own modules by `require`. */
const REQUIRE = `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`;

/** Files of src/host/ that are loaded at their first use, by a loader that finds them in dist/late/. */
const LATE = ["s3-sdk"] as const;

/** Returns the assets of the self-contained program: name to file. */
export async function buildBundle(): Promise<Record<string, string>> {
  mkdirSync(DIST, { recursive: true });
  const main = join(DIST, "berth.mjs");
  // Under its final name only when it is whole: other processes may be starting.
  const fresh = join(DIST, `.berth-${process.pid}.mjs`);
  await build({
    ...COMMON,
    entryPoints: ["src/cli/main.ts"],
    format: "esm",
    outfile: fresh,
    banner: { js: REQUIRE },
    external: LATE.map((name) => `./${name}.ts`),
  });
  const texts = filesBelow("src", "systemd").filter((path) => !path.endsWith(".ts"));
  const assets: Record<string, string> = Object.fromEntries(texts.map((path) => [`files/${path}`, join(ROOT, path)]));
  for (const name of LATE) {
    const outfile = join(DIST, "late", `${name}.cjs`);
    await build({ ...COMMON, entryPoints: [`src/host/${name}.ts`], format: "cjs", outfile });
    assets[`late/${name}.cjs`] = outfile;
  }
  for (const entry of globSync("src/**/*.worker.ts", { cwd: ROOT }).sort()) {
    const name = entry.slice("src/".length, -".ts".length);
    const outfile = join(DIST, "workers", `${name}.cjs`);
    await build({
      ...COMMON,
      entryPoints: [entry],
      format: "cjs",
      outfile,
      logOverride: { "empty-import-meta": "silent" },
    });
    assets[`workers/${name}.cjs`] = outfile;
  }
  renameSync(fresh, main);
  return assets;
}

if (import.meta.main) await buildBundle();
