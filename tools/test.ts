/**
 * Runs the test tiers. `node tools/test.ts unit|privileged|vm|all [FILE…]`
 *
 * unit: no root, quick. privileged (`*.privileged.test.ts`): root, real crun, mounts, disks. vm (`*.vm.test.ts`): QEMU.
 * A missing tool is a failure, never a skip: the number of skipped tests must be 0.
 */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { cpus } from "node:os";
import path from "node:path";

type Tier = "unit" | "privileged" | "vm";

const root = path.dirname(import.meta.dirname);
const [wanted = "all", ...only] = process.argv.slice(2);
const tiers: Tier[] =
  wanted === "all" ? ["unit", "privileged", "vm"] : [wanted === "privileged" || wanted === "vm" ? wanted : "unit"];
const node = path.join(root, "node_modules/node/bin/node");

function tierOf(file: string): Tier {
  return file.endsWith(".vm.test.ts") ? "vm" : file.endsWith(".privileged.test.ts") ? "privileged" : "unit";
}

function run(label: string, program: string, args: readonly string[]): void {
  const startedMs = Date.now();
  const result = spawnSync(program, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, BERTH_TEST: "1", NODE_COMPILE_CACHE: path.join(root, "node_modules/.cache/compile") },
  });
  console.log(
    `# ${label}: ${result.status === 0 ? "passed" : "FAILED"} in ${Math.round((Date.now() - startedMs) / 1000)} s`,
  );
  if (result.status !== 0) process.exit(1);
}

const files = globSync("{src,test,tools}/**/*.test.ts", { cwd: root })
  .filter((file) => only.length === 0 || only.some((part) => file.includes(part)))
  .sort();

if (!tiers.includes("unit") || tiers.length > 1) {
  if (process.getuid?.() !== 0) {
    console.error(
      "error: Cannot run the privileged and vm tests: this is not root\nhint: npm run test:unit needs no root",
    );
    process.exit(1);
  }
  run("Debian packages", path.join(root, "tools/setup.sh"), ["packages", "setup"]);
  run("self-contained program", node, ["--disable-warning=ExperimentalWarning", "tools/build-binary.ts"]);
}

for (const tier of tiers) {
  const own = files.filter((file) => tierOf(file) === tier);
  if (own.length === 0) continue;
  const concurrency = tier === "unit" ? cpus().length : 1;
  run(`${tier} tests`, node, [
    "--disable-warning=ExperimentalWarning",
    "--test",
    `--test-concurrency=${concurrency}`,
    ...(tier === "unit"
      ? ["--test-reporter=dot", "--test-timeout=120000"]
      : ["--test-reporter=spec", "--test-timeout=1500000"]),
    ...(tier === "unit" ? [] : ["--test-force-exit"]),
    ...own,
  ]);
}
