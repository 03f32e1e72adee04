/**
 * openService(): everything that a registry's configuration asks for, put together as one handler, without a socket: the API, the
 * token server, the page, copies of other registries, health, metrics, and what listens to each request (log, audit, metrics, webhooks).
 */
import { explained, Failure } from "../core/failure.ts";
import type { Progress } from "../core/progress.ts";
import type { Host, HttpHandler } from "../host/host.ts";
import { behindProxies } from "./access/behind-proxies.ts";
import { compileGlob } from "./access/glob.ts";
import { openAccess } from "./access/open-access.ts";
import { answering, type LogEntry } from "./answering.ts";
import { openToAll } from "./auth.ts";
import type { RegistryConfig } from "./config.ts";
import type { Driver } from "./driver.ts";
import { type Endpoints, withEndpoints } from "./endpoints.ts";
import { RegistryError } from "./errors.ts";
import { createRegistry } from "./handler.ts";
import { createDeltaJobs, type DeltaJobs, type MakeDeltas } from "./operations/delta-jobs.ts";
import { auditEntry, openAudit } from "./operations/audit.ts";
import { healthz, metricsEndpoint, readyz } from "./operations/health.ts";
import { createMetrics, type Metrics } from "./operations/metrics.ts";
import { createWebhooks, type Webhooks } from "./operations/webhooks.ts";
import { type ConnectUpstream, openPullThrough } from "./pull-through/open-pull-through.ts";
import { createUpgradeCosts, type PlanUpgrade, type UpgradeCosts } from "./web/upgrade-cost.ts";
import { createWeb } from "./web/web.ts";

export interface Service {
  readonly handler: HttpHandler;
  /** For an address of its own: health and metrics. */
  readonly operations: HttpHandler;
  /** From now on /readyz says no. */
  drain(): void;
  /** Sends the events that wait, and breaks off deltas. */
  close(): Promise<void>;
}

export interface ServiceOptions {
  readonly driver: Driver;
  /** Makes a path of the configuration absolute. */
  readonly at: (path: string) => string;
  readonly progress: Progress;
  readonly connectUpstream?: ConnectUpstream;
  /** How a client would upgrade; without it the page does not say what that moves. */
  readonly planUpgrade?: PlanUpgrade;
  /** For a configuration with `[deltas]`. */
  readonly makeDeltas?: MakeDeltas | undefined;
}

type ServiceHost = Pick<Host, "files" | "clock" | "random" | "network" | "threads">;
type Log = (entry: LogEntry) => void;

/** Failure "bad-input" or "not-found" for what the configuration names and is not usable. */
export function openService(host: ServiceHost, config: RegistryConfig, options: ServiceOptions): Service {
  const { driver, at, progress } = options;
  const access = openAccess(host, config, at);
  const { authenticate } = access;
  const metrics = createMetrics();
  const webhooks = openWebhooks(host, config, options, metrics);
  metrics.gauge("berth_registry_webhooks_waiting", "Webhook events not yet delivered", () => webhooks.waiting());
  const deltas = openDeltas(config, options, metrics);
  const log = combined([
    (entry) => logRequest(progress, entry),
    (entry) => metrics.observe(entry),
    (entry) => webhooks.observe(entry),
    (entry) => deltas.observe(entry),
    ...auditing(host, config, options),
  ]);
  const { notice } = config.protocol;
  const sparse = config.protocol.sparse.map(compileGlob);
  const api = createRegistry({
    host,
    driver,
    leaseMs: config.gc.grace,
    quotas: config.quota,
    immutableTags: config.tags.immutable,
    authenticate,
    pullThrough: openPullThrough(host, config.upstream, { ...options, fetched: fetchedCounter(metrics) }),
    log,
    takesSparse: (repository) => sparse.some((glob) => glob.test(repository)),
    notice,
  });
  let draining = false;
  const health = { "/healthz": healthz, "/readyz": readyz(driver, () => draining) };
  const endpoints: Endpoints = {
    ...health,
    ...(access.tokenServer && { "/token": answering({ host, log }, access.tokenServer) }),
    ...(config.metrics &&
      config.metrics.listen === undefined && {
        "/metrics": metricsEndpoint(metrics, { authenticate, users: config.metrics.users }),
      }),
  };
  const canSignIn = config.auth !== undefined;
  const costs = upgradeCosts(host, options);
  const rest =
    config.web?.enabled === false ? api : createWeb({ host, driver, authenticate, canSignIn, costs, log }, api);
  const nothing = answering({ host }, () => {
    throw new RegistryError(404, "UNSUPPORTED", "there is no such endpoint");
  });
  return {
    handler: behindProxies(config.proxies, metrics.counting(withEndpoints(endpoints, { api, rest }))),
    operations: withEndpoints({ ...health, "/metrics": metricsEndpoint(metrics) }, { api: nothing, rest: nothing }),
    drain: () => void (draining = true),
    close: async () => void (await Promise.all([webhooks.close(), deltas.close()])),
  };
}

/** The page has decided who may read what it asks for. */
function upgradeCosts(host: ServiceHost, { driver, planUpgrade }: ServiceOptions): UpgradeCosts {
  if (planUpgrade === undefined) return async () => undefined;
  return createUpgradeCosts(createRegistry({ host, driver, authenticate: openToAll }), planUpgrade);
}

function combined(logs: readonly Log[]): Log {
  return (entry) => {
    for (const log of logs) log(entry);
  };
}

function auditing(host: ServiceHost, { audit }: RegistryConfig, { at, progress }: ServiceOptions): Log[] {
  if (audit === undefined) return [];
  const write = openAudit(host, at(audit.file), progress);
  return [
    (entry) => {
      const audited = auditEntry(entry, audit);
      if (audited !== undefined) write(audited);
    },
  ];
}

function fetchedCounter(metrics: Pick<Metrics, "counter">): (what: "kept" | "passed on") => void {
  const counters = {
    kept: metrics.counter("berth_registry_upstream_blobs_kept_total", "Blobs fetched from upstreams to be kept"),
    "passed on": metrics.counter("berth_registry_upstream_blobs_passed_total", "Blobs passed on: no room to keep them"),
  };
  return (what) => counters[what].add();
}

function openWebhooks(
  host: ServiceHost,
  config: RegistryConfig,
  { at, progress }: ServiceOptions,
  metrics: Pick<Metrics, "counter">,
): Webhooks {
  const hooks = config.webhooks.map((hook) => ({
    ...hook,
    secret: hook.secret && readSecret(host, at(hook.secret), hook.url),
  }));
  const counters = {
    delivered: metrics.counter("berth_registry_webhooks_delivered_total", "Webhook events that a receiver took"),
    dropped: metrics.counter("berth_registry_webhooks_dropped_total", "Webhook events that were given up"),
  };
  return createWebhooks(host, hooks, { progress, ended: (result) => counters[result].add() });
}

function readSecret(host: Pick<Host, "files">, path: string, url: string): string {
  const what = `Cannot use the secret of webhook ${new URL(url).origin}`;
  const secret = explained(what, () => host.files.readText(path).trim());
  if (secret === "") throw new Failure("bad-input", `${what}: "${path}" is empty, and everybody could sign with that`);
  return secret;
}

function logRequest(progress: Progress, entry: LogEntry): void {
  const { address, user, status, tookMs, error } = entry;
  if (progress.isQuiet === true && error === undefined) return;
  const [method, target] = [asWord(entry.method), asWord(entry.target)];
  progress.say(`${address} ${asWord(user ?? "-")} ${method} ${target} ${status} ${tookMs.toFixed(1)} ms`);
  if (error === undefined) return;
  progress.warn(
    `error in ${method} ${target}: ${error instanceof Error ? (error.stack ?? error.message) : JSON.stringify(error)}`,
  );
}

function openDeltas(config: RegistryConfig, { progress, makeDeltas }: ServiceOptions, metrics: Metrics): DeltaJobs {
  const counters = {
    made: metrics.counter("berth_registry_deltas_made_total", "Images to which deltas were made after a push"),
    failed: metrics.counter("berth_registry_deltas_failed_total", "Images to which no deltas could be made"),
  };
  const jobs = createDeltaJobs(config.deltas, { makeDeltas, progress, ended: (result) => counters[result].add() });
  metrics.gauge("berth_registry_deltas_waiting", "Images to which deltas are to be made", () => jobs.waiting());
  return jobs;
}

/** What a client chose, so that it ends no field, begins no line and commands no terminal. */
function asWord(text: string): string {
  return text.replace(/[\s\p{Cc}\p{Cf}]/gu, (character) => encodeURIComponent(character));
}
