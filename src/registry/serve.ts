/**
 * startRegistry(): a registry's directory as a server on the network, and its upkeep while it runs. When the signal comes, running
 * requests end first.
 */
import { isFailure } from "../core/failure.ts";
import type { Progress } from "../core/progress.ts";
import type { Host } from "../host/host.ts";
import { openAccess } from "./access/open-access.ts";
import { answering, type LogEntry } from "./answering.ts";
import { inDirectory, readRegistryConfig, type RegistryConfig } from "./config.ts";
import { formatListen, type Listen } from "./config/listen.ts";
import type { Driver } from "./driver.ts";
import { withEndpoints } from "./endpoints.ts";
import { createRegistry } from "./handler.ts";
import { auditEntry, openAudit } from "./operations/audit.ts";
import { followTls, readTls } from "./operations/tls-files.ts";
import { openStorage } from "./storage.ts";
import { createWeb } from "./web/web.ts";

export interface RunningRegistry extends AsyncDisposable {
  /** `https://HOST:PORT`. */
  readonly url: string;
  /** Stops accepting, lets running requests end. */
  close(): Promise<void>;
}

export interface StartOptions {
  /** Instead of the configuration's. */
  readonly listen?: Listen | undefined;
  readonly progress: Progress;
}

/** Uploads that got no byte for this long are dropped. */
const UPLOAD_LIFE_MS = 24 * 3600 * 1000;
const UPKEEP_MS = 3600 * 1000;
/** How long a running request may take to end when the server stops. */
const GRACE_MS = 10_000;

/** Failure "not-found" when `directory` holds no registry, "bad-input" for its configuration. */
export async function startRegistry(
  host: Pick<Host, "files" | "clock" | "random" | "network" | "env">,
  directory: string,
  options: StartOptions,
): Promise<RunningRegistry> {
  const config = readRegistryConfig(host, directory);
  const at = inDirectory(directory);
  const storage = await openStorage(host, config.storage, at);
  const { driver } = storage;
  const access = openAccess(host, config, at);
  const log = combined([
    (entry) => logRequest(options.progress, entry),
    ...auditing(host, config, at, options.progress),
  ]);
  const { authenticate } = access;
  const registry = createRegistry({ host, driver, authenticate, log });
  const canSignIn = config.auth !== undefined;
  const hasWeb = config.web?.enabled !== false;
  const handler = withEndpoints(
    { ...(access.tokenServer && { "/token": answering({ host, log }, access.tokenServer) }) },
    hasWeb ? createWeb({ host, driver, authenticate, canSignIn, log }, registry) : registry,
  );
  const listen = options.listen ?? config.listen;
  const { tls } = config;
  const server = await host.network.serve(handler, { ...listen, ...(tls && { tls: readTls(host, tls, at) }) });
  const stopped = new AbortController();
  const { signal } = stopped;
  const { progress } = options;
  const running = [
    keepUp(host, driver, { signal, progress }),
    ...(tls ? [followTls(host, server, { tls, at, progress, signal })] : []),
  ];
  const close = async (): Promise<void> => {
    stopped.abort();
    const grace = new AbortController();
    await Promise.race([server.close(), host.clock.sleep(GRACE_MS, grace.signal).catch(() => undefined)]);
    grace.abort();
    server.abort();
    await Promise.all(running);
    storage[Symbol.dispose]();
  };
  const url = `${tls === undefined ? "http" : "https"}://${formatListen({ host: listen.host, port: server.port })}`;
  return { url, close, [Symbol.asyncDispose]: close };
}

type Log = (entry: LogEntry) => void;

function combined(logs: readonly Log[]): Log {
  return (entry) => {
    for (const log of logs) log(entry);
  };
}

function auditing(
  host: Pick<Host, "files" | "clock">,
  config: RegistryConfig,
  at: (path: string) => string,
  progress: Progress,
): Log[] {
  if (config.audit === undefined) return [];
  const { pulls } = config.audit;
  const write = openAudit(host, at(config.audit.file), progress);
  return [
    (entry) => {
      const audited = auditEntry(entry, { pulls });
      if (audited !== undefined) write(audited);
    },
  ];
}

async function keepUp(
  host: Pick<Host, "clock">,
  driver: Driver,
  { signal, progress }: { readonly signal: AbortSignal; readonly progress: Progress },
): Promise<void> {
  while (!signal.aborted) {
    try {
      await driver.expireUploads(host.clock.now() - UPLOAD_LIFE_MS);
    } catch (error) {
      // The storage may be back next time.
      if (!isFailure(error)) throw error;
      progress.warn(error.message);
    }
    try {
      await host.clock.sleep(UPKEEP_MS, signal);
    } catch (error) {
      if (!isFailure(error, "aborted")) throw error;
    }
  }
}

function logRequest(progress: Progress, entry: LogEntry): void {
  const { address, user, method, target, status, tookMs, error } = entry;
  progress.say(`${address} ${user ?? "-"} ${method} ${target} ${status} ${tookMs.toFixed(1)} ms`);
  if (error === undefined) return;
  progress.warn(
    `error in ${method} ${target}: ${error instanceof Error ? (error.stack ?? error.message) : JSON.stringify(error)}`,
  );
}
