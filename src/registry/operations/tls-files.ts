/**
 * The key pair and the authorities of a TLS server, in files that change while it runs: certificates are short-lived, and a
 * restart would break running transfers.
 */
import { Failure, isFailure } from "../../core/failure.ts";
import type { Progress } from "../../core/progress.ts";
import type { Host, HttpServer, ServerTls } from "../../host/host.ts";
import type { RegistryConfig } from "../config.ts";

export type TlsConfig = NonNullable<RegistryConfig["tls"]>;

/** Failure "not-found" and the like for a file that cannot be read. `at` makes its path absolute. */
export function readTls(host: Pick<Host, "files">, tls: TlsConfig, at: (path: string) => string): ServerTls {
  if (tls.clientAuth === "required" && tls.clientCa === undefined) {
    throw new Failure("bad-input", "Cannot require client certificates: tls.client-ca is absent");
  }
  return {
    cert: host.files.readText(at(tls.certificate)),
    key: host.files.readText(at(tls.key)),
    clientCa: tls.clientCa && host.files.readText(at(tls.clientCa)),
    clientRequired: tls.clientAuth === "required",
  };
}

const LOOK_MS = 2000;

/** Gives changed files to the server until `signal`. Files that do not fit together yet (one is new, one old) are tried again. */
export async function followTls(
  host: Pick<Host, "files" | "clock">,
  server: Pick<HttpServer, "reloadTls">,
  options: {
    readonly tls: TlsConfig;
    readonly at: (path: string) => string;
    readonly progress: Pick<Progress, "say" | "warn">;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { tls, at, signal } = options;
  const paths = [tls.certificate, tls.key, ...(tls.clientCa === undefined ? [] : [tls.clientCa])].map(at);
  const state = (): string =>
    paths
      .map((path) => host.files.stat(path))
      .map((stat) => (stat === undefined ? "" : `${stat.ino}:${stat.size}:${stat.mtimeSec}:${stat.mtimeNsec}`))
      .join(" ");
  let seen = state();
  while (await slept(host, signal)) {
    const now = state();
    if (now === seen) continue;
    seen = now;
    try {
      server.reloadTls(readTls(host, tls, at));
      options.progress.say("Took the new TLS files");
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      options.progress.warn(`${error.message}${error.cause instanceof Error ? `: ${error.cause.message}` : ""}`);
    }
  }
}

async function slept(host: Pick<Host, "clock">, signal: AbortSignal): Promise<boolean> {
  try {
    await host.clock.sleep(LOOK_MS, signal);
    return true;
  } catch (error) {
    if (isFailure(error, "aborted")) return false;
    throw error;
  }
}
