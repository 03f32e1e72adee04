/**
 * When a request is tried again, and after how long: as long as the server asked for, else a wait that doubles. Whoever tries again by
 * itself, because it goes on at another byte, throws TransientFailure and waits with waitToRetry().
 *
 * @see RFC 9110 section 10.2.3
 */
import { Failure } from "../core/failure.ts";
import type { Host, HttpResponse } from "../host/host.ts";
import { refusal } from "./answer.ts";
import type { RemoteContext } from "./context.ts";

const RETRY_AFTER_MAX_MS = 60_000;

/** Failure "network" of a server that may answer in a moment. */
export class TransientFailure extends Failure {
  /** What the server asked for; undefined when it did not say. */
  readonly waitMs: number | undefined;

  constructor(message: string, waitMs: number | undefined) {
    super("network", message);
    this.waitMs = waitMs;
  }
}

/** TransientFailure for a status that may be gone in a moment, else a Failure "io", with the registry's words. Reads the body. */
export async function statusFailure(context: RemoteContext, response: HttpResponse, cannot: string): Promise<Failure> {
  const waitMs = retryAfterMs(response.headers["retry-after"], context.host.clock.now());
  const message = `${cannot}: ${await refusal(response)}`;
  return isTransient(response.status) ? new TransientFailure(message, waitMs) : new Failure("io", message);
}

/** Sleeps before an attempt; `error` is what ended the last one, and `failures` how many there were without success, from 0. */
export async function waitToRetry({ host, signal }: RemoteContext, failures: number, error: unknown): Promise<void> {
  const askedMs = error instanceof TransientFailure ? error.waitMs : undefined;
  await host.clock.sleep(askedMs ?? backoffMs(failures, host), signal);
}

/** Statuses that may be gone in a moment. */
export function isTransient(status: number): boolean {
  return [408, 429, 502, 503, 504].includes(status);
}

/** 0.5 s, doubling, at most 16 s; up to half of it is left to chance, so that many clients do not come back at the same time. */
export function backoffMs(attempt: number, host: Pick<Host, "random">): number {
  const fullMs = Math.min(16_000, 500 * 2 ** attempt);
  return Math.round(fullMs * (1 - (host.random(1)[0] ?? 0) / 512));
}

/** Seconds or a date; capped, because a server may ask for an hour. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(RETRY_AFTER_MAX_MS, Math.max(0, ms));
}
