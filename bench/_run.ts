/** run() and median(): what the benches have in common. */
import { spawnSync } from "node:child_process";

/** What it printed. Throws with the end of stderr when it fails. */
export function run(argv: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): string {
  const [file = "", ...rest] = argv;
  const { status, stdout, stderr, error } = spawnSync(file, rest, { ...options, encoding: "utf8", maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${argv.join(" ").slice(0, 200)}: ${error?.message ?? stderr.slice(-1000)}`);
  return stdout;
}

/** NaN of nothing. */
export function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN;
}
