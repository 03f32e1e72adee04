/**
 * createRevalidator(): answers of an upstream that are good for a while. Each key is asked for once per interval, by one request
 * however many wait for it. When the upstream fails, what was known before goes on being used, with a warning, and the
 * upstream gets a short rest.
 */
import { Failure, isFailure } from "../../core/failure.ts";
import type { Clock } from "../../host/host.ts";

export interface Checked<T> {
  readonly value: T;
  /** The upstream's failure, when the value is an old one. */
  readonly failure: Failure | undefined;
}

export interface Revalidator<T> {
  /** `stale` is asked when `refresh` fails and nothing is remembered; undefined makes the failure the caller's. */
  check(key: string, refresh: () => Promise<T>, stale: () => Promise<T | undefined>): Promise<Checked<T>>;
  /** Has it asked for again, unless it is being asked for. */
  forget(key: string): void;
}

export interface RevalidatorOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
}

/** How long an upstream may think before it counts as down. */
export const DEADLINE_MS = 15_000;
/** How long a failed upstream is left alone. */
export const REST_MS = 10_000;
const KEYS_MAX = 10_000;

interface Entry<T> {
  readonly answer: Promise<Checked<T>>;
  untilMs: number;
}

export function createRevalidator<T>({ clock, intervalMs }: RevalidatorOptions): Revalidator<T> {
  const entries = new Map<string, Entry<T>>();
  const ask = async (
    refresh: () => Promise<T>,
    before: Entry<T> | undefined,
    stale: () => Promise<T | undefined>,
  ): Promise<Checked<T>> => {
    try {
      return { value: await withDeadline(clock, refresh()), failure: undefined };
    } catch (error) {
      if (!isUpstreamFailure(error)) throw error;
      const value = before === undefined ? await stale() : (await before.answer).value;
      if (value === undefined) throw error;
      return { value, failure: error };
    }
  };
  return {
    async check(key, refresh, stale) {
      const known = entries.get(key);
      if (known !== undefined && known.untilMs > clock.elapsed()) return known.answer;
      const entry: Entry<T> = { answer: ask(refresh, known, stale), untilMs: Number.POSITIVE_INFINITY };
      entries.delete(key);
      entries.set(key, entry);
      const oldest = entries.size > KEYS_MAX ? entries.keys().next().value : undefined;
      if (oldest !== undefined) entries.delete(oldest);
      try {
        const checked = await entry.answer;
        entry.untilMs = clock.elapsed() + (checked.failure === undefined ? intervalMs : Math.min(intervalMs, REST_MS));
        return checked;
      } catch (error) {
        if (entries.get(key) === entry) entries.delete(key);
        throw error;
      }
    },
    forget(key) {
      if (entries.get(key)?.untilMs !== Number.POSITIVE_INFINITY) entries.delete(key);
    },
  };
}

/** An upstream that is down, busy, refusing or lying; anything else is an error of ours. */
export function isUpstreamFailure(error: unknown): error is Failure {
  return (
    isFailure(error, "network") ||
    isFailure(error, "unauthorized") ||
    isFailure(error, "denied") ||
    isFailure(error, "digest-mismatch") ||
    isFailure(error, "bad-input")
  );
}

/** Failure "network" when it takes too long. */
export async function withDeadline<T>(clock: Clock, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = async (): Promise<never> => {
    await clock.sleep(DEADLINE_MS, done.signal);
    throw new Failure("network", `Cannot wait for the upstream: it took more than ${DEADLINE_MS / 1000} s`);
  };
  try {
    return await Promise.race([work, late()]);
  } finally {
    done.abort();
  }
}
