/** TLS of the server: client certificates, and new files while connections run. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { collectBytes } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import type { ClientTls, HttpHandler, ServerTls, TemporaryDirectory } from "./host.ts";
import { createLinuxHost } from "./linux.ts";

const host = createLinuxHost();
const { network, files } = host;

let directory: TemporaryDirectory;
const at = (name: string): string => `${directory.path}/${name}`;
const openssl = (...words: string[]): Promise<unknown> => host.exec(["openssl", ...words], { timeoutMs: 20_000 });

async function makeAuthority(name: string): Promise<void> {
  const key = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", at(`${name}.key`)];
  const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  await openssl("req", "-x509", "-batch", ...key, ...names, "-out", at(`${name}.crt`));
}

async function makeClient(name: string, authority: string): Promise<ClientTls> {
  const file = at(`${authority}-${name}`);
  const key = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", `${file}.key`];
  await openssl("req", "-batch", ...key, "-subj", `/CN=${name}`, "-out", `${file}.csr`);
  const signer = ["-CA", at(`${authority}.crt`), "-CAkey", at(`${authority}.key`), "-CAcreateserial"];
  await openssl("x509", "-req", "-in", `${file}.csr`, ...signer, "-out", `${file}.crt`);
  return { cert: files.readText(`${file}.crt`), key: files.readText(`${file}.key`) };
}

const pair = (name: string): { cert: string; key: string } => ({
  cert: files.readText(at(`${name}.crt`)),
  key: files.readText(at(`${name}.key`)),
});

async function get(port: number, tls: ClientTls): Promise<string> {
  const response = await network.request({ method: "GET", url: `https://127.0.0.1:${port}/`, tls });
  return (await collectBytes(response.body)).toString();
}

const whoIsThere: HttpHandler = async (_request, peer) => new Response(peer.certificateName ?? "nobody");

before(async () => {
  directory = files.temporaryDirectory("/tmp/berth-tls-test-");
  for (const name of ["server", "renewed", "clients", "strangers"]) await makeAuthority(name);
});
after(() => directory[Symbol.dispose]());

test("a client certificate of the authority names the client; another's counts as none, unless one is required", async () => {
  const anna = await makeClient("anna", "clients");
  const impostor = await makeClient("anna", "strangers");
  const ca = [pair("server").cert];
  const tls = { ...pair("server"), clientCa: pair("clients").cert };
  await using server = await network.serve(whoIsThere, { host: "127.0.0.1", port: 0, tls });
  assert.equal(await get(server.port, { ...anna, ca }), "anna");
  assert.equal(await get(server.port, { ...anna, ca }), "anna", "on the same connection, and on a resumed session");
  assert.equal(await get(server.port, { ca }), "nobody");
  assert.equal(await get(server.port, { ...impostor, ca }), "nobody");

  const strict = { ...tls, clientRequired: true };
  await using second = await network.serve(whoIsThere, { host: "127.0.0.1", port: 0, tls: strict });
  assert.equal(await get(second.port, { ...anna, ca }), "anna");
  for (const client of [{ ca }, { ...impostor, ca }])
    await assert.rejects(get(second.port, client), (error) => isFailure(error, "network"));
});

test("without an authority for clients nobody has a name", async () => {
  const anna = await makeClient("anna", "clients");
  await using server = await network.serve(whoIsThere, { host: "127.0.0.1", port: 0, tls: pair("server") });
  assert.equal(await get(server.port, { ...anna, ca: [pair("server").cert] }), "nobody");
});

test("new TLS files are for new connections; a running one goes on; what cannot be used changes nothing", async () => {
  const gate = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("before ");
    await gate.promise;
    yield Buffer.from("after");
  }
  const handler: HttpHandler = async (request) =>
    request.url.endsWith("/slow") ? { status: 200, headers: new Headers(), body: slow() } : new Response("quick");
  await using server = await network.serve(handler, { host: "127.0.0.1", port: 0, tls: pair("server") });
  const old = { ca: [pair("server").cert] };
  const renewed = { ca: [pair("renewed").cert] };
  const running = await network.request({ method: "GET", url: `https://127.0.0.1:${server.port}/slow`, tls: old });
  await assert.rejects(get(server.port, renewed));

  const whole = pair("renewed");
  const broken: readonly ServerTls[] = [
    { ...whole, key: pair("server").key },
    { ...whole, cert: "" },
    { ...whole, cert: whole.cert.slice(0, 200) },
    { ...whole, key: "" },
    { ...whole, clientCa: "" },
    { ...whole, clientCa: "none yet" },
  ];
  for (const files of broken) {
    assert.throws(
      () => server.reloadTls(files),
      (error) => isFailure(error, "bad-input"),
    );
  }
  await assert.rejects(get(server.port, renewed));

  server.reloadTls(pair("renewed"));
  assert.equal(await get(server.port, renewed), "quick");
  gate.resolve();
  assert.equal((await collectBytes(running.body)).toString(), "before after");
});

test("close() lets running answers end, then their connections; abort() ends them at once", async () => {
  const gate = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("begun ");
    await gate.promise;
    yield Buffer.from("done");
  }
  let asked = Promise.withResolvers<void>();
  const handler: HttpHandler = async (request) => {
    asked.resolve();
    if (request.url.endsWith("/begun")) return { status: 200, headers: new Headers(), body: slow() };
    await gate.promise;
    return new Response("done");
  };
  const tls = pair("server");
  const server = await network.serve(handler, { host: "127.0.0.1", port: 0, tls });
  const ca = [tls.cert];
  const begun = await network.request({ method: "GET", url: `https://127.0.0.1:${server.port}/begun`, tls: { ca } });
  asked = Promise.withResolvers<void>();
  const waiting = network.request({ method: "GET", url: `https://127.0.0.1:${server.port}/`, tls: { ca } });
  await asked.promise;
  const closed = server.close();
  await assert.rejects(get(server.port, { ca, insecure: true }), (error) => isFailure(error, "network"));
  gate.resolve();
  assert.equal((await collectBytes(begun.body)).toString(), "begun done");
  const last = await waiting;
  assert.equal(last.headers["connection"], "close");
  assert.equal((await collectBytes(last.body)).toString(), "done");
  await closed;

  const never = await network.serve(() => new Promise(() => {}), { host: "127.0.0.1", port: 0, tls });
  const cut = get(never.port, { ca });
  const refused = assert.rejects(cut, (error) => isFailure(error, "network"));
  never.abort();
  await Promise.all([refused, never.close()]);
});
