/** The network of the fake host: servers of this same host answer in process, the test answers for the rest of the world. */
import { collectBytes, streamOf } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { Bucket, BucketOptions } from "./bucket.ts";
import type { FakeWorld } from "./fake-world.ts";
import type {
  Connection,
  ConnectTarget,
  HttpHandler,
  HttpRequest,
  HttpResponse,
  Network,
  ServerResponse,
} from "./host.ts";

export interface FakeNetworkOptions {
  /** Answers for every address that nobody serves; undefined: nothing listens there. */
  readonly respond?: (request: Request) => Promise<Response | undefined>;
  readonly connect?: (target: ConnectTarget) => Connection | undefined;
  /** The object store; undefined: nothing listens there. */
  readonly bucket?: (options: BucketOptions) => Bucket | undefined;
}

export function createFakeNetwork(world: FakeWorld, options: FakeNetworkOptions): Network {
  const servers = new Map<string, HttpHandler>();
  let nextPort = 49_152;
  return {
    request: async (request) => {
      world.enter();
      request.signal?.throwIfAborted();
      const url = new URL(request.url);
      const handler = servers.get(url.host);
      const web = await toRequest(request);
      const response =
        handler === undefined ? await options.respond?.(web) : await handler(web, { address: "127.0.0.1" });
      if (response === undefined) {
        throw new Failure(
          "network",
          `Cannot reach ${JSON.stringify(url.origin)}: connection refused, nothing listens there`,
        );
      }
      return toResponse(response, request);
    },
    serve: async (handler, { host, port }) => {
      world.enter();
      if (port === 0) nextPort += 1;
      const chosen = port === 0 ? nextPort : port;
      const name = `${host}:${chosen}`;
      if (servers.has(name)) throw new Failure("busy", `Cannot listen on ${name}: the port is in use`);
      servers.set(name, handler);
      const close = async (): Promise<void> => void servers.delete(name);
      return { host, port: chosen, reloadTls: () => {}, abort: () => {}, close, [Symbol.asyncDispose]: close };
    },
    forward: async ({ host, port }, to) => {
      world.enter();
      const name = `${host}:${port}`;
      if (servers.has(name)) throw new Failure("busy", `Cannot listen on ${name}: the port is in use`);
      const target = servers.get(`${to.host}:${to.port}`);
      servers.set(name, target ?? (async () => new Response("nobody listens behind this forward", { status: 502 })));
      const close = async (): Promise<void> => void servers.delete(name);
      return { port, close, [Symbol.asyncDispose]: close };
    },
    connect: async (target) => {
      world.enter();
      const connection = options.connect?.(target);
      if (connection !== undefined) return connection;
      const where = "unix" in target ? target.unix : `${target.host}:${target.port}`;
      throw new Failure("network", `Cannot connect to ${JSON.stringify(where)}: nobody listens there`);
    },
    openBucket: async (wanted) => {
      world.enter();
      const bucket = options.bucket?.(wanted);
      if (bucket !== undefined) return bucket;
      throw new Failure("network", `Cannot open bucket "${wanted.bucket}": nobody listens at ${wanted.endpoint}`);
    },
  };
}

async function toRequest(request: HttpRequest): Promise<Request> {
  const { body } = request;
  const bytes = body === undefined || body instanceof Uint8Array ? body : await collectBytes(body);
  const bodyless = request.method === "GET" || request.method === "HEAD";
  return new Request(request.url, {
    method: request.method,
    headers: { ...request.headers },
    ...(request.signal !== undefined && { signal: request.signal }),
    ...(bytes !== undefined && !bodyless && { body: Buffer.from(bytes) }),
  });
}

function toResponse({ status, headers, body }: ServerResponse, request: HttpRequest): HttpResponse {
  const stream = request.method === "HEAD" || body === null ? streamOf() : body;
  return {
    status,
    headers: Object.fromEntries(headers),
    body: stream instanceof Uint8Array ? streamOf(stream) : stream,
    discard: () => {
      if (stream instanceof ReadableStream) void stream.cancel();
    },
  };
}
