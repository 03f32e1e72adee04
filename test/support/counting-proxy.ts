/**
 * startCountingProxy(): a TCP proxy that counts what passes, both ways: what an exchange really moves. TLS that a client tries at
 * the plain port is left out. It can hold an exchange at a byte, so that a test ends one of the two in the middle of it.
 */
import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";

export interface CountingProxy extends Disposable {
  readonly port: number;
  readonly bytes: () => number;
  /** Passes about so many bytes more and then nothing; resolves then. */
  hold(bytes: number): Promise<void>;
  /** Cuts all connections; those to come pass. */
  cut(): void;
}

const TLS_HANDSHAKE = 0x16;

/** In front of a server on 127.0.0.1. */
export async function startCountingProxy(serverPort: number): Promise<CountingProxy> {
  let bytes = 0;
  let limit = Number.POSITIVE_INFINITY;
  let onHeld = (): void => {};
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    let isTls: boolean | undefined;
    const upstream = connect(serverPort, "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk: Buffer) => {
        isTls ??= chunk[0] === TLS_HANDSHAKE;
        if (!isTls) bytes += chunk.length;
        if (bytes < limit) return;
        from.unpipe(to).pause();
        onHeld();
      });
      from.on("error", () => to.destroy());
      from.on("close", () => sockets.delete(from));
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    port: address.port,
    bytes: () => bytes,
    hold(more) {
      limit = bytes + more;
      return new Promise((resolve) => (onHeld = resolve));
    },
    cut() {
      limit = Number.POSITIVE_INFINITY;
      for (const socket of sockets) socket.destroy();
    },
    [Symbol.dispose]: () => void server.close(),
  };
}
