/**
 * createPasswordCheck(): bcrypt on a thread of its own. It is slow on purpose, and in JavaScript: on the thread that answers requests a
 * few wrong passwords a second would keep everybody waiting. One thread for all registries of the process, so that a flood of logins
 * takes one core and no more.
 */
import { compare } from "bcryptjs";
import { Failure } from "../../core/failure.ts";
import type { Host } from "../../host/host.ts";
import { startWorker } from "../../host/worker.ts";

/** Whether `password` is the one of `entry`, a bcrypt hash. Failure "io" when the thread ends. */
export type PasswordCheck = (password: string, entry: string) => Promise<boolean>;

export interface PasswordQuestion {
  readonly id: number;
  readonly password: string;
  readonly entry: string;
}

export interface PasswordAnswer {
  readonly id: number;
  readonly matches: boolean;
}

let shared: PasswordCheck | undefined;

export function createPasswordCheck(host: Pick<Host, "threads">): PasswordCheck {
  return host.threads === true ? (shared ??= onThread()) : compare;
}

/** The thread starts with the first password, and again after it died; it keeps no process alive that has nothing to ask. */
function onThread(): PasswordCheck {
  const waiting = new Map<number, PromiseWithResolvers<boolean>>();
  let worker: ReturnType<typeof startWorker> | undefined;
  let asked = 0;
  const lose = (cause: unknown): void => {
    worker = undefined;
    for (const { reject } of waiting.values())
      reject(new Failure("io", "Cannot check passwords: the thread ended", { cause }));
    waiting.clear();
  };
  const start = (): ReturnType<typeof startWorker> => {
    const started = startWorker("registry/access/password.worker", undefined);
    started.on("message", ({ id, matches }: PasswordAnswer) => {
      waiting.get(id)?.resolve(matches);
      waiting.delete(id);
      if (waiting.size === 0) started.unref();
    });
    started.on("error", lose);
    started.on("exit", lose);
    return started;
  };
  return (password, entry) => {
    worker ??= start();
    worker.ref();
    const id = asked++;
    const answer = Promise.withResolvers<boolean>();
    waiting.set(id, answer);
    worker.postMessage({ id, password, entry } satisfies PasswordQuestion);
    return answer.promise;
  };
}
