/** openPullThrough(): the configuration's upstreams, reached by a client that is given. */
import { Failure } from "../../core/failure.ts";
import type { Progress } from "../../core/progress.ts";
import type { Host } from "../../host/host.ts";
import type { RegistryConfig } from "../config.ts";
import type { Location } from "../config/upstream.ts";
import type { Driver } from "../driver.ts";
import { createPullThrough, namespaceOf, type PullThrough } from "./pull-through.ts";
import { createRoom } from "./room.ts";
import type { Upstream } from "./upstream.ts";

/** The registry is no client of registries: what starts it brings one. */
export type ConnectUpstream = (options: UpstreamOptions) => Upstream;

export interface UpstreamOptions {
  readonly location: Location;
  readonly insecure: boolean;
  /** Absolute; undefined for the files that a client looks in anyway. */
  readonly authFile: string | undefined;
}

export interface OpenOptions {
  readonly progress: Progress;
  readonly connectUpstream?: ConnectUpstream;
  /** Makes a path of the configuration absolute. */
  readonly at: (path: string) => string;
  readonly driver: Driver;
  readonly fetched?: (what: "kept" | "passed on") => void;
}

/** undefined when there are none. Failure "bad-input" for prefixes of which one lies below another. */
export function openPullThrough(
  host: Pick<Host, "clock">,
  upstreams: RegistryConfig["upstream"],
  { progress, connectUpstream, at, driver, fetched = () => {} }: OpenOptions,
): PullThrough | undefined {
  if (upstreams === undefined || upstreams.length === 0) return undefined;
  if (connectUpstream === undefined) throw new Failure("unsupported", "Cannot reach an upstream: there is no client");
  requireApart(upstreams.map(({ prefix }) => prefix));
  const rules = upstreams.map(({ prefix, location, insecure, authFile, interval: intervalMs, fetchesMax, size }) => ({
    prefix,
    namespace: location.path === "" ? namespaceOf(location.host) : undefined,
    upstream: connectUpstream({ location, insecure, authFile: authFile === undefined ? undefined : at(authFile) }),
    intervalMs,
    fetchesMax,
    room: size === undefined ? undefined : createRoom(host, driver, { prefix, size }),
  }));
  return createPullThrough({ clock: host.clock, rules, warn: (text) => progress.warn(text), fetched });
}

function requireApart(prefixes: readonly string[]): void {
  for (const [i, one] of prefixes.entries()) {
    const other = prefixes.find((each, j) => i !== j && `${each}/`.startsWith(`${one}/`));
    if (other === undefined) continue;
    throw new Failure(
      "bad-input",
      `Cannot use upstream prefix "${other}": it lies below prefix "${one}" or is the same`,
    );
  }
}
