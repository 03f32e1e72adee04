/**
 * forwardTcp(): listens on one address and carries every connection to another, bytes both ways, each side's end passed on.
 */
import { once } from "node:events";
import * as net from "node:net";
import { Failure } from "../core/failure.ts";
import type { Address, Forward } from "./host.ts";

export async function forwardTcp(from: Address, to: Address): Promise<Forward> {
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const target = net.connect({ ...to, allowHalfOpen: true, noDelay: true });
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      open.add(socket);
      // An error on one side is told to the other by ending it; the close event follows.
      socket.on("error", () => other.destroy());
      socket.on("close", () => open.delete(socket));
      socket.pipe(other);
    }
  });
  server.listen({ ...from, backlog: 1024 });
  try {
    await once(server, "listening");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const known = code === "EADDRINUSE" ? (["busy", "the port is in use"] as const) : (["network", code] as const);
    throw new Failure(known[0], `Cannot listen on ${from.host}:${from.port}: ${known[1]}`, { cause });
  }
  const address = server.address();
  const close = async (): Promise<void> => {
    const closed = once(server, "close");
    server.close();
    for (const socket of open) socket.destroy();
    await closed;
  };
  return {
    port: typeof address === "object" && address !== null ? address.port : from.port,
    close,
    [Symbol.asyncDispose]: close,
  };
}
