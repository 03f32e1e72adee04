import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import type { HttpHandler } from "./host.ts";
import { createLinuxHost } from "./linux.ts";

const { network } = createLinuxHost();

async function serving(
  handler: HttpHandler,
): Promise<AsyncDisposable & { readonly url: string; readonly port: number }> {
  const server = await network.serve(handler, { host: "127.0.0.1", port: 0 });
  return { url: `http://127.0.0.1:${server.port}`, port: server.port, [Symbol.asyncDispose]: () => server.close() };
}

test("a request's body and a response's body stream both ways", async () => {
  await using server = await serving(
    async (request) => new Response(request.body, { headers: { "x-method": request.method } }),
  );
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 64; i += 1) yield Buffer.alloc(100_000, i);
  }
  const response = await network.request({ method: "PUT", url: server.url, body: body() });
  const bytes = await collectBytes(response.body);
  assert.equal(response.headers["x-method"], "PUT");
  assert.equal(bytes.length, 6_400_000);
  assert.equal(bytes[6_399_999], 63);
});

test("a file goes out whole or in part, to many at once, and a client that goes away leaves the others alone", async () => {
  const { files } = createLinuxHost();
  using directory = files.temporaryDirectory("http");
  const path = `${directory.path}/file`;
  const content = randomBytes(3_000_001);
  files.write(path, content);
  await using server = await serving(async (request) => {
    const [start, end] = new URL(request.url).pathname.slice(1).split("-").map(Number);
    const headers = new Headers({ "content-length": String((end ?? 0) - (start ?? 0)) });
    return { status: 200, headers, body: files.readStream(path, { start: start ?? 0, end: end ?? 0 }) };
  });
  const get = async (start: number, end: number): Promise<Buffer> =>
    collectBytes((await network.request({ method: "GET", url: `${server.url}/${start}-${end}` })).body);
  const leave = async (): Promise<void> => {
    const { body } = await network.request({ method: "GET", url: `${server.url}/0-3000001` });
    for await (const _piece of body) break;
  };
  const ranges = Array.from({ length: 12 }, (_, i) => ({ start: i * 1000, end: content.length - i }));
  const [parts] = await Promise.all([
    Promise.all(ranges.map(({ start, end }) => get(start, end))),
    Promise.all(ranges.map(leave)),
  ]);
  ranges.forEach(({ start, end }, i) => assert.deepEqual(parts[i], content.subarray(start, end)));
});

test("HEAD, 204 and 304 have no body and keep the connection usable", async () => {
  const ports = new Set<string>();
  await using server = await serving(async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/head") return new Response("12345", { headers: { "content-length": "5" } });
    return new Response(null, { status: Number(pathname.slice(1)) });
  });
  for (const [method, path, status] of [
    ["HEAD", "/head", 200],
    ["GET", "/204", 204],
    ["GET", "/304", 304],
  ] as const) {
    const response = await network.request({ method, url: server.url + path });
    assert.equal(response.status, status);
    assert.equal((await collectBytes(response.body)).length, 0);
    if (method === "HEAD") assert.equal(response.headers["content-length"], "5");
    ports.add(path);
  }
  assert.equal(ports.size, 3);
});

test("redirects are not followed, the body of a refusal can be discarded", async () => {
  await using server = await serving(
    async () => new Response("elsewhere", { status: 307, headers: { location: "/x" } }),
  );
  const response = await network.request({ method: "GET", url: server.url });
  assert.equal(response.status, 307);
  assert.equal(response.headers["location"], "/x");
  response.discard();
});

test("an answer before the body is sent stops the sending", async () => {
  await using server = await serving(async () => new Response("no", { status: 401 }));
  let pulled = 0;
  async function* body(): AsyncGenerator<Uint8Array> {
    for (; pulled < 100_000; pulled += 1) yield Buffer.alloc(65_536);
  }
  const response = await network.request({ method: "PUT", url: server.url, body: body() });
  assert.equal(response.status, 401);
  response.discard();
  assert.ok(pulled < 100_000);
});

test("a client that goes away aborts the request's signal", async () => {
  const aborted = Promise.withResolvers<boolean>();
  await using server = await serving(async (request) => {
    request.signal.addEventListener("abort", () => aborted.resolve(true));
    return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(Buffer.alloc(65_536)) }));
  });
  const controller = new AbortController();
  const response = await network.request({ method: "GET", url: server.url, signal: controller.signal });
  assert.equal(response.status, 200);
  controller.abort();
  await assert.rejects(collectBytes(response.body), (error) => isFailure(error, "aborted"));
  assert.equal(await aborted.promise, true);
});

test("a response that ends early is an error, not a short body", async () => {
  await using server = await serving(async () => {
    const stream = new ReadableStream({
      start: (controller) => {
        controller.enqueue(Buffer.from("part"));
        setTimeout(() => controller.error(new Error("broken")), 20);
      },
    });
    return new Response(stream, { headers: { "content-length": "100" } });
  });
  const response = await network.request({ method: "GET", url: server.url });
  await assert.rejects(collectBytes(response.body), (error) => isFailure(error, "network"));
});

test("an error of the handler is 500 without its text", async () => {
  await using server = await serving(async () => {
    throw new Error("secret");
  });
  const response = await network.request({ method: "GET", url: server.url });
  assert.equal(response.status, 500);
  assert.equal((await collectBytes(response.body)).toString(), "");
});

test("20 KiB of headers are accepted, 80 KiB are not", async () => {
  await using server = await serving(async (request) => new Response(request.headers.get("x-long")));
  const ask = (size: number): Promise<number> =>
    network
      .request({ method: "GET", url: server.url, headers: { "x-long": "x".repeat(size) } })
      .then(async (response) => (response.discard(), response.status));
  assert.equal(await ask(20_000), 200);
  assert.equal(await ask(80_000), 431);
});

test("nobody listening, a bad URL and silence are said in one line", async () => {
  const server = await network.serve(async () => new Response(), { host: "127.0.0.1", port: 0 });
  await server.close();
  await assert.rejects(network.request({ method: "GET", url: `http://127.0.0.1:${server.port}/` }), (error) => {
    assert.ok(isFailure(error, "network"));
    assert.match(error.message, /connection refused/);
    return true;
  });
  await assert.rejects(network.request({ method: "GET", url: "ftp://x/" }), (error) => isFailure(error, "bad-input"));
  await using silent = await serving(
    (request) =>
      new Promise((resolve) => {
        request.signal.addEventListener("abort", () => resolve(new Response()));
      }),
  );
  await assert.rejects(network.request({ method: "GET", url: silent.url, idleTimeoutMs: 100 }), (error) =>
    isFailure(error, "network"),
  );
});

test("an answer that stalls in the middle of its body is given up", async () => {
  await using server = await serving(async ({ signal }) => {
    const body = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from("half");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    return { status: 200, headers: new Headers({ "content-length": "8" }), body: body() };
  });
  const response = await network.request({ method: "GET", url: server.url, idleTimeoutMs: 100 });
  await assert.rejects(collectBytes(response.body), (error) => isFailure(error, "network"));
});

test("a request passes over every idle connection that was closed under it", async () => {
  // Each connection takes one request; the first two are answered together, so that there are two.
  let connections = 0;
  const held: Socket[] = [];
  const server = createServer((socket) => {
    connections += 1;
    socket.unref().once("data", () => {
      held.push(socket);
      socket.once("data", () => socket.destroy());
      if (connections < 2) return;
      for (const each of held.splice(0)) each.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const get = async (): Promise<number> => {
    const response = await network.request({ method: "GET", url: `http://127.0.0.1:${address.port}/` });
    await collectBytes(response.body);
    return response.status;
  };
  assert.deepEqual(await Promise.all([get(), get()]), [200, 200]);
  assert.equal(await get(), 200);
  assert.equal(connections, 3);
  server.close();
});

test("a port in use is busy", async () => {
  await using server = await serving(async () => new Response());
  await assert.rejects(
    network.serve(async () => new Response(), { host: "127.0.0.1", port: server.port }),
    (error) => isFailure(error, "busy"),
  );
});

test("connect() gives bytes both ways", async () => {
  await using server = await serving(async () => new Response("hello"));
  using connection = await network.connect({ host: "127.0.0.1", port: server.port });
  await connection.write("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  assert.match((await collectBytes(connection.input)).toString(), /\r\n\r\nhello$|hello/);
  await assert.rejects(network.connect({ unix: "/nonexistent/socket" }), (error) => isFailure(error, "network"));
});

test("the server survives a client that sends half a request and leaves", async () => {
  await using server = await serving(
    async (request) => new Response(await collectBytes(request.body ?? streamOf()).catch(() => "cut")),
  );
  const socket = connect(server.port, "127.0.0.1", () => {
    socket.write("PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nshort");
    setTimeout(() => socket.destroy(), 30);
  });
  await new Promise((resolve) => socket.once("close", resolve));
  const response = await network.request({ method: "PUT", url: server.url, body: Buffer.from("whole") });
  assert.equal((await collectBytes(response.body)).toString(), "whole");
});

/** What a server answers to these bytes, and the socket, which is still open. */
async function talk(port: number, text: string): Promise<{ answer: string; socket: Socket }> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  let answer = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => void (answer += chunk));
  socket.write(text);
  await once(socket, "end");
  return { answer, socket };
}

test("a refusal leaves the client that still sends the time to read it", async () => {
  await using server = await serving(async () => new Response("too much", { status: 413 }));
  const head = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n";
  const { answer, socket } = await talk(server.port, head + "x".repeat(100_000));
  assert.match(answer, /^HTTP\/1\.1 413 [^]*too much/);
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => socket.write(Buffer.alloc(100_000), resolve));
  socket.end();
  const [hadError] = await once(socket, "close");
  assert.equal(hadError, false, "the connection was reset while the client sent");
});

test("a stop does not cut off an answer that its client reads slowly", async () => {
  const body = Buffer.alloc(16_000_000);
  const headers = new Map([["content-length", String(body.length)]]);
  const server = await network.serve(async () => ({ status: 200, headers, body }), { host: "127.0.0.1", port: 0 });
  const answer = await network.request({ method: "GET", url: `http://127.0.0.1:${server.port}` });
  const closed = server.close();
  assert.equal((await collectBytes(answer.body)).length, body.length);
  await closed;
});

test("a request with two hosts, none, or one that is no host is refused", async () => {
  await using server = await serving(async () => new Response(null));
  for (const hosts of ["Host: a\r\nHost: b\r\n", "", "Host: a b\r\n"]) {
    const { answer, socket } = await talk(server.port, `GET / HTTP/1.1\r\n${hosts}\r\n`);
    socket.destroy();
    assert.match(answer, /^HTTP\/1\.1 400 /, hosts);
  }
});
