/** The programs that make disk images: where they come from, and the environment that makes them reproducible. */
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";

/** Program to Debian package. */
const PACKAGES = {
  mke2fs: "e2fsprogs",
  debugfs: "e2fsprogs",
  "mkfs.vfat": "dosfstools",
  mcopy: "mtools",
  "grub-mkimage": "grub-common",
  "qemu-img": "qemu-utils",
} as const;

export type Tool = keyof typeof PACKAGES;

/** Failure "missing-tool" naming all that are absent. */
export function requireTools(host: Pick<Host, "which">, tools: readonly Tool[]): void {
  const missing = tools.filter((tool) => host.which(tool) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((tool) => PACKAGES[tool]))];
  throw new Failure("missing-tool", `Cannot make a disk: ${missing.join(", ")} not found`, {
    hint: `apt-get install ${packages.join(" ")}`,
  });
}

export interface RunOptions {
  /** Seconds since the epoch: the only time that the tools see. */
  readonly epoch: number;
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

/** Runs a tool with a fixed clock and time zone; `argv` holds paths, so byte strings. Failure "exec-failed". */
export async function runTool(
  host: Pick<Host, "exec" | "env" | "which">,
  argv: readonly string[],
  options: RunOptions,
): Promise<{ stdout: string; stderr: string }> {
  const [program = "", ...rest] = argv.map(byteNameToText);
  const result = await host.exec([host.which(program) ?? program, ...rest], {
    timeoutMs: options.timeoutMs ?? 600_000,
    signal: options.signal,
    env: {
      PATH: host.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
      LC_ALL: "C",
      TZ: "UTC",
      SOURCE_DATE_EPOCH: String(options.epoch),
      E2FSPROGS_FAKE_TIME: String(options.epoch),
      // The image is a plain file with an offset: mtools' geometry heuristics do not apply.
      MTOOLS_SKIP_CHECK: "1",
    },
  });
  return { stdout: result.stdout.toString("utf8"), stderr: result.stderr.toString("utf8") };
}
