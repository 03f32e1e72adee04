/** The network of the real host: HTTP client and server over Node's own, and plain byte connections. */
import { once } from "node:events";
import * as net from "node:net";
import { Failure } from "../core/failure.ts";
import type { Connection, ConnectTarget, Network } from "./host.ts";
import { createHttpClient } from "./http-client.ts";
import { serveHttp } from "./http-server.ts";
import { openS3Bucket } from "./s3-bucket.ts";
import { forwardTcp } from "./tcp-forward.ts";

export function createLinuxNetwork(): Network {
  return { request: createHttpClient(), serve: serveHttp, connect, forward: forwardTcp, openBucket: openS3Bucket };
}

async function connect(target: ConnectTarget, options: { signal?: AbortSignal | undefined } = {}): Promise<Connection> {
  const where = "unix" in target ? target.unix : `${target.host}:${target.port}`;
  const failure = (cause: unknown): Failure =>
    options.signal?.aborted
      ? new Failure("aborted", `Cannot connect to ${JSON.stringify(where)}: interrupted`, { cause })
      : new Failure("network", `Cannot connect to ${JSON.stringify(where)}: ${reason(cause)}`, { cause });
  const socket = "unix" in target ? net.connect({ path: target.unix }) : net.connect({ ...target, noDelay: true });
  try {
    await once(socket, "connect", options.signal === undefined ? {} : { signal: options.signal });
  } catch (cause) {
    socket.destroy();
    throw failure(cause);
  }
  const onAbort = (): void => {
    socket.destroy();
  };
  options.signal?.addEventListener("abort", onAbort, { once: true });
  // Nobody may be reading when the other side breaks off; the next read or write then says so.
  socket.on("error", () => undefined);
  socket.once("close", () => options.signal?.removeEventListener("abort", onAbort));
  const close = (): void => {
    socket.destroySoon();
  };
  return {
    input: {
      async *[Symbol.asyncIterator]() {
        try {
          for await (const chunk of socket) yield chunk as Buffer;
        } catch (cause) {
          throw failure(cause);
        }
      },
    },
    write: async (bytes) => {
      if (!socket.writable) throw failure(new Error("the other side has closed"));
      if (socket.write(bytes)) return;
      await Promise.race([once(socket, "drain"), once(socket, "close")]);
    },
    close,
    [Symbol.dispose]: close,
  };
}

function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = "code" in cause ? String(cause.code) : "";
  if (code === "ECONNREFUSED" || code === "ENOENT") return "nobody listens there";
  return cause.message;
}
