/**
 * Transport: one request to its answer, over redirects and through short outages.
 *
 * Retried with backoff: a connection that failed and 408, 429, 502, 503, 504 (Retry-After counts). A redirect to another origin does
 * not get the Authorization header, and one from https to http is refused.
 *
 * @see RFC 9110 section 15.4; distribution-spec, "Errors"
 */
import { Failure, isFailure } from "../core/failure.ts";
import type { ClientTls, HttpResponse } from "../host/host.ts";
import { certificatesFor } from "./certificates.ts";
import type { RemoteContext } from "./context.ts";
import { backoffMs, isTransient, retryAfterMs } from "./retry.ts";

export interface TransportRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A function is called for each attempt. */
  readonly body?: Uint8Array | (() => AsyncIterable<Uint8Array>);
  /** Any certificate, and a redirect to plain HTTP, are fine. */
  readonly insecure: boolean;
  /** How often to try again; 4 by default. */
  readonly retries?: number;
}

/** The answer and where it came from, after redirects. */
export interface TransportResponse extends HttpResponse {
  readonly url: string;
}

export type Transport = (request: TransportRequest) => Promise<TransportResponse>;

const RETRIES = 4;
const REDIRECTS_MAX = 10;
const CONNECT_MS = 20_000;
const IDLE_MS = 60_000;

/** `registry` is the one that is reached, as a reference names it: its certificates are filed under that name. */
export function createTransport(context: RemoteContext, registry?: string): Transport {
  const certificates = new Map<string, ClientTls>();
  const tlsFor = (url: URL, insecure: boolean): ClientTls => {
    const name = registry !== undefined && isHostOf(url, registry) ? registry : url.host;
    const known = certificates.get(name) ?? certificatesFor(context.host, name, context.certDir);
    certificates.set(name, known);
    return insecure ? { ...known, insecure: true } : known;
  };
  return async (request) => {
    for (let attempt = 0; ; attempt += 1) {
      const last = attempt >= (request.retries ?? RETRIES);
      let waitMs = backoffMs(attempt, context.host);
      try {
        const response = await followRedirects(context, request, tlsFor);
        if (last || !isTransient(response.status)) return response;
        waitMs = retryAfterMs(response.headers["retry-after"], context.host.clock.now()) ?? waitMs;
        response.discard();
      } catch (error) {
        if (last || !isFailure(error, "network")) throw error;
      }
      await context.host.clock.sleep(waitMs, context.signal);
    }
  };
}

/** Where a registry answers: for all but docker.io its name. */
export function registryAddress(registry: string): string {
  return registry === "docker.io" ? "registry-1.docker.io" : registry;
}

/** What the server at `base` names as the next address, which may be relative. Failure "network" for one that HTTP cannot go to. */
export function givenAddress(text: string, base: string): URL {
  const url = URL.parse(text, base);
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  const given = JSON.stringify(text.slice(0, 200));
  throw new Failure("network", `Cannot use the address ${given} of "${new URL(base).origin}": wanted one of HTTP`);
}

/** A URL drops the port that its scheme has anyway. */
function isHostOf(url: URL, registry: string): boolean {
  return url.host === new URL(`${url.protocol}//${registryAddress(registry)}`).host;
}

async function followRedirects(
  context: RemoteContext,
  request: TransportRequest,
  tlsFor: (url: URL, insecure: boolean) => ClientTls,
): Promise<TransportResponse> {
  let url = new URL(request.url);
  let { method } = request;
  let headers: Readonly<Record<string, string>> = { "user-agent": "berth", ...request.headers };
  for (let redirects = 0; ; redirects += 1) {
    const response = await context.host.network.request({
      method,
      url: url.href,
      headers,
      ...(request.body !== undefined &&
        method === request.method && {
          body: typeof request.body === "function" ? request.body() : request.body,
        }),
      tls: tlsFor(url, request.insecure),
      signal: context.signal,
      connectTimeoutMs: CONNECT_MS,
      idleTimeoutMs: IDLE_MS,
    });
    const target = redirectTarget(response, url);
    if (target === undefined) return { ...response, url: url.href };
    response.discard();
    if (redirects >= REDIRECTS_MAX)
      throw new Failure("network", `Cannot fetch "${url.origin}": more than ${REDIRECTS_MAX} redirects`);
    if (url.protocol === "https:" && target.protocol !== "https:" && !request.insecure) {
      throw new Failure(
        "network",
        `Cannot follow the redirect of "${url.origin}": it leads from https to ${target.protocol.slice(0, -1)}`,
      );
    }
    if (target.origin !== url.origin) headers = withoutAuthorization(headers);
    if (response.status === 303 && method !== "HEAD") method = "GET";
    url = target;
  }
}

function redirectTarget(response: HttpResponse, from: URL): URL | undefined {
  const location = response.headers["location"];
  if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) return undefined;
  return givenAddress(location, from.href);
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== "authorization"));
}
