/**
 * waitForSsh(): until a login works. First the console's sign that sshd runs, or now and then a look whether one greets (a machine whose
 * console is silent gives no sign), then one real login.
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { ExecResult, Host } from "../host/host.ts";
import { consoleTail, consoleText, panicOf, showsSsh } from "./console.ts";
import type { VmPaths } from "./qemu-argv.ts";
import { greets } from "./ssh.ts";
import { runningPid } from "./state.ts";

const LOOK_EVERY_MS = 300;
/** Without a sign: rare, because each look costs the machine's sshd a client. */
const GREETING_EVERY_MS = 10_000;
const GREETING_TIMEOUT_MS = 3_000;
const LOGIN_TIMEOUT_MS = 45_000;

export interface SshOptions {
  readonly timeoutMs: number;
  readonly user?: string;
  readonly key?: string;
  /** false: a non-zero exit is a result. */
  readonly check?: boolean;
  readonly stdin?: string;
}

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly user?: string;
  readonly key?: string;
  /** Console bytes to leave out: a sign before this mark is of an earlier boot. */
  readonly since?: number;
  /** The console's last line, when it changed. */
  readonly onWait?: (what: string) => void;
  /** false: this login is not the awaited one (the boot before the reboot). */
  readonly accept?: () => Promise<boolean>;
}

export interface WaitContext {
  readonly host: Host;
  readonly name: string;
  readonly paths: VmPaths;
  readonly sshPort: () => Promise<number>;
  readonly ssh: (command: string, options: SshOptions) => Promise<ExecResult>;
  readonly condition: () => Promise<string>;
  readonly signal: AbortSignal;
}

/** Failure "check-failed" when the machine ends or panics, or no login works in time; "denied" when the key is refused. */
export async function waitForSsh(context: WaitContext, options: WaitOptions): Promise<void> {
  const { host, signal } = context;
  const startedMs = host.clock.elapsed();
  const port = await context.sshPort();
  const since = options.since ?? 0;
  let greetingMs = startedMs - GREETING_EVERY_MS + (since > 0 ? GREETING_EVERY_MS : 0);
  let told = "";
  for (;;) {
    const text = consoleText(host, context.paths, since);
    if (runningPid(host, context.name) === undefined) {
      throw new Failure(
        "check-failed",
        `Cannot wait for ssh of VM "${context.name}": it ended; its console shows: ${consoleTail(text)}`,
      );
    }
    const panic = panicOf(text);
    if (panic !== undefined) {
      throw new Failure("check-failed", `Cannot wait for ssh of VM "${context.name}": its kernel panicked: ${panic}`, {
        hint: `what it said before: ${context.paths.consoleLog}`,
      });
    }
    const nowMs = host.clock.elapsed();
    const sign = showsSsh(text);
    if (sign || nowMs - greetingMs >= GREETING_EVERY_MS) {
      greetingMs = nowMs;
      if (
        (await greets(host, port, { timeoutMs: GREETING_TIMEOUT_MS, signal })) &&
        (await logsIn(context, options)) &&
        (await accepted(context, options))
      )
        return;
    }
    const last = consoleTail(text, 1).slice(0, 100);
    if (last !== told) options.onWait?.(last);
    told = last;
    if (nowMs - startedMs > options.timeoutMs) {
      const tail = text === "" ? "its console is silent" : `its console shows: ${consoleTail(text)}`;
      throw new Failure(
        "check-failed",
        `Cannot wait longer for ssh of VM "${context.name}": ${options.timeoutMs / 1000} s are over; ${tail}`,
        { hint: `QEMU says: ${await context.condition()}` },
      );
    }
    await host.clock.sleep(LOOK_EVERY_MS, signal);
  }
}

/** The connection may break while it asks: a machine that shuts down still lets in for a moment. */
async function accepted(context: WaitContext, options: WaitOptions): Promise<boolean> {
  try {
    return (await options.accept?.()) ?? true;
  } catch (error) {
    context.signal.throwIfAborted();
    if (isFailure(error, "exec-failed")) return false;
    throw error;
  }
}

/** Without a key a greeting is all that can be asked for. A refused key does not get better by waiting. */
async function logsIn(context: WaitContext, options: WaitOptions): Promise<boolean> {
  if (options.key === undefined) return true;
  const user = options.user ?? "root";
  try {
    const result = await context.ssh("true", { timeoutMs: LOGIN_TIMEOUT_MS, user, key: options.key, check: false });
    if (result.exitCode === 0) return true;
    const reason = result.stderr.toString("utf8");
    if (/Permission denied/.test(reason)) {
      throw new Failure(
        "denied",
        `Cannot log in to VM "${context.name}" as ${user}: the key "${options.key}" is refused`,
      );
    }
    return false;
  } catch (error) {
    context.signal.throwIfAborted();
    if (isFailure(error, "exec-failed")) return false;
    throw error;
  }
}
