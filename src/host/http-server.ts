/**
 * serveHttp(): Node's HTTP server as a function from request to response, streaming both ways.
 *
 * Invariants: response bytes are pulled as the socket takes them; a client that goes away aborts `request.signal`; HEAD, 204 and 304
 * carry no body; an error of the handler is 500 without its text.
 *
 * @see RFC 9110 section 6.4.1 (which responses have content)
 */
import type * as http from "node:http";
import type { SecureContextOptions } from "node:tls";
import { endOfTurn } from "../core/end-of-turn.ts";
import { Failure } from "../core/failure.ts";
import { requireCertificate, requireKeyPair } from "../core/key-pair.ts";
import type {
  FileStream,
  HttpHandler,
  HttpServer,
  ServeOptions,
  ServerRequest,
  ServerResponse,
  ServerTls,
} from "./host.ts";
import { httpModule, httpsModule } from "./http-modules.ts";
import { readIncoming } from "./incoming-body.ts";
import { keepYoungHeapSmall } from "./young-heap.ts";

/** Of bytes of one request or response in memory: large enough to keep a connection busy, small enough for a thousand. */
const HIGH_WATER_MARK_BYTES = 1 << 18;
/** Up to here, copying a body costs less than a second write. */
const ONE_WRITE_BYTES = 16 * 1024;
const MAX_HEADER_BYTES = 64 * 1024;
const IDLE_MS = 120_000;
/** For the TLS handshake, and for the head of a request once it has begun. */
const HEAD_MS = 20_000;

export async function serveHttp(handler: HttpHandler, options: ServeOptions): Promise<HttpServer> {
  keepYoungHeapSmall();
  const settings = {
    maxHeaderSize: options.maxHeaderBytes ?? MAX_HEADER_BYTES,
    highWaterMark: HIGH_WATER_MARK_BYTES,
    headersTimeout: HEAD_MS,
    // An upload takes as long as it takes; a connection on which nothing moves is ended below.
    requestTimeout: 0,
    keepAliveTimeout: 30_000,
    noDelay: true,
    joinDuplicateHeaders: true,
    // A request without a body has no stream of one to open and close.
    optimizeEmptyRequests: true,
  };
  let closing: Promise<void> | undefined;
  const isClosing = (): boolean => closing !== undefined;
  const listener = (incoming: http.IncomingMessage, outgoing: http.ServerResponse): void => {
    const certificateName = certificates.get(incoming.socket);
    void answer(handler, incoming, outgoing, { scheme, certificateName, isClosing }).then(() => {
      // An answer whose head went out before close() leaves an idle connection behind.
      const leave = (): void => void setImmediate(() => server.closeIdleConnections());
      if (!isClosing()) return;
      if (outgoing.writableFinished) leave();
      else outgoing.once("finish", leave);
    });
  };
  const { server, scheme, certificates, reloadTls } = createServer(settings, listener, options.tls);
  server.timeout = options.idleTimeoutMs ?? IDLE_MS;
  await listen(server, options);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
    return closing;
  };
  const abort = (): void => server.closeAllConnections();
  return { host: options.host, port, reloadTls, abort, close, [Symbol.asyncDispose]: close };
}

interface CreatedServer {
  readonly server: http.Server;
  readonly scheme: string;
  /** The common name of each connection's certificate. */
  readonly certificates: WeakMap<object, string>;
  readonly reloadTls: (tls: ServerTls) => void;
}

function createServer(settings: http.ServerOptions, listener: http.RequestListener, tls?: ServerTls): CreatedServer {
  const certificates = new WeakMap<object, string>();
  if (tls === undefined) {
    const server = httpModule().createServer(settings, listener);
    return { server, scheme: "http", certificates, reloadTls: () => {} };
  }
  const server = httpsModule().createServer(
    {
      ...settings,
      handshakeTimeout: HEAD_MS,
      requestCert: tls.clientCa !== undefined,
      rejectUnauthorized: tls.clientRequired ?? false,
    },
    listener,
  );
  const useTls = ({ cert, key, clientCa }: ServerTls, message: string): void => {
    const context: SecureContextOptions = { cert, key, ...(clientCa !== undefined && { ca: clientCa }) };
    try {
      requireKeyPair({ cert, key });
      if (clientCa !== undefined) requireCertificate(clientCa);
      server.setSecureContext(context);
    } catch (cause) {
      throw new Failure("bad-input", message, { cause });
    }
  };
  useTls(tls, "Cannot use the TLS key pair: wanted a certificate and its private key, both PEM");
  server.on("secureConnection", (socket) => {
    if (!socket.authorized) return;
    const name: unknown = socket.getPeerCertificate().subject?.CN;
    if (typeof name === "string") certificates.set(socket, name);
  });
  const reloadTls = (next: ServerTls): void => useTls(next, "Cannot use the new TLS key pair: it stays as it was");
  return { server, scheme: "https", certificates, reloadTls };
}

function listen(server: http.Server, options: ServeOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const code = "code" in cause ? String(cause.code) : "";
      const where = `${options.host}:${options.port}`;
      const reason = LISTEN_ERRORS[code];
      reject(
        new Failure(reason?.[0] ?? "network", `Cannot listen on ${where}: ${reason?.[1] ?? cause.message}`, { cause }),
      );
    });
    server.listen({ host: options.host, port: options.port, backlog: 1024 }, resolve);
  });
}

const LISTEN_ERRORS: Readonly<Record<string, readonly ["busy" | "denied" | "not-found", string]>> = {
  EADDRINUSE: ["busy", "the port is in use"],
  EACCES: ["denied", "ports below 1024 need root"],
  EADDRNOTAVAIL: ["not-found", "this machine has no such address"],
  ENOTFOUND: ["not-found", "no such host name"],
};

interface ConnectionFacts {
  readonly scheme: string;
  readonly certificateName: string | undefined;
  readonly isClosing: () => boolean;
}

async function answer(
  handler: HttpHandler,
  incoming: http.IncomingMessage,
  outgoing: http.ServerResponse,
  connection: ConnectionFacts,
): Promise<void> {
  const { scheme, certificateName } = connection;
  outgoing.on("error", () => undefined);
  incoming.on("error", () => undefined);
  const url = targetUrl(incoming, scheme);
  // Two of them, joined (RFC 9112, 3.2).
  if (url === undefined || incoming.headers.host?.includes(",") === true) {
    refuse(outgoing, 400);
    return;
  }
  let response: ServerResponse;
  try {
    response = await handler(new IncomingRequest(incoming, outgoing, url), {
      address: incoming.socket.remoteAddress ?? "",
      certificateName,
    });
  } catch {
    refuse(outgoing, 500);
    return;
  }
  // Answers that go out together wake the client up once, not one time each: with many requests at once that is a third of all work.
  await endOfTurn();
  try {
    await send(response, incoming, outgoing, connection);
  } catch {
    // The head is out: only a broken connection tells the client that the body is not whole.
    outgoing.destroy();
  }
}

function refuse(outgoing: http.ServerResponse, status: number): void {
  outgoing.writeHead(status, { "content-length": "0", connection: "close" });
  outgoing.end();
}

/** undefined when Host and target make no URL. A target may be a whole URL: a client that takes us for a proxy (RFC 9112, 3.2.2). */
function targetUrl(incoming: http.IncomingMessage, scheme: string): string | undefined {
  const target = incoming.url ?? "/";
  const url = target.startsWith("/") ? `${scheme}://${incoming.headers.host ?? "localhost"}${target}` : target;
  return URL.canParse(url) ? url : undefined;
}

/** A class, because an object with an accessor of its own costs more to make than all else here. */
class IncomingRequest implements ServerRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: ServerRequest["headers"];
  readonly body: ServerRequest["body"];
  readonly #outgoing: http.ServerResponse;
  #signal: AbortSignal | undefined;

  constructor(incoming: http.IncomingMessage, outgoing: http.ServerResponse, url: string) {
    this.method = incoming.method ?? "GET";
    this.url = url;
    this.headers = {
      get(name) {
        const value = incoming.headers[name.toLowerCase()];
        return typeof value === "string" ? value : null;
      },
    };
    // An early stop of the reader must not end the connection: the refusal still has to go out on it.
    const hasBody = this.method !== "GET" && this.method !== "HEAD" && !isEmpty(incoming);
    this.body = hasBody ? readIncoming(incoming, HIGH_WATER_MARK_BYTES) : null;
    this.#outgoing = outgoing;
  }

  get signal(): AbortSignal {
    this.#signal ??= signalOf(this.#outgoing);
    return this.#signal;
  }
}

function signalOf(outgoing: http.ServerResponse): AbortSignal {
  const gone = new AbortController();
  const end = (): void => {
    if (outgoing.writableFinished) return;
    gone.abort(new Failure("aborted", "Cannot finish the answer: the client went away"));
  };
  if (outgoing.closed) end();
  else outgoing.once("close", end);
  return gone.signal;
}

function isEmpty(incoming: http.IncomingMessage): boolean {
  return incoming.headers["transfer-encoding"] === undefined && Number(incoming.headers["content-length"] ?? 0) === 0;
}

async function send(
  response: ServerResponse,
  incoming: http.IncomingMessage,
  outgoing: http.ServerResponse,
  { isClosing }: ConnectionFacts,
): Promise<void> {
  const { status, headers, body } = response;
  const noContent = status === 204 || status === 304 || status < 200;
  const bodyless = noContent || incoming.method === "HEAD";
  const head: string[] = [];
  for (const [name, value] of headers) head.push(name, value);
  if (!bodyless && body === null && !headers.has("content-length")) head.push("content-length", "0");
  if (status >= 400 && !incoming.complete) closeAfterwards(incoming, outgoing, head);
  else if (isClosing()) head.push("connection", "close");
  outgoing.writeHead(status, head);
  if (bodyless || body === null) {
    if (body instanceof ReadableStream) await body.cancel();
    outgoing.end();
    return;
  }
  if (body instanceof Uint8Array && body.length <= ONE_WRITE_BYTES) {
    // Node writes a text and the head before it in one call, and bytes in a second one.
    outgoing.end(Buffer.from(body.buffer, body.byteOffset, body.length).toString("latin1"), "latin1");
    return;
  }
  if (body instanceof Uint8Array) outgoing.write(body);
  else if (isFile(body)) await sendFile(body, outgoing);
  else {
    for await (const chunk of body) {
      if (outgoing.destroyed) return;
      if (!outgoing.write(chunk)) await drained(outgoing);
    }
  }
  // After end() the connection counts as idle, and close() would cut off what the socket has not taken yet.
  if (outgoing.writableLength > 0) await written(outgoing, NOTHING);
  outgoing.end();
}

const NOTHING = new Uint8Array();

/** Of files on their way out. They are filled again and again, so that a thousand downloads leave nothing to collect. */
const idleBuffers: Uint8Array[] = [];
const IDLE_BUFFERS_MAX = 8;

function isFile(body: AsyncIterable<Uint8Array>): body is FileStream {
  return "into" in body;
}

async function sendFile(file: FileStream, outgoing: http.ServerResponse): Promise<void> {
  const buffer = idleBuffers.pop() ?? Buffer.allocUnsafeSlow(HIGH_WATER_MARK_BYTES);
  for await (const piece of file.into(buffer)) {
    await written(outgoing, piece);
    // A connection that broke may still hold the buffer.
    if (outgoing.destroyed) return;
  }
  if (idleBuffers.length < IDLE_BUFFERS_MAX) idleBuffers.push(buffer);
}

/** When it resolves, the socket has taken the bytes, or is gone. */
function written(outgoing: http.ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off("close", done);
      resolve();
    };
    outgoing.once("close", done);
    outgoing.write(bytes, done);
  });
}

const LINGER_MS = 2000;

/**
 * A refusal while the body still comes in: the connection ends with it, but not at once, because a client that is cut off while it
 * sends may never read the answer.
 */
function closeAfterwards(incoming: http.IncomingMessage, outgoing: http.ServerResponse, head: string[]): void {
  const { socket } = incoming;
  head.push("connection", "close");
  // What Node calls when the answer is out, and what would reset the connection with bytes of the body unread.
  socket.destroySoon = () => void socket.end();
  outgoing.once("finish", () => {
    incoming.resume();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
}

function drained(outgoing: http.ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off("drain", done);
      outgoing.off("close", done);
      resolve();
    };
    outgoing.once("drain", done);
    outgoing.once("close", done);
  });
}
