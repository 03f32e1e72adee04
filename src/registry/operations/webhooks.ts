/**
 * Webhooks: pushes and deletions of manifests, told to other programs in the envelope of docker's registry. Each receiver has a
 * bounded queue and gets its events in order; a failed delivery is tried again, later and later. A slow receiver never holds up
 * a push: events that do not fit are dropped, counted, and said in the log. Delivery is at least once: receivers know a repeat
 * by the event's id.
 *
 * @see distribution "Notifications"; the signature is GitHub's X-Hub-Signature-256
 */
import { createHmac } from "node:crypto";
import { Failure, isFailure } from "../../core/failure.ts";
import type { Progress } from "../../core/progress.ts";
import type { Host } from "../../host/host.ts";
import { compileGlob } from "../access/glob.ts";
import { type LogEntry, moreTags } from "../answering.ts";
import type { Route } from "../route.ts";

export interface Webhook {
  readonly url: string;
  /** The secret itself. */
  readonly secret: string | undefined;
  readonly events: readonly ("push" | "delete")[];
  /** Globs. */
  readonly repositories: readonly string[];
}

export interface RegistryEvent {
  readonly id: string;
  /** ISO 8601. */
  readonly timestamp: string;
  readonly action: "push" | "delete";
  readonly target: { readonly repository: string; readonly digest?: string; readonly tag?: string };
  readonly request: { readonly id: string; readonly addr: string; readonly method: string };
  readonly actor: { readonly name?: string };
}

export interface Webhooks {
  observe(entry: LogEntry): void;
  /** Events that wait, of all receivers. */
  waiting(): number;
  /** What waits is tried once more, without a pause, and given up after 15 s. */
  close(): Promise<void>;
}

export interface WebhookOptions {
  readonly progress: Pick<Progress, "warn">;
  /** Told of each delivery that ended. */
  readonly ended?: (result: "delivered" | "dropped") => void;
}

type ManifestRoute = Route & { readonly kind: "manifest" };
type WebhookHost = Pick<Host, "network" | "clock" | "random">;

const QUEUE_MAX = 1000;
const ATTEMPTS_MAX = 12;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5 * 60_000;
const TIMEOUT_MS = 10_000;
/** Of what waits when the registry stops, in all: a receiver that hangs must not hold it up. */
const LAST_TRY_MS = 15_000;

export function createWebhooks(host: WebhookHost, hooks: readonly Webhook[], options: WebhookOptions): Webhooks {
  const receivers = hooks.map((hook) => createReceiver(host, hook, options));
  return {
    observe(entry) {
      if (receivers.length === 0) return;
      for (const event of eventsOf(host, entry)) for (const receiver of receivers) receiver.tell(event);
    },
    waiting: () => receivers.reduce((sum, receiver) => sum + receiver.waiting(), 0),
    close: async () => {
      await Promise.all(receivers.map((receiver) => receiver.close()));
    },
  };
}

/** One for each tag that the request set, or one without a tag; none for a request that changed no manifest. */
function eventsOf(host: WebhookHost, entry: LogEntry): RegistryEvent[] {
  const { route, method, status } = entry;
  if (route?.kind !== "manifest" || status >= 300 || (method !== "PUT" && method !== "DELETE")) return [];
  const { reference } = route;
  const tags = new Set([...(reference.kind === "tag" ? [reference.tag] : []), ...moreTags(entry)]);
  return (tags.size === 0 ? [undefined] : [...tags]).map((tag) => eventOf(host, entry, { ...route, tag }));
}

function eventOf(
  host: WebhookHost,
  { method, user, address, digest }: LogEntry,
  { repository, reference, tag }: ManifestRoute & { readonly tag: string | undefined },
): RegistryEvent {
  const changed = reference.kind === "digest" ? reference.digest : digest;
  const id = Buffer.from(host.random(16)).toString("hex");
  return {
    id,
    timestamp: new Date(host.clock.now()).toISOString(),
    action: method === "PUT" ? "push" : "delete",
    target: {
      repository,
      ...(changed !== undefined && { digest: changed }),
      ...(tag !== undefined && { tag }),
    },
    request: { id, addr: address, method },
    actor: user === undefined ? {} : { name: user },
  };
}

interface Receiver {
  tell(event: RegistryEvent): void;
  waiting(): number;
  close(): Promise<void>;
}

function createReceiver(host: WebhookHost, hook: Webhook, options: WebhookOptions): Receiver {
  const globs = hook.repositories.map(compileGlob);
  const queue: RegistryEvent[] = [];
  // The rest of a URL may be a secret.
  const { origin } = new URL(hook.url);
  const closing = new AbortController();
  const givenUp = new AbortController();
  let sending: Promise<void> | undefined;
  const drop = (event: RegistryEvent, why: string): void => {
    options.ended?.("dropped");
    const { action, target } = event;
    options.progress.warn(`Webhook ${origin} did not get: ${action} ${target.repository}: ${why}`);
  };

  /** undefined when it was taken, else why not. */
  const deliver = async (event: RegistryEvent): Promise<string | undefined> => {
    let why: string | undefined;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      why = await post(host, hook, event, givenUp.signal);
      if (why === undefined || closing.signal.aborted) return why;
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
      if (attempt < ATTEMPTS_MAX) await pause(host, pauseMs, closing.signal);
    }
    return why;
  };
  const sendAll = async (): Promise<void> => {
    for (let event = queue[0]; event !== undefined; event = queue[0]) {
      const why = givenUp.signal.aborted ? "the registry stops" : await deliver(event);
      queue.shift();
      if (why === undefined) options.ended?.("delivered");
      else drop(event, why);
    }
    sending = undefined;
  };
  return {
    tell(event) {
      if (!hook.events.includes(event.action) || !globs.some((glob) => glob.test(event.target.repository))) return;
      if (queue.length >= QUEUE_MAX) return drop(event, "its queue is full");
      queue.push(event);
      sending ??= sendAll();
    },
    waiting: () => queue.length,
    async close() {
      closing.abort();
      const done = new AbortController();
      const late = pause(host, LAST_TRY_MS, done.signal).then(() => givenUp.abort(new Failure("aborted", "stopped")));
      await sending;
      done.abort();
      await late;
    },
  };
}

async function post(
  host: WebhookHost,
  hook: Webhook,
  event: RegistryEvent,
  signal: AbortSignal,
): Promise<string | undefined> {
  const body = Buffer.from(JSON.stringify({ events: [event] }));
  const headers = {
    "content-type": "application/vnd.docker.distribution.events.v2+json",
    "content-length": String(body.length),
    ...(hook.secret !== undefined && { "x-hub-signature-256": signature(hook.secret, body) }),
  };
  try {
    const response = await host.network.request({
      method: "POST",
      url: hook.url,
      headers,
      body,
      signal,
      connectTimeoutMs: TIMEOUT_MS,
      idleTimeoutMs: TIMEOUT_MS,
    });
    response.discard();
    return response.status < 300 ? undefined : `it answered ${response.status}`;
  } catch (error) {
    if (isFailure(error)) return error.message;
    throw error;
  }
}

/** As GitHub signs: what receivers already know how to check. */
export function signature(secret: string, body: Uint8Array): string {
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}

async function pause(host: WebhookHost, durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await host.clock.sleep(durationMs, signal);
  } catch (error) {
    if (!isFailure(error, "aborted")) throw error;
  }
}
