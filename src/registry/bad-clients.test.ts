/** Clients that misbehave on a real socket: each gets an error or a closed connection, and the registry goes on. */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import { openTestRegistry, type TestRegistry } from "./testing.ts";

interface Served extends AsyncDisposable {
  readonly registry: TestRegistry;
  /** Sends `pieces` one after another and gives what comes back until the connection ends. */
  talk(...pieces: readonly (string | Buffer)[]): Promise<string>;
  /** Sends and cuts the connection when the registry has `bytes` of the session. */
  cut(request: string, session: string, bytes: number): Promise<void>;
  startSession(): Promise<string>;
}

async function serve(): Promise<Served> {
  const registry = openTestRegistry();
  const server = await registry.host.network.serve(registry.handler, {
    host: "127.0.0.1",
    port: 0,
    idleTimeoutMs: 300,
  });
  const open = (): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect(server.port, "127.0.0.1", () => resolve(socket));
      socket.on("error", () => undefined);
    });
  return {
    registry,
    async talk(...pieces) {
      const socket = await open();
      let heard = "";
      socket.setEncoding("latin1").on("data", (text: string) => (heard += text));
      const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
      for (const piece of pieces) socket.write(piece);
      await closed;
      return heard;
    },
    async cut(request, session, bytes) {
      const socket = await open();
      socket.write(request);
      while (((await registry.driver.uploadInfo(session))?.size ?? 0) < bytes) await registry.host.clock.sleep(5);
      socket.destroy();
    },
    async startSession() {
      const answer = await registry.call("POST", "/v2/team/os/blobs/uploads/");
      return /[0-9a-f]{32}$/.exec(answer.headers.get("location") ?? "")?.[0] ?? "";
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      registry[Symbol.dispose]();
    },
  };
}

const statusOf = (answer: string): string => answer.slice(9, 12);
const put = (session: string, digest: string, headers: string): string =>
  `PUT /v2/team/os/blobs/uploads/${session}?digest=${digest} HTTP/1.1\r\nhost: r\r\n${headers}\r\n\r\n`;

for (const [name, request, status] of [
  ["garbage", "\u0016\u0003\u0001 garbage\r\n\r\n", "400"],
  ["a request line that is no request", "HELLO\r\n\r\n", "400"],
  ["a Host that is no host", "GET /v2/ HTTP/1.1\r\nhost: a b\r\n\r\n", "400"],
  ["no Host", "GET /v2/ HTTP/1.1\r\n\r\n", "400"],
  ["a target that is no path", "OPTIONS * HTTP/1.1\r\nhost: r\r\n\r\n", "400"],
  ["two lengths", "PUT /v2/a/manifests/b HTTP/1.1\r\nhost: r\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"],
  [
    "a length and chunks",
    "PUT /v2/a/manifests/b HTTP/1.1\r\nhost: r\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    "400",
  ],
  ["70 KB of headers", `GET /v2/ HTTP/1.1\r\nhost: r\r\nx: ${"x".repeat(70_000)}\r\n\r\n`, "431"],
] as const) {
  test(`${name} gives ${status} and a closed connection`, async () => {
    await using served = await serve();
    assert.equal(statusOf(await served.talk(request)), status);
    assert.equal(statusOf(await served.talk("GET /v2/ HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n")), "200");
  });
}

test("a client that sends nothing more is closed, and what it had sent of an upload stays", async () => {
  await using served = await serve();
  const session = await served.startSession();
  await served.talk("GET /v2/ HT");
  await served.talk(put(session, digestOf("x"), "content-length: 100"), "ten bytes.");
  assert.equal((await served.registry.driver.uploadInfo(session))?.size, 10);
});

test("a connection that is cut within a body leaves no blob, and the upload goes on from there", async () => {
  await using served = await serve();
  const content = Buffer.alloc(100_000, "content");
  const digest = digestOf(content);
  const session = await served.startSession();
  const head = put(session, digest, `content-length: ${content.length}`);
  await served.cut(`${head}${content.subarray(0, 40_000).toString()}`, session, 40_000);
  assert.equal((await served.registry.call("HEAD", `/v2/team/os/blobs/${digest}`)).status, 404);
  const rest = { body: content.subarray(40_000), headers: { "content-range": "40000-99999" } };
  const done = await served.registry.call("PUT", `/v2/team/os/blobs/uploads/${session}?digest=${digest}`, rest);
  assert.equal(done.status, 201);
});

test("a Content-Length that is too short gives an error for what follows, and no blob", async () => {
  await using served = await serve();
  const digest = digestOf("0123456789");
  const session = await served.startSession();
  // Either the digest of four bytes or the six that are no request is refused first.
  assert.equal(statusOf(await served.talk(put(session, digest, "content-length: 4"), "0123456789")), "400");
  assert.equal((await served.registry.call("HEAD", `/v2/team/os/blobs/${digest}`)).status, 404);
});

test("chunked bodies that lie about a chunk's size, or never end, leave no blob", async () => {
  await using served = await serve();
  const digest = digestOf("0123456789");
  for (const body of ["5\r\n0123456789\r\n0\r\n\r\n", "zz\r\n", "a\r\n0123456789\r\n"]) {
    const session = await served.startSession();
    await served.talk(put(session, digest, "transfer-encoding: chunked"), body);
    assert.equal((await served.registry.call("HEAD", `/v2/team/os/blobs/${digest}`)).status, 404, body);
  }
});

test("a manifest that stops half-way is not there, neither by tag nor by digest", async () => {
  await using served = await serve();
  const { bytes, digest } = await served.registry.pushImage("team/os", "v1");
  await served.registry.call("DELETE", `/v2/team/os/manifests/${digest}`);
  const head = `PUT /v2/team/os/manifests/v1 HTTP/1.1\r\nhost: r\r\ncontent-length: ${bytes.length}\r\n\r\n`;
  await served.talk(head, bytes.subarray(0, 50));
  for (const reference of ["v1", digest])
    assert.equal((await served.registry.call("GET", `/v2/team/os/manifests/${reference}`)).status, 404);
});

test("300 half-open uploads do not keep another client waiting", async () => {
  await using served = await serve();
  const sessions = await Promise.all(Array.from({ length: 300 }, () => served.startSession()));
  const half = sessions.map((session) => served.talk(put(session, digestOf("x"), "content-length: 100"), "ten bytes."));
  const digest = await served.registry.pushBlob("team/os", "quick");
  const request = `GET /v2/team/os/blobs/${digest} HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n`;
  assert.match(await served.talk(request), /quick$/);
  await Promise.all(half);
});
