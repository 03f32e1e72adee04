/**
 * RateLimiter: a bucket of tokens for each key, filled at a steady rate. What is kept is one number a key, and full buckets are
 * forgotten.
 */
import type { Clock } from "../../host/host.ts";
import { RegistryError } from "../errors.ts";

export interface RateLimiter {
  /** Milliseconds until the key has a token again; 0 when it has one. Takes nothing. */
  waitMs(key: string): number;
  spend(key: string): void;
}

const KEYS_MAX = 100_000;

/** `burst` tokens at first, one more each `refillMs`. */
export function createRateLimiter(
  clock: Pick<Clock, "elapsed">,
  { burst, refillMs }: { readonly burst: number; readonly refillMs: number },
): RateLimiter {
  /** When each key's bucket will be full again: the one number from which its level follows. */
  const fullAt = new Map<string, number>();
  const sweep = (now: number): void => {
    for (const [key, at] of fullAt) if (at <= now) fullAt.delete(key);
    // A flood of keys that are all in use: half of them start anew, so that the next sweep is far away.
    for (const key of fullAt.keys()) {
      if (fullAt.size <= KEYS_MAX / 2) break;
      fullAt.delete(key);
    }
  };
  return {
    waitMs: (key) => Math.max(0, (fullAt.get(key) ?? 0) - clock.elapsed() - (burst - 1) * refillMs),
    spend(key) {
      const now = clock.elapsed();
      if (fullAt.size >= KEYS_MAX) sweep(now);
      const at = Math.max(fullAt.get(key) ?? 0, now) + refillMs;
      fullAt.set(key, Math.min(at, now + burst * refillMs));
    },
  };
}

/** Status 429 with Retry-After in whole seconds, at least one. @see RFC 6585 section 4 */
export function tooManyRequests(waitMs: number, message: string): RegistryError {
  return new RegistryError(429, "TOOMANYREQUESTS", message, {
    headers: { "retry-after": String(Math.max(1, Math.ceil(waitMs / 1000))) },
  });
}

/** Whom an address stands for: an IPv6 client has a whole /64 to come from. */
export function clientOf(address: string): string {
  if (!address.includes(":")) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = "", tail] = address.split("%")[0]?.split("::") ?? [];
  const groups = head === "" ? [] : head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === "" ? 0 : tail.split(":").length);
  const all = [...groups, ...Array<string>(Math.max(0, missing)).fill("0"), ...(tail ? tail.split(":") : [])];
  return `${all.slice(0, 4).join(":")}::/64`;
}
