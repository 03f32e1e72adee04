/**
 * startRegistry(): a registry's directory as a server on the network, and its upkeep while it runs. When the signal comes, running
 * requests end first.
 */
import type { Progress } from "../core/progress.ts";
import type { Host, HttpServer } from "../host/host.ts";
import { isLoopback } from "../host/networks.ts";
import { CONFIG_NAME, inDirectory, readRegistryConfig, type RegistryConfig } from "./config.ts";
import { formatListen, type Listen } from "./config/listen.ts";
import { followTls, readTls } from "./operations/tls-files.ts";
import type { MakeDeltas } from "./operations/delta-jobs.ts";
import type { ConnectUpstream } from "./pull-through/open-pull-through.ts";
import { openService, type Service } from "./service.ts";
import { openStorage } from "./storage.ts";
import { keepUp } from "./upkeep/upkeep.ts";
import type { PlanUpgrade } from "./web/upgrade-cost.ts";

export interface RunningRegistry extends AsyncDisposable {
  /** `https://HOST:PORT`. */
  readonly url: string;
  /** Where the metrics are, if they have an address of their own. */
  readonly metricsUrl: string | undefined;
  /** Says so at /readyz, stops accepting, lets running requests end, sends the webhooks that wait. */
  close(): Promise<void>;
}

export interface StartOptions {
  /** Instead of the configuration's. */
  readonly listen?: Listen | undefined;
  readonly progress: Progress;
  /** How to reach the configuration's upstreams; without it such a configuration is refused. */
  readonly connectUpstream?: ConnectUpstream;
  /** How a client would upgrade, for the page. */
  readonly planUpgrade?: PlanUpgrade;
  /** For a configuration with `[deltas]`, which is refused without it. */
  readonly makeDeltas?: MakeDeltas;
}

/** Failure "not-found" when `directory` holds no registry, "bad-input" for its configuration. */
export async function startRegistry(
  host: Pick<Host, "files" | "clock" | "random" | "network" | "env" | "threads">,
  directory: string,
  options: StartOptions,
): Promise<RunningRegistry> {
  const { progress } = options;
  const config = readRegistryConfig(host, directory);
  const { tls, metrics, shutdown } = config;
  const at = inDirectory(directory);
  const storage = await openStorage(host, config.storage, at);
  const { driver } = storage;
  const service = openService(host, config, { ...options, driver, at });
  const listen = options.listen ?? config.listen;
  if (passwordsInTheClear(config, listen)) {
    progress.warn(
      `Passwords go over the network in the clear: "${formatListen(listen)}" is not loopback, and ${CONFIG_NAME} has no [tls] ` +
        "and no [proxies] that would have it",
    );
  }
  const server = await host.network.serve(service.handler, { ...listen, ...(tls && { tls: readTls(host, tls, at) }) });
  const aside = await serveAside(host, service, metrics?.listen, server);
  const stopped = new AbortController();
  const { signal } = stopped;
  const running = [
    keepUp(host, driver, {
      gc: config.gc,
      retention: config.retention,
      upstreams: config.upstream ?? [],
      signal,
      progress,
    }),
    ...(tls ? [followTls(host, server, { tls, at, progress, signal })] : []),
  ];
  const stop = async (): Promise<void> => {
    service.drain();
    if (shutdown.drain > 0) await host.clock.sleep(shutdown.drain);
    stopped.abort();
    const ended = Promise.all([server.close().then(() => service.close()), ...running]);
    const grace = new AbortController();
    await Promise.race([ended, host.clock.sleep(shutdown.grace, grace.signal).catch(() => undefined)]);
    grace.abort();
    server.abort();
    // Before the rest ends: it may wait for a store that does not answer.
    storage[Symbol.dispose]();
    await Promise.all([ended, aside?.close()]);
  };
  let stopping: Promise<void> | undefined;
  const close = (): Promise<void> => (stopping ??= stop());
  const url = `${tls === undefined ? "http" : "https"}://${formatListen({ host: listen.host, port: server.port })}`;
  const metricsUrl = aside && `http://${formatListen(aside)}/metrics`;
  return { url, metricsUrl, close, [Symbol.asyncDispose]: close };
}

/** Clients log in and nothing encrypts it: neither the registry nor a proxy in front of it. */
function passwordsInTheClear({ auth, tls, proxies }: RegistryConfig, listen: Listen): boolean {
  return auth !== undefined && tls === undefined && proxies === undefined && !isLoopback(listen.host);
}

/** Metrics and health on an address of their own; the registry's own server goes down with it when that fails. */
async function serveAside(
  host: Pick<Host, "network">,
  service: Service,
  listen: Listen | undefined,
  server: HttpServer,
): Promise<HttpServer | undefined> {
  if (listen === undefined) return undefined;
  try {
    return await host.network.serve(service.operations, listen);
  } catch (error) {
    await server.close();
    throw error;
  }
}
