/**
 * startCountingProxy(): a TCP proxy that counts what passes, both ways: what an exchange really moves. TLS that a client tries at
 * the plain port is left out.
 */
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";

export interface CountingProxy extends Disposable {
  readonly port: number;
  readonly bytes: () => number;
}

const TLS_HANDSHAKE = 0x16;

/** In front of a server on 127.0.0.1. */
export async function startCountingProxy(serverPort: number): Promise<CountingProxy> {
  let bytes = 0;
  const server = createServer((client) => {
    let isTls: boolean | undefined;
    const upstream = connect(serverPort, "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on("data", (chunk: Buffer) => {
        isTls ??= chunk[0] === TLS_HANDSHAKE;
        if (!isTls) bytes += chunk.length;
      });
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { port: address.port, bytes: () => bytes, [Symbol.dispose]: () => void server.close() };
}
