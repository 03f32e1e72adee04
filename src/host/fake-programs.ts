/** Programs of the fake host: a table of handlers instead of processes. Each run is recorded and is one crash point. */
import { Failure } from "../core/failure.ts";
import type { FakeWorld } from "./fake-world.ts";
import type { Child, ExecOptions, ExecResult, Host } from "./host.ts";

export interface FakeRun {
  readonly argv: readonly string[];
  readonly stdin: Buffer;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface FakeOutcome {
  readonly exitCode?: number;
  readonly stdout?: string | Uint8Array;
  readonly stderr?: string | Uint8Array;
}

export type FakeProgram = (run: FakeRun) => FakeOutcome | undefined | Promise<FakeOutcome | undefined>;

export interface FakePrograms {
  readonly calls: Pick<Host, "exec" | "spawn" | "which">;
  readonly executed: (readonly string[])[];
}

export function createFakePrograms(
  world: FakeWorld,
  table: Readonly<Record<string, FakeProgram>>,
  env: Readonly<Record<string, string | undefined>>,
): FakePrograms {
  const executed: (readonly string[])[] = [];
  const start = (argv: readonly string[]): FakeProgram => {
    const name = (argv[0] ?? "").split("/").at(-1) ?? "";
    const program = table[argv[0] ?? ""] ?? table[name];
    if (program === undefined) {
      throw new Failure("missing-tool", `Cannot run ${JSON.stringify(argv[0] ?? "")}: it is not in PATH`);
    }
    executed.push([...argv]);
    return program;
  };

  const exec = async (argv: readonly string[], options: ExecOptions): Promise<ExecResult> => {
    options.signal?.throwIfAborted();
    const program = start(argv);
    const run: FakeRun = {
      argv,
      stdin: await bytesOf(options.stdin),
      env: options.env ?? env,
      cwd: options.cwd,
      signal: options.signal,
    };
    const outcome = (await world.mutate("exec", argv.join(" "), () => program(run))) ?? {};
    const stdout = Buffer.from(outcome.stdout ?? "");
    const stderr = Buffer.from(outcome.stderr ?? "");
    if (stdout.length > 0) options.onStdout?.(stdout);
    if (stderr.length > 0) options.onStderr?.(stderr);
    const exitCode = outcome.exitCode ?? 0;
    if (options.check !== false && exitCode !== 0) {
      const tail = stderr.subarray(-1024).toString("utf8").trim();
      throw new Failure(
        "exec-failed",
        `Cannot run ${JSON.stringify(argv.join(" "))}: exit status ${exitCode}${tail === "" ? "" : `: ${tail}`}`,
      );
    }
    return {
      exitCode,
      signal: undefined,
      stdout: options.onStdout === undefined ? stdout : Buffer.alloc(0),
      stderr: options.onStderr === undefined ? stderr : stderr.subarray(-1024),
    };
  };

  const spawn: Host["spawn"] = (argv, options) => {
    const program = start(argv);
    const input: Buffer[] = [];
    const inputEnded = Promise.withResolvers<void>();
    if (options.stdin !== "pipe") inputEnded.resolve();
    const outcome = inputEnded.promise.then(async () => {
      const run: FakeRun = {
        argv,
        stdin: Buffer.concat(input),
        env: options.env ?? env,
        cwd: options.cwd,
        signal: undefined,
      };
      return (await world.mutate("spawn", argv.join(" "), () => program(run))) ?? {};
    });
    outcome.catch(() => undefined);
    const output = async function* (of: "stdout" | "stderr"): AsyncGenerator<Uint8Array> {
      const bytes = Buffer.from((await outcome)[of] ?? "");
      if (bytes.length > 0) yield bytes;
    };
    const child: Child = {
      pid: 1000 + executed.length,
      stdout: options.stdout === "pipe" ? output("stdout") : undefined,
      stderr: options.stderr === "pipe" ? output("stderr") : undefined,
      write: async (bytes) => void input.push(Buffer.from(bytes)),
      endInput: () => inputEnded.resolve(),
      kill: () => inputEnded.resolve(),
      ended: outcome.then(({ exitCode }) => ({ exitCode: exitCode ?? 0, signal: undefined })),
    };
    child.ended.catch(() => undefined);
    return child;
  };

  return {
    calls: {
      exec,
      spawn,
      which: (program) => (program in table ? `/usr/bin/${program.split("/").at(-1)}` : undefined),
    },
    executed,
  };
}

async function bytesOf(input: ExecOptions["stdin"]): Promise<Buffer> {
  if (input === undefined) return Buffer.alloc(0);
  if (typeof input === "string" || input instanceof Uint8Array) return Buffer.from(input);
  const chunks: Uint8Array[] = [];
  for await (const chunk of input) chunks.push(chunk);
  return Buffer.concat(chunks);
}
