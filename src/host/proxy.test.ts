import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, request as httpRequest } from "node:http";
import { connect, createServer as createNetServer, type Server, type Socket } from "node:net";
import { after, test } from "node:test";
import { collectBytes } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { createCertificate } from "../registry/certificate.ts";
import type { ClientTls } from "./host.ts";
import { createLinuxHost } from "./linux.ts";
import { proxyFor } from "./proxy.ts";

const P = "http://proxy.lan:3128";

for (const [url, env, wanted] of [
  ["https://r.io/", {}, undefined],
  ["https://r.io/", { HTTPS_PROXY: P }, P],
  ["https://r.io/", { https_proxy: P }, P],
  ["https://r.io/", { HTTPS_PROXY: "", https_proxy: P }, P],
  ["https://r.io/", { HTTP_PROXY: P }, undefined],
  ["http://r.io/", { HTTP_PROXY: P }, P],
  ["http://r.io/", { HTTP_PROXY: "proxy.lan:3128" }, P],
  ["http://localhost/", { HTTP_PROXY: P }, undefined],
  ["http://127.0.0.7:5000/", { HTTP_PROXY: P }, undefined],
  ["http://[::1]:5000/", { HTTP_PROXY: P }, undefined],
  ["http://127.lan/", { HTTP_PROXY: P }, P],
] as const) {
  test(`${url} with ${JSON.stringify(env)} goes ${wanted ?? "directly"}`, () =>
    assert.equal(proxyFor(new URL(url), env), wanted));
}

for (const [rules, url, isDirect] of [
  ["*", "http://a.b/", true],
  ["r.io", "http://r.io/", true],
  ["r.io", "http://sub.r.io/", true],
  ["r.io", "http://bar.io/", false],
  ["r.io", "http://our.io/", false],
  [".r.io", "http://sub.r.io/", true],
  [".r.io", "http://r.io/", false],
  ["*.r.io", "http://a.sub.r.io/", true],
  ["*.r.io", "http://r.io/", false],
  ["R.IO", "http://r.io/", true],
  [" a.io , r.io ", "http://r.io/", true],
  ["r.io:5000", "http://r.io:5000/", true],
  ["r.io:5000", "http://r.io/", false],
  ["r.io:80", "http://r.io/", true],
  ["10.0.0.0/8", "http://10.1.2.3:5000/", true],
  ["10.0.0.0/8", "http://11.1.2.3/", false],
  ["10.0.0.0/99", "http://10.1.2.3/", false],
  ["10.1.2.3", "http://10.1.2.3/", true],
  ["10.1.2.3:5000", "http://10.1.2.3:5000/", true],
  ["1.2.3", "http://9.1.2.3/", false],
  ["fd00::/8", "http://[fd12::1]/", true],
  ["fd00::/8", "http://10.0.0.1/", false],
  ["fd12::1", "http://[fd12::1]/", true],
  ["FD12:0:0::1", "http://[fd12::1]/", true],
  ["[fd12:0::1]:80", "http://[fd12::1]/", true],
  ["fd12::1", "http://[fd12::2]/", false],
  ["10.1.2.3", "http://a.10.1.2.3.io/", false],
  ["[fd12::1]:5000", "http://[fd12::1]:5000/", true],
  ["[fd12::1]:5000", "http://[fd12::1]:5001/", false],
  ["", "http://r.io/", false],
  [",,", "http://r.io/", false],
] as const) {
  test(`NO_PROXY "${rules}" ${isDirect ? "covers" : "does not cover"} ${url}`, () =>
    assert.equal(proxyFor(new URL(url), { HTTP_PROXY: P, NO_PROXY: rules }), isDirect ? undefined : P));
}

test("a proxy that speaks no HTTP is refused, without its password", () => {
  for (const proxy of ["socks5://u:secret@p:1", "http://u:s@secret@p:x", "http://u:a/secret@p:1", "http://"]) {
    assert.throws(
      () => proxyFor(new URL("https://r.io/"), { HTTPS_PROXY: proxy }),
      (error) => isFailure(error, "unsupported") && /HTTPS_PROXY/.test(error.message) && !/secret/.test(error.message),
    );
  }
});

const { network, ...host } = createLinuxHost();
const env = { ...process.env };
after(() => {
  process.env = env;
});

/** A proxy that takes every name for 127.0.0.1; says what it was asked for. */
async function startProxy(): Promise<AsyncDisposable & { readonly url: string; readonly seen: string[] }> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const note = ({ method, url, headers }: IncomingMessage): void =>
    void seen.push(`${method} ${url} ${headers["proxy-authorization"] ?? ""}`.trim());
  const server = createServer((incoming, outgoing) => {
    note(incoming);
    const { port, pathname } = new URL(incoming.url ?? "");
    httpRequest({ host: "127.0.0.1", port, path: pathname, method: incoming.method }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(outgoing);
    }).end();
  });
  server.on("connection", (socket) => sockets.add(socket));
  server.on("connect", (incoming: IncomingMessage, client: Socket) => {
    note(incoming);
    if (incoming.url?.startsWith("forbidden.test") === true) {
      client.end("HTTP/1.1 403 Forbidden\r\n\r\n");
      return;
    }
    const target = connect(Number(incoming.url?.split(":")[1]), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      target.pipe(client);
      client.pipe(target);
    });
    client.on("error", () => target.destroy());
    target.on("error", () => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    seen,
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Takes connections, and never says a word. */
async function startSilent(): Promise<Disposable & { readonly port: number; readonly server: Server }> {
  const sockets = new Set<Socket>();
  const server = createNetServer((socket) => sockets.add(socket.resume())).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    server,
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

async function get(url: string, tls?: ClientTls): Promise<string> {
  const response = await network.request({ method: "GET", url, ...(tls && { tls }) });
  return (await collectBytes(response.body)).toString();
}

test("http goes to the proxy as it is, https through a tunnel with the certificate checked at its end", async () => {
  await using proxy = await startProxy();
  const pair = await createCertificate(host, ["reg.test"]);
  await using plain = await network.serve(async () => new Response("plain"), { host: "127.0.0.1", port: 0 });
  await using secure = await network.serve(async () => new Response("secure"), {
    host: "127.0.0.1",
    port: 0,
    tls: { cert: pair.certificate, key: pair.key },
  });
  const withUser = proxy.url.replace("//", "//anna:pass@");
  process.env = { ...env, HTTP_PROXY: proxy.url, HTTPS_PROXY: withUser, NO_PROXY: "direct.test" };
  assert.equal(await get(`http://reg.test:${plain.port}/x`), "plain");
  assert.equal(await get(`https://reg.test:${secure.port}/x`, { ca: [pair.certificate] }), "secure");
  assert.equal(await get(`http://127.0.0.1:${plain.port}/x`), "plain");
  assert.deepEqual(proxy.seen, [
    `GET http://reg.test:${plain.port}/x`,
    `CONNECT reg.test:${secure.port} Basic ${Buffer.from("anna:pass").toString("base64")}`,
  ]);
  await assert.rejects(get(`https://reg.test:${secure.port}/x`), (error) => isFailure(error, "network"));
  await assert.rejects(get(`https://other.test:${secure.port}/x`, { ca: [pair.certificate] }), (error) =>
    isFailure(error, "network"),
  );
  await assert.rejects(
    get("http://direct.test:1/"),
    (error) => isFailure(error, "network") && !/proxy/.test(error.message),
  );
});

test("a proxy that refuses, or is not there, is named in the error", async () => {
  await using proxy = await startProxy();
  process.env = { ...env, HTTPS_PROXY: proxy.url };
  await assert.rejects(
    get("https://forbidden.test/"),
    (error) =>
      isFailure(error, "network") &&
      error.message.includes(`"https://forbidden.test" through the proxy "${proxy.url}"`),
  );
  process.env = { ...env, HTTPS_PROXY: "http://u:secret@127.0.0.1:1" };
  await assert.rejects(
    get("https://reg.test/"),
    (error) =>
      isFailure(error, "network") && /through the proxy "http:\/\/127.0.0.1:1": connection refused/.test(error.message),
  );
});

test("a proxy that wants a login is not taken for the registry", async () => {
  const server = createServer((_, answer) => void answer.writeHead(407).end("log in"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const proxy = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  process.env = { ...env, HTTP_PROXY: proxy };
  try {
    await assert.rejects(
      get("http://reg.test/"),
      (error) =>
        isFailure(error, "network") &&
        error.message === `Cannot reach "http://reg.test" through the proxy "${proxy}": it wants a user and a password`,
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("connecting has a limit of its own: of who never answers the handshake, the proxy's CONNECT or the handshake behind it, not of who answers late", async () => {
  const pair = await createCertificate(host, ["reg.test", "127.0.0.1"]);
  using silent = await startSilent();
  await using proxy = await startProxy();
  const late = async (): Promise<Response> =>
    new Promise((resolve) => setTimeout(() => resolve(new Response("late")), 1200));
  const at = { host: "127.0.0.1", port: 0 };
  await using plain = await network.serve(late, at);
  await using secure = await network.serve(late, { ...at, tls: { cert: pair.certificate, key: pair.key } });
  const getSoon = async (url: string): Promise<string> => {
    const response = await network.request({
      method: "GET",
      url,
      tls: { ca: [pair.certificate] },
      connectTimeoutMs: 1000,
    });
    return (await collectBytes(response.body)).toString();
  };
  const isGivenUp = (error: unknown): boolean =>
    isFailure(error, "network") && /no connection within 1 s/.test(error.message);

  process.env = { ...env, HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url };
  const urls = [
    `http://127.0.0.1:${plain.port}/`,
    `https://127.0.0.1:${secure.port}/`,
    `http://reg.test:${plain.port}/`,
    `https://reg.test:${secure.port}/`,
  ];
  const answers = Promise.all(urls.map(getSoon));
  const handshakes = [`https://127.0.0.1:${silent.port}/`, `https://reg.test:${silent.port}/`].map((url) =>
    assert.rejects(getSoon(url), isGivenUp),
  );
  process.env = { ...env, HTTPS_PROXY: `http://127.0.0.1:${silent.port}` };
  await Promise.all([...handshakes, assert.rejects(getSoon("https://reg.test/"), isGivenUp)]);
  assert.deepEqual(
    await answers,
    urls.map(() => "late"),
  );
});

test("an abort ends what waits for the proxy's CONNECT, or for the handshake behind it", async () => {
  using silent = await startSilent();
  await using proxy = await startProxy();
  for (const asked of [`http://127.0.0.1:${silent.port}`, proxy.url]) {
    process.env = { ...env, HTTPS_PROXY: asked };
    const controller = new AbortController();
    silent.server.once("connection", () => controller.abort());
    const url = `https://reg.test:${silent.port}/`;
    await assert.rejects(network.request({ method: "GET", url, signal: controller.signal }), (error) =>
      isFailure(error, "aborted"),
    );
  }
});
