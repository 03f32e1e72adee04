/**
 * proxyFor(): the proxy that the environment names for a URL: HTTPS_PROXY, HTTP_PROXY, and NO_PROXY for what is reached directly.
 * Read as Go programs read it, so that it means here what it means to podman and skopeo.
 *
 * NO_PROXY holds names (with what is below them), `.names` (only what is below), addresses, networks as `10.0.0.0/8`, each with a
 * port if need be, or `*`. The loopback interface is never behind a proxy.
 *
 * @see golang.org/x/net/http/httpproxy, Config
 */
import { isIP } from "node:net";
import { Failure } from "../core/failure.ts";
import { compileNetworks, isLoopback } from "./networks.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** undefined: directly. Failure "unsupported" for a proxy that speaks no HTTP. */
export function proxyFor(url: URL, env: Environment): string | undefined {
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (isLoopback(hostname)) return undefined;
  const name = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const given = lookUp(env, name);
  if (given === undefined) return undefined;
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  if ((lookUp(env, "NO_PROXY") ?? "").split(",").some((rule) => covers(rule.trim(), hostname, port))) return undefined;
  const proxy = given.includes("://") ? given : `http://${given}`;
  if (URL.canParse(proxy) && /^https?:/.test(proxy)) return proxy;
  throw new Failure(
    "unsupported",
    `Cannot use the proxy of ${name}: it is "${withoutPassword(proxy)}", wanted an http or https URL`,
  );
}

/** For messages: a proxy's URL may hold a password, and that an @ or a slash. */
export function withoutPassword(proxy: string): string {
  return proxy.replace(/\/\/.*@/, "//");
}

function lookUp(env: Environment, name: string): string | undefined {
  return env[name] || env[name.toLowerCase()] || undefined;
}

function covers(rule: string, hostname: string, port: string): boolean {
  if (rule === "*") return true;
  if (/^[0-9a-fA-F.:]+\/\d{1,3}$/.test(rule)) return isInNetwork(hostname, rule);
  // A port follows a name, an IPv4 address, or an IPv6 address in brackets.
  const [, bare = rule, wantedPort] = (isIP(rule) === 0 ? /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(rule) : null) ?? [];
  if (bare === "" || (wantedPort !== undefined && wantedPort !== port)) return false;
  const name = bare.toLowerCase().replace(/^\*\./, ".");
  if (name.startsWith(".")) return hostname.endsWith(name);
  if (isIP(name) !== 0) return isInNetwork(hostname, name);
  return hostname === name || (isIP(hostname) === 0 && hostname.endsWith(`.${name}`));
}

/** A network that cannot be read covers nothing, as in Go. */
function isInNetwork(hostname: string, network: string): boolean {
  try {
    return compileNetworks([network])(hostname);
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
