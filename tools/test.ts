/**
 * Runs the test tiers. `node tools/test.ts unit|privileged|vm|all [FILE…]`
 *
 * unit: no root, quick. privileged (`*.privileged.test.ts`): root, real crun, mounts, disks. vm (`*.vm.test.ts`): QEMU.
 * A missing tool is a failure, never a skip: the number of skipped tests must be 0.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";

type Tier = "unit" | "privileged" | "vm";

const root = path.dirname(import.meta.dirname);
const [wanted = "all", ...only] = process.argv.slice(2);
const tiers: Tier[] =
  wanted === "all" ? ["unit", "privileged", "vm"] : [wanted === "privileged" || wanted === "vm" ? wanted : "unit"];
const node = path.join(root, "node_modules/node/bin/node");
const NODE_FLAGS = ["--disable-warning=ExperimentalWarning"];
const environment = {
  ...process.env,
  BERTH_TEST: "1",
  NODE_COMPILE_CACHE: path.join(root, "node_modules/.cache/compile"),
};

/** Unit tests share processes: to start one and to load the program takes longer than most files' tests. */
const BATCHES_PER_CORE = 3;
/** For a process that does not end by itself; a test has TEST_TIMEOUT_MS. */
const BATCH_TIMEOUT_MS = 1_200_000;
const TEST_TIMEOUT_MS: Readonly<Record<Tier, number>> = { unit: 120_000, privileged: 1_500_000, vm: 2_400_000 };
/** A machine waits for disks, menus and logins as long as it computes. The longest file stands first by its name. */
const VM_FILES_AT_ONCE = 2;
const SHARED_MEMORY = "/dev/shm";
const TMPFS_MAGIC = 0x01021994;
const SCRATCH_BYTES_MIN = 2e9;

function tierOf(file: string): Tier {
  return file.endsWith(".vm.test.ts") ? "vm" : file.endsWith(".privileged.test.ts") ? "privileged" : "unit";
}

function report(label: string, startedMs: number, isGood: boolean): void {
  console.log(`# ${label}: ${isGood ? "passed" : "FAILED"} in ${Math.round((Date.now() - startedMs) / 1000)} s`);
  if (!isGood) process.exitCode = 1;
}

function run(label: string, program: string, args: readonly string[]): boolean {
  const startedMs = Date.now();
  const { status } = spawnSync(program, args, { cwd: root, stdio: "inherit", env: environment });
  report(label, startedMs, status === 0);
  return status === 0;
}

const files = globSync("{src,test,tools}/**/*.test.ts", { cwd: root })
  .filter((file) => only.length === 0 || only.some((part) => file.includes(part)))
  .sort();
const chosen = tiers
  .map((tier) => ({ tier, own: files.filter((file) => tierOf(file) === tier) }))
  .filter(({ own }) => own.length > 0);

if (chosen.length === 0) {
  console.error(`error: Cannot run ${wanted} tests: none is of a file like ${only.join(", ")}`);
  process.exitCode = 2;
} else if (prepare()) {
  for (const { tier, own } of chosen) if (!(await runTier(tier, own))) break;
}

/** What the tiers beyond the first need. */
function prepare(): boolean {
  if (tiers.length === 1 && tiers[0] === "unit") return true;
  if (process.getuid?.() !== 0) {
    console.error(
      "error: Cannot run the privileged and vm tests: this is not root\nhint: npm run test:unit needs no root",
    );
    process.exitCode = 1;
    return false;
  }
  return (
    run("Debian packages", path.join(root, "tools/setup.sh"), ["packages", "setup"]) &&
    run("self-contained program", node, [...NODE_FLAGS, "tools/build-binary.ts"])
  );
}

async function runTier(tier: Tier, own: readonly string[]): Promise<boolean> {
  const scratch = mkdtempSync(path.join(tier === "unit" ? unitScratch() : tmpdir(), "berth-test-"));
  try {
    const startedMs = Date.now();
    const logs = tier === "unit" ? await runShared(own, scratch) : runIsolated(tier, own, scratch);
    report(`${tier} tests`, startedMs, logs !== undefined);
    return logs !== undefined && provesAll(tier, logs);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Memory, where directories and syncs cost little, if there is enough. */
function unitScratch(): string {
  if (!existsSync(SHARED_MEMORY)) return tmpdir();
  const { type, bavail, bsize } = statfsSync(SHARED_MEMORY);
  return type === TMPFS_MAGIC && bavail * bsize >= SCRATCH_BYTES_MIN ? SHARED_MEMORY : tmpdir();
}

/** A process for each file. Returns the runner's log, or undefined after a failure. */
function runIsolated(tier: Tier, own: readonly string[], scratch: string): string[] | undefined {
  const log = path.join(scratch, "log.tap");
  const concurrency = tier === "vm" ? VM_FILES_AT_ONCE : 1;
  const flags = [`--test-concurrency=${concurrency}`, "--test-force-exit"];
  const args = [...NODE_FLAGS, ...testFlags(tier, { reporter: "spec", log }), ...flags, ...own];
  const { status } = spawnSync(node, args, { cwd: root, stdio: "inherit", env: environment });
  return status === 0 ? [readFileSync(log, "utf8")] : undefined;
}

/** A process for each batch of files, one a core; each says what it has to say when it ends. */
async function runShared(own: readonly string[], scratch: string): Promise<string[] | undefined> {
  const cores = availableParallelism();
  const count = Math.min(cores * BATCHES_PER_CORE, own.length);
  // Neighbours are alike in what they cost.
  const batches = Array.from({ length: count }, (_, at) => own.filter((_file, i) => i % count === at));
  const logs: string[] = [];
  let isGood = true;
  const work = async (): Promise<void> => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      const log = path.join(scratch, `${batches.length}.tap`);
      isGood = (await runBatch(batch, { log, scratch })) && isGood;
      logs.push(existsSync(log) ? readFileSync(log, "utf8") : "");
    }
  };
  await Promise.all(Array.from({ length: cores }, work));
  return isGood ? logs : undefined;
}

async function runBatch(batch: readonly string[], options: { log: string; scratch: string }): Promise<boolean> {
  const flags = [...testFlags("unit", { reporter: "dot", log: options.log }), "--test-isolation=none"];
  const child = spawn(node, [...NODE_FLAGS, ...flags, ...batch], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...environment, TMPDIR: options.scratch },
    timeout: BATCH_TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => said.push(chunk));
  await once(child, "close");
  process.stdout.write(Buffer.concat(said));
  if (child.exitCode === 0) return true;
  const state = child.signalCode ?? `exit ${child.exitCode}`;
  console.error(`error: Cannot pass the tests of ${batch.join(", ")}: the process ended with ${state}`);
  return false;
}

function testFlags(tier: Tier, { reporter, log }: { reporter: string; log: string }): string[] {
  return [
    "--test",
    `--test-timeout=${TEST_TIMEOUT_MS[tier]}`,
    `--test-reporter=${reporter}`,
    "--test-reporter-destination=stdout",
    "--test-reporter=tap",
    `--test-reporter-destination=${log}`,
  ];
}

/** By the runner's own counts, which a process that ends early does not write: each log has them, and nothing was left out. */
function provesAll(tier: Tier, logs: readonly string[]): boolean {
  const sum = (what: string): number =>
    logs.reduce((total, log) => total + Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(log)?.[1] ?? Number.NaN), 0);
  const [passed, skipped, postponed] = [sum("pass"), sum("skipped"), sum("todo")];
  console.log(`# ${tier} tests: ${passed} passed, ${skipped} skipped`);
  if (passed > 0 && skipped === 0 && postponed === 0) return true;
  console.error(
    `error: Cannot trust the ${tier} tests: ${skipped} were skipped and ${postponed} put off, wanted none, and counts of all`,
  );
  process.exitCode = 1;
  return false;
}
