/**
 * Runs the test tiers. `node tools/test.ts unit|privileged|vm|all [FILE…]`
 *
 * unit: no root, quick. privileged (`*.privileged.test.ts`): root, real crun, mounts, disks. vm (`*.vm.test.ts`): QEMU.
 * A missing tool is a failure, never a skip: the number of skipped tests must be 0.
 */
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
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

const chosen = tiers
  .map((tier) => ({ tier, own: files.filter((file) => tierOf(file) === tier) }))
  .filter(({ own }) => own.length > 0);
if (chosen.length === 0) {
  console.error(`error: Cannot run ${wanted} tests: none is of a file like ${only.join(", ")}`);
  process.exit(2);
}
for (const { tier, own } of chosen) {
  const concurrency = tier === "unit" ? cpus().length : 1;
  const scratch = mkdtempSync(path.join(tmpdir(), "berth-test-"));
  const log = path.join(scratch, "log.tap");
  try {
    run(`${tier} tests`, node, [
      "--disable-warning=ExperimentalWarning",
      "--test",
      `--test-concurrency=${concurrency}`,
      ...(tier === "unit" ? ["--test-reporter=dot"] : ["--test-reporter=spec", "--test-force-exit"]),
      "--test-reporter-destination=stdout",
      "--test-reporter=tap",
      `--test-reporter-destination=${log}`,
      `--test-timeout=${tier === "unit" ? 120_000 : 1_500_000}`,
      ...own,
    ]);
    requireNoSkips(tier, readFileSync(log, "utf8"));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** By the runner's own count. */
function requireNoSkips(tier: Tier, log: string): void {
  const count = (what: string): number => Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(log)?.[1] ?? Number.NaN);
  const [passed, skipped, todo] = [count("pass"), count("skipped"), count("todo")];
  console.log(`# ${tier} tests: ${passed} passed, ${skipped} skipped`);
  if (passed > 0 && skipped === 0 && todo === 0) return;
  console.error(`error: Cannot trust the ${tier} tests: ${skipped} were skipped and ${todo} put off, wanted none`);
  process.exit(1);
}
