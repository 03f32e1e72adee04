/**
 * connectSocket(): a byte connection to a Unix socket or a TCP port, for protocols that are not HTTP (QMP, a VM's console).
 * The connection is established when the promise resolves; `input` applies backpressure to the sender.
 */
import { createConnection, type Socket } from "node:net";
import { Failure } from "../core/failure.ts";
import type { Connection, ConnectTarget } from "./host.ts";

export async function connectSocket(
  target: ConnectTarget,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Connection> {
  options.signal?.throwIfAborted();
  const socket = createConnection("unix" in target ? { path: target.unix } : { host: target.host, port: target.port });
  const abort = (): void => {
    socket.destroy(new Failure("aborted", `Cannot keep the connection to "${targetText(target)}": it was aborted`));
  };
  options.signal?.addEventListener("abort", abort, { once: true });
  socket.once("close", () => options.signal?.removeEventListener("abort", abort));
  await established(socket, target);
  return asConnection(socket);
}

function established(socket: Socket, target: ConnectTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => {
      if (error instanceof Failure) reject(error);
      else reject(new Failure("network", `Cannot connect to "${targetText(target)}": ${error.message}`, { cause: error }));
    };
    socket.once("error", refused);
    socket.once("connect", () => {
      socket.off("error", refused);
      resolve();
    });
  });
}

function asConnection(socket: Socket): Connection {
  // A reset by the peer ends `input` with that error for whoever reads; without a reader it must not end the program.
  socket.on("error", () => {});
  const close = (): void => {
    socket.destroy();
  };
  return {
    input: socket,
    write(bytes) {
      return new Promise((resolve, reject) => {
        socket.write(bytes, (error) => (error ? reject(error) : resolve()));
      });
    },
    close,
    [Symbol.dispose]: close,
  };
}

function targetText(target: ConnectTarget): string {
  return "unix" in target ? target.unix : `${target.host}:${target.port}`;
}
