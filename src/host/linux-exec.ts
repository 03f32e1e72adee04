/**
 * exec() and spawn() of the real host. argv is text, handed to the kernel as UTF-8 and never to a shell; `cwd` and output files
 * are paths (byte strings).
 *
 * Invariants: stdin is closed unless given; a timeout or an abort ends the program (SIGTERM, after two seconds SIGKILL); a failure
 * carries argv, exit status or signal, and the last KiB of stderr.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { byteNameToText } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { Child, ExecOptions, ExecResult, SpawnOptions } from "./host.ts";
import { nodePath } from "./linux-path.ts";

const STDERR_TAIL_BYTES = 1024;
const GRACE_MS = 2000;

/** Absolute path of a program in PATH; the sbin directories are looked at even when PATH leaves them out. */
export function which(program: string): string | undefined {
  if (program.includes("/")) return isExecutable(program) ? program : undefined;
  const directories = [
    ...(process.env["PATH"] ?? "").split(":"),
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/bin",
    "/bin",
  ];
  return directories
    .filter((directory) => directory.startsWith("/"))
    .map((directory) => `${directory}/${program}`)
    .find(isExecutable);
}

export async function exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
  options.signal?.throwIfAborted();
  const child = start(argv, {
    cwd: options.cwd,
    env: options.env,
    stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    end(child, options.endWith);
  }, options.timeoutMs);
  const onAbort = (): void => end(child, options.endWith);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const stdout = collect(child.stdout, options.onStdout);
    const stderr = collect(child.stderr, options.onStderr, STDERR_TAIL_BYTES);
    const input = feed(child.stdin, options.stdin);
    const [exitCode, signal] = await ended(child, argv);
    await input;
    const result: ExecResult = { exitCode, signal, stdout: stdout(), stderr: stderr() };
    if (options.signal?.aborted) throw interrupted(argv, options.signal);
    if (timedOut) throw failed(argv, `no end after ${options.timeoutMs / 1000} s`, result);
    if (options.check !== false && (exitCode !== 0 || signal !== undefined)) {
      throw failed(argv, signal === undefined ? `exit status ${exitCode}` : `ended by ${signal}`, result);
    }
    return result;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

export function spawnChild(argv: readonly string[], options: SpawnOptions): Child {
  const opened: number[] = [];
  const stream = (value: SpawnOptions["stdout"]): "inherit" | "ignore" | "pipe" | number => {
    if (typeof value !== "object") return value ?? "ignore";
    const fd = fs.openSync(nodePath(value.file), "a", 0o600);
    opened.push(fd);
    return fd;
  };
  let child: ChildProcess;
  try {
    child = start(argv, {
      cwd: options.cwd,
      env: options.env,
      detached: options.detached ?? false,
      stdio: [options.stdin ?? "ignore", stream(options.stdout), stream(options.stderr)],
    });
  } finally {
    for (const fd of opened) fs.closeSync(fd);
  }
  if (options.detached === true) child.unref();
  const ending = ended(child, argv).then(([exitCode, signal]) => ({ exitCode, signal }));
  // A caller that never waits must not crash the program; one that does still sees the error.
  ending.catch(() => undefined);
  return {
    pid: child.pid ?? -1,
    stdout: child.stdout ?? undefined,
    stderr: child.stderr ?? undefined,
    write: async (bytes) => {
      if (child.stdin === null) throw new Failure("io", `Cannot write to ${quoted(argv)}: its stdin is not a pipe`);
      if (!child.stdin.write(bytes)) await once(child.stdin, "drain");
    },
    endInput: () => {
      child.stdin?.end();
    },
    kill: (signal) => {
      child.kill(signal);
    },
    ended: ending,
  };
}

/** false when there is no such process, or it is not ours to signal. */
export function kill(pid: number, signal: NodeJS.Signals | number): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

interface StartOptions {
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>> | undefined;
  readonly detached?: boolean;
  readonly stdio: [
    "inherit" | "ignore" | "pipe",
    "inherit" | "ignore" | "pipe" | number,
    "inherit" | "ignore" | "pipe" | number,
  ];
}

function start(argv: readonly string[], options: StartOptions): ChildProcess {
  const [program, ...rest] = argv;
  const path = program === undefined ? undefined : which(program);
  if (program === undefined || path === undefined) {
    throw new Failure("missing-tool", `Cannot run ${JSON.stringify(program ?? "")}: it is not in PATH`, {
      hint: `install the package that has ${program ?? "it"}`,
    });
  }
  return spawn(path, rest, {
    argv0: program,
    cwd: options.cwd === undefined ? undefined : byteNameToText(options.cwd),
    env: options.env ?? process.env,
    detached: options.detached ?? false,
    stdio: options.stdio,
  });
}

/** Exit status (128+n for a signal) and signal, once all output has arrived. */
function ended(child: ChildProcess, argv: readonly string[]): Promise<[number, string | undefined]> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new Failure("exec-failed", `Cannot run ${quoted(argv)}: ${cause.message}`, { cause }));
    });
    child.once("close", (code, signal) => {
      resolve([code ?? 128 + (signal === null ? 0 : constants.signals[signal]), signal ?? undefined]);
    });
  });
}

function end(child: ChildProcess, signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): void {
  child.kill(signal);
  setTimeout(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    // A grandchild may hold the pipes open for ever.
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, GRACE_MS).unref();
}

/** All output, or (with a handler) only the last `tailBytes`. */
function collect(stream: Readable | null, handler?: (chunk: Uint8Array) => void, tailBytes = 0): () => Buffer {
  const chunks: Buffer[] = [];
  let tail: Buffer = Buffer.alloc(0);
  stream?.on("data", (chunk: Buffer) => {
    if (handler === undefined) chunks.push(chunk);
    else {
      handler(chunk);
      if (tailBytes > 0) tail = Buffer.concat([tail, chunk]).subarray(-tailBytes);
    }
  });
  return () => (handler === undefined ? Buffer.concat(chunks) : tail);
}

/** A program that ends without reading its input is no error of ours. */
async function feed(stdin: Writable | null, input: ExecOptions["stdin"]): Promise<void> {
  if (stdin === null || input === undefined) return;
  let broken = false;
  stdin.on("error", () => {
    broken = true;
  });
  const chunks = typeof input === "string" || input instanceof Uint8Array ? [input] : input;
  for await (const chunk of chunks) {
    if (broken || stdin.destroyed) return;
    if (!stdin.write(chunk)) await Promise.race([once(stdin, "drain"), once(stdin, "close")]).catch(() => undefined);
  }
  stdin.end();
}

function failed(argv: readonly string[], what: string, result: ExecResult): Failure {
  const tail = result.stderr.subarray(-STDERR_TAIL_BYTES).toString("utf8").trim();
  return new Failure("exec-failed", `Cannot run ${quoted(argv)}: ${what}${tail === "" ? "" : `: ${tail}`}`);
}

function interrupted(argv: readonly string[], signal: AbortSignal): Failure {
  return new Failure("aborted", `Cannot finish ${quoted(argv)}: interrupted`, { cause: signal.reason });
}

function quoted(argv: readonly string[]): string {
  return JSON.stringify(argv.join(" ").slice(0, 400));
}

function isExecutable(path: string): boolean {
  try {
    fs.accessSync(path, fs.constants.X_OK);
    return fs.statSync(path).isFile();
  } catch {
    return false;
  }
}
