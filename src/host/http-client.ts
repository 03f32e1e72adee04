/**
 * The HTTP/1.1 client: kept-alive connections, TLS settings per request, streaming both ways, no redirects.
 *
 * Invariants: body chunks are pulled as the socket takes them; a kept-alive connection that the server closed in the meantime is
 * tried once more on a new one when the request can be repeated; every error of the connection is a Failure "network".
 *
 * @see RFC 9112 section 9 (connection management)
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import type * as http from "node:http";
import type * as https from "node:https";
import type * as net from "node:net";
import { Failure } from "../core/failure.ts";
import type { ClientTls, HttpRequest, HttpResponse } from "./host.ts";
import { proxyFor, withoutPassword } from "./proxy.ts";
import { httpModule, httpsModule, tlsModule } from "./http-modules.ts";
import { readIncoming } from "./incoming-body.ts";

const AGENT = { keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 32 } as const;
const DRAIN_LIMIT_BYTES = 1 << 16;
/** Of a body that comes faster than it is read. */
const BODY_WAITING_BYTES = 1 << 18;

/**
 * Node reads 64 KiB at a time, each into a buffer of its own. All direct connections read into this one instead: the parser has copied
 * what it keeps when the event ends. A fast download then takes 0.6 of the time.
 */
const LARGE_READS = {
  buffer: Buffer.allocUnsafeSlow(1 << 19),
  callback(this: net.Socket, count: number, buffer: Uint8Array): boolean {
    this.emit("data", buffer.subarray(0, count));
    return true;
  },
};

/** Each client has its own pool of connections. */
export function createHttpClient(): (request: HttpRequest) => Promise<HttpResponse> {
  const agents = new Map<string, http.Agent>();
  const agentFor = (url: URL, settings: ClientTls, proxy: string | undefined): http.Agent => {
    const key = [url.protocol, proxy ?? "", tlsKey(settings)].join(" ");
    const known = agents.get(key);
    if (known !== undefined) return known;
    const way = proxy === undefined ? { onread: LARGE_READS } : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } };
    const options = { ...AGENT, ...way };
    const agent =
      url.protocol === "https:"
        ? new (httpsModule().Agent)({ ...options, ...tlsOptions(settings) })
        : new (httpModule().Agent)(options);
    if (url.protocol === "https:" && proxy !== undefined) boundTunnels(agent);
    agents.set(key, agent);
    return agent;
  };
  return async (request) => {
    const url = parseUrl(request.url);
    const proxy = proxyFor(url, process.env);
    const way = { agent: agentFor(url, request.tls ?? {}, proxy), proxy };
    for (;;) {
      try {
        return await exchange(request, url, way);
      } catch (error) {
        // Each takes one connection out of the pool, and a new one is never stale.
        if (!(error instanceof StaleConnection)) throw error;
      }
    }
  };
}

/** A connection that had been idle and was closed under us before any answer. */
class StaleConnection extends Error {}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Failure("bad-input", `Cannot request ${JSON.stringify(text)}: it is not an http or https URL`);
  }
  return url;
}

interface Way {
  readonly agent: http.Agent;
  readonly proxy: string | undefined;
}

function exchange(request: HttpRequest, url: URL, { agent, proxy }: Way): Promise<HttpResponse> {
  request.signal?.throwIfAborted();
  const repeatable = request.body === undefined || request.body instanceof Uint8Array;
  const via = proxy === undefined ? "" : ` through the proxy "${withoutPassword(proxy)}"`;
  const target = `"${url.protocol}//${url.host}"${via}`;
  const { connectTimeoutMs } = request;
  const isTunnel = proxy !== undefined && url.protocol === "https:";
  return new Promise((resolve, reject) => {
    const options: TunnelOptions = {
      agent,
      method: request.method,
      headers: { ...request.headers, ...lengthHeader(request) },
      ...(request.signal !== undefined && { signal: request.signal }),
      ...(isTunnel && { opener: request }),
    };
    const message = (url.protocol === "https:" ? httpsModule() : httpModule()).request(url, options);
    // HTTP/1.1 keeps connections without being asked.
    message.removeHeader("connection");
    let answered = false;
    let refused = false;
    message.once("response", (response) => {
      if (response.statusCode === 407 && proxy !== undefined) {
        message.destroy(new Error("it wants a user and a password"));
        return;
      }
      answered = true;
      refused = (response.statusCode ?? 0) >= 300;
      // A request that is not sent to its end leaves a connection that nobody can use again.
      response.once("close", () => message.writableEnded || message.destroy());
      resolve(toResponse(response, request, target));
    });
    message.on("error", (cause) => {
      // Node's proof that an idle connection was reused; without it the server really is gone.
      const stale = message.reusedSocket && /ECONNRESET|EPIPE/.test("code" in cause ? String(cause.code) : "");
      if (stale && repeatable && !answered) reject(new StaleConnection());
      else reject(networkFailure(request, target, cause));
    });
    if (connectTimeoutMs !== undefined && !isTunnel) limitConnecting(message, url, connectTimeoutMs);
    if (request.idleTimeoutMs !== undefined) {
      const timeoutMs = request.idleTimeoutMs;
      message.setTimeout(timeoutMs, () => message.destroy(new Error(`no byte for ${timeoutMs / 1000} s`)));
    }
    send(message, request.body, () => refused).catch((cause: unknown) => {
      message.destroy();
      reject(cause instanceof Failure ? cause : networkFailure(request, target, cause));
    });
  });
}

/** Node's own timeouts begin when there is a connection. */
function limitConnecting(message: http.ClientRequest, url: URL, timeoutMs: number): void {
  const timer = setTimeout(() => message.destroy(new Error(`no connection within ${timeoutMs / 1000} s`)), timeoutMs);
  const done = (): void => clearTimeout(timer);
  message.once("close", done).once("socket", (socket) => {
    if (message.reusedSocket) done();
    else socket.once(url.protocol === "https:" ? "secureConnect" : "connect", done);
  });
}

interface TunnelOptions extends http.ClientRequestArgs {
  /** Who opens it. */
  readonly opener?: Pick<HttpRequest, "signal" | "connectTimeoutMs">;
}

/** Until a tunnel stands, handshake and all, a request has no connection that it could end: neither an abort nor a limit reaches it. */
function boundTunnels(agent: http.Agent): void {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options: TunnelOptions, callback) => {
    const { signal, connectTimeoutMs = 0 } = options.opener ?? {};
    const socket = connect(options, (error, tunnel) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      callback?.(error, tunnel);
    });
    const end = (): void => void socket?.destroy(new Error(`no connection within ${connectTimeoutMs / 1000} s`));
    const timer = connectTimeoutMs === 0 ? undefined : setTimeout(end, connectTimeoutMs);
    signal?.addEventListener("abort", end, { once: true });
    return socket;
  };
}

function lengthHeader(request: HttpRequest): Record<string, string> {
  const given = Object.keys(request.headers ?? {}).some((name) => /^(?:content-length|transfer-encoding)$/i.test(name));
  if (given) return {};
  if (request.body instanceof Uint8Array) return { "content-length": String(request.body.length) };
  return request.body === undefined && /^(?:POST|PUT|PATCH)$/.test(request.method) ? { "content-length": "0" } : {};
}

/** Stops pulling as soon as the server has refused. */
async function send(message: http.ClientRequest, body: HttpRequest["body"], refused: () => boolean): Promise<void> {
  if (body === undefined || body instanceof Uint8Array) {
    message.end(body);
    return;
  }
  for await (const chunk of body) {
    if (refused() || message.destroyed) return;
    if (!message.write(chunk)) await drained(message);
  }
  message.end();
}

function drained(message: http.ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of EVENTS) message.off(event, done);
      resolve();
    };
    for (const event of EVENTS) message.once(event, done);
  });
}

const EVENTS = ["drain", "close", "response"] as const;

function toResponse(response: http.IncomingMessage, request: HttpRequest, target: string): HttpResponse {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return {
    status: response.statusCode ?? 0,
    headers,
    body: {
      async *[Symbol.asyncIterator]() {
        try {
          yield* readIncoming(response, BODY_WAITING_BYTES);
        } catch (cause) {
          throw networkFailure(request, target, cause);
        } finally {
          if (!response.complete) response.destroy();
        }
        if (!response.complete) throw networkFailure(request, target, new Error("the answer ended early"));
      },
    },
    discard: () => {
      response.on("error", () => undefined);
      const length = Number(headers["content-length"] ?? DRAIN_LIMIT_BYTES + 1);
      // Reading a short rest keeps the connection; a long one is cheaper to drop.
      if (length <= DRAIN_LIMIT_BYTES || request.method === "HEAD") response.resume();
      else response.destroy();
    },
  };
}

function networkFailure(request: HttpRequest, target: string, cause: unknown): Failure {
  if (request.signal?.aborted) {
    return new Failure("aborted", `Cannot finish ${request.method} ${target}: interrupted`, { cause });
  }
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const given = cause instanceof Error ? cause.message : String(cause);
  const text =
    (code === "EPROTO" ? ALERTS.find(([alert]) => alert.test(given))?.[1] : undefined) ?? REASONS[code] ?? given;
  return new Failure("network", `Cannot reach ${target}: ${text}`, {
    cause,
    ...(UNTRUSTED.has(code) && {
      hint: "add the server's certificate to the trusted ones, or switch TLS verification off",
    }),
  });
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]);

/** How a server that speaks TLS breaks off, as OpenSSL words it; to Node all of it is EPROTO. */
const ALERTS: readonly (readonly [alert: RegExp, reason: string])[] = [
  [
    /alert handshake failure/,
    "it broke off the TLS handshake: it may want a certificate of the client, or have none itself",
  ],
  [/alert protocol version|unsupported protocol/, "it speaks no version of TLS that is still safe"],
];

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused, nothing listens there",
  ECONNRESET: "the connection was closed before the answer was complete",
  ENOTFOUND: "no such host name",
  EAI_AGAIN: "the name server does not answer",
  ETIMEDOUT: "no answer in time",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  EPIPE: "the connection was closed while sending",
  EPROTO: "it does not speak TLS",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "it does not speak TLS",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed and not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate comes from an authority that is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate comes from an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate comes from an authority that is not trusted",
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "it wants a certificate of the client",
};

function tlsKey(settings: ClientTls): string {
  return createHash("sha256")
    .update(JSON.stringify([settings.ca, settings.cert, settings.key, settings.insecure]))
    .digest("hex");
}

function tlsOptions(settings: ClientTls): https.AgentOptions {
  return {
    ca: [...systemAuthorities(), ...(settings.ca ?? [])],
    rejectUnauthorized: settings.insecure !== true,
    ...(settings.cert !== undefined && { cert: settings.cert }),
    ...(settings.key !== undefined && { key: settings.key }),
  };
}

let authorities: readonly string[] | undefined;

/** The distribution's bundle of authorities, wherever it keeps it; Node's own where there is none. */
function systemAuthorities(): readonly string[] {
  authorities ??= readAuthorities();
  return authorities;
}

const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

function readAuthorities(): readonly string[] {
  const named = process.env["SSL_CERT_FILE"];
  for (const path of named === undefined ? BUNDLES : [named, ...BUNDLES]) {
    if (fs.existsSync(path)) return [fs.readFileSync(path, "utf8")];
  }
  return tlsModule().rootCertificates;
}
