/** What a configuration puts together: health, metrics, webhooks, and a stop that lets requests end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { parseJsonObject } from "../core/json.ts";
import { silent } from "../core/progress.ts";
import type { HttpHandler } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { parseRegistryConfig } from "./config.ts";
import { filesDriver } from "./files-driver.ts";
import { startRegistry } from "./serve.ts";
import { INDEX, MANIFEST } from "../oci/media-types.ts";
import { openService, type Service } from "./service.ts";
import { quickHtpasswdLine, toWeb } from "./testing.ts";

const host = createLinuxHost();
const CONFIG = 'listen="127.0.0.1:0"\n[storage]\ndriver="files"\ndirectory="data"\n';
const USERS = await quickHtpasswdLine("anna", "secret");
const anna = { authorization: `Basic ${btoa("anna:secret")}` };

interface Opened extends Disposable {
  readonly service: Service;
  readonly path: string;
  readonly fail: () => void;
  get(path: string, headers?: Record<string, string>, handler?: HttpHandler): Promise<Response>;
}

function open(config: string, progress = silent): Opened {
  const directory = host.files.temporaryDirectory(`${SCRATCH}/berth-service-test-`);
  const at = (path: string): string => `${directory.path}/${path}`;
  host.files.write(at("htpasswd"), USERS);
  let failing = false;
  const files = filesDriver(host, at("data"));
  const driver = {
    ...files,
    hasRecord: async (key: string) => {
      if (failing) throw new Failure("io", "Cannot read /secret/path");
      return files.hasRecord(key);
    },
  };
  // No limit ends while a test is slow.
  const still = { ...host, clock: { ...host.clock, elapsed: () => 0 } };
  const service = openService(still, parseRegistryConfig(CONFIG + config), { driver, at, progress });
  return {
    service,
    path: directory.path,
    fail: () => void (failing = true),
    get: async (path, headers = {}, handler = service.handler) =>
      toWeb(await handler(new Request(`http://registry.test${path}`, { headers }), { address: "192.0.2.1" })),
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

test("health endpoints answer without a login; /readyz says no while stopping and when the storage fails", async () => {
  using opened = open('[auth.htpasswd]\nfile="htpasswd"\n');
  assert.equal((await opened.get("/healthz")).status, 200);
  assert.equal((await opened.get("/readyz?x=1")).status, 200);
  opened.fail();
  const failed = await opened.get("/readyz");
  assert.equal(failed.status, 503);
  assert.doesNotMatch(await failed.text(), /secret/);
  using draining = open("");
  draining.service.drain();
  assert.equal((await draining.get("/readyz")).status, 503);
  assert.equal((await draining.get("/healthz")).status, 200);
  assert.equal((await draining.get("/v2/")).status, 200, "requests are still answered");
});

test("a name that a client claims ends no field, begins no line and commands no terminal in the log", async () => {
  const lines: string[] = [];
  using opened = open('[auth.htpasswd]\nfile="htpasswd"\n', { ...silent, say: (line) => void lines.push(line) });
  const user = "x y\n127.0.0.1 anna PUT /v2/os/manifests/v1 201\r\u001b[31m\u009b\u2028\u202e";
  const authorization = `Basic ${Buffer.from(`${user}:no`).toString("base64")}`;
  assert.equal((await opened.get("/v2/", { authorization })).status, 401);
  assert.equal(lines.length, 1);
  const claimed = "x%20y%0A127.0.0.1%20anna%20PUT%20/v2/os/manifests/v1%20201%0D%1B[31m%C2%9B%E2%80%A8%E2%80%AE";
  assert.equal(lines[0]?.replace(/\d+\.\d ms$/, "T"), `192.0.2.1 ${claimed} GET /v2/ 401 T`);
});

test("behind a trusted proxy the client's own address is limited and audited, and nobody can choose another", async () => {
  const rules =
    '[limits]\nrequests-per-second=1\nburst=2\n[audit]\nfile="audit.log"\n[proxies]\ntrusted=["192.0.2.1"]\n';
  using opened = open(`[auth.htpasswd]\nfile="htpasswd"\n${rules}`);
  const status = async (address: string): Promise<number> =>
    (await opened.get("/v2/team/os/tags/list", { "x-forwarded-for": address })).status;
  for (const wanted of [401, 401, 429]) assert.equal(await status("203.0.113.7"), wanted);
  assert.equal(await status("198.51.100.9, 203.0.113.7"), 429, "what a client claims before the proxy does not count");
  assert.equal(await status("203.0.113.8"), 401, "another client has its own limit");
  const audited = host.files.readText(`${opened.path}/audit.log`).trimEnd().split("\n");
  const addresses = audited.map((line) => parseJsonObject(line, "audit")["address"]);
  assert.deepEqual([...new Set(addresses)], ["203.0.113.7", "203.0.113.8"]);
});

test("metrics are for the users that the configuration names, or on an address of their own, or not there", async () => {
  const users = '[auth.htpasswd]\nfile="htpasswd"\n';
  using closed = open(`${users}[metrics]\nusers=["prometheus"]\n`);
  assert.equal((await closed.get("/metrics")).status, 401);
  assert.equal((await closed.get("/metrics", anna)).status, 403);
  using named = open(`${users}[metrics]\nusers=["anna"]\n`);
  assert.equal((await named.get("/metrics", anna)).status, 200);
  using without = open(users);
  assert.equal((await without.get("/metrics", anna)).status, 404);
  using aside = open(`${users}[metrics]\nlisten="127.0.0.1:0"\n`);
  assert.equal((await aside.get("/metrics", anna)).status, 404);
  assert.equal((await aside.get("/metrics", {}, aside.service.operations)).status, 200);
  assert.equal((await aside.get("/healthz", {}, aside.service.operations)).status, 200);
  assert.equal(
    (await aside.get("/v2/", anna, aside.service.operations)).status,
    404,
    "no registry beside the registry",
  );
});

test("metrics count requests by endpoint, and name no repository", async () => {
  using opened = open('[metrics]\nlisten="127.0.0.1:0"\n');
  for (const path of ["/v2/", "/v2/secret/os/tags/list", "/v2/secret/os/manifests/v1", "/v2/secret/os/manifests/v2"])
    await opened.get(path);
  const text = await (await opened.get("/metrics", {}, opened.service.operations)).text();
  for (const line of [
    'berth_registry_requests_total{endpoint="base",method="GET",status="200"} 1',
    'berth_registry_requests_total{endpoint="manifest",method="GET",status="404"} 2',
    'berth_registry_request_seconds_count{endpoint="manifest"} 2',
    'berth_registry_request_seconds_bucket{endpoint="manifest",le="+Inf"} 2',
    "# TYPE berth_registry_request_seconds histogram",
    "berth_registry_requests_in_flight 0",
    "berth_registry_webhooks_waiting 0",
  ])
    assert.ok(text.includes(`${line}\n`), line);
  assert.doesNotMatch(text, /secret/);
  for (const line of text.trimEnd().split("\n"))
    assert.match(line, /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+)$/);
  const buckets = [...text.matchAll(/bucket\{endpoint="manifest",le="[^"]+"\} (\d+)/g)].map((match) =>
    Number(match[1]),
  );
  assert.deepEqual(
    buckets,
    buckets.toSorted((left, right) => left - right),
    "buckets are cumulative",
  );
});

test("a served registry has its metrics aside, tells a receiver of a push, and ends what runs when it stops", async () => {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-service-test-`);
  const told = Promise.withResolvers<string>();
  await using receiver = await host.network.serve(
    async (request) => {
      told.resolve((await collectBytes(request.body ?? streamOf())).toString());
      return new Response(null, { status: 204 });
    },
    { host: "127.0.0.1", port: 0 },
  );
  const hook = `[[webhooks]]\nurl="http://127.0.0.1:${receiver.port}/"\nsecret="hook.secret"\n`;
  host.files.write(`${directory.path}/registry.toml`, `${CONFIG}[metrics]\nlisten="127.0.0.1:0"\n${hook}`);
  await assert.rejects(
    startRegistry(host, directory.path, { progress: silent }),
    (error) => isFailure(error, "not-found") && /the secret of webhook http:/.test(error.message),
  );
  host.files.write(`${directory.path}/hook.secret`, "s3cret\n");
  const registry = await startRegistry(host, directory.path, { progress: silent });
  const call = async (method: string, url: string, body?: AsyncIterable<Uint8Array> | Uint8Array): Promise<number> => {
    const headers = { "content-type": "application/vnd.oci.image.index.v1+json" };
    const response = await host.network.request({ method, url, headers, ...(body !== undefined && { body }) });
    await collectBytes(response.body);
    return response.status;
  };
  const index = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] }),
  );
  assert.equal(await call("PUT", `${registry.url}/v2/team/os/manifests/v1`, index), 201);
  assert.match(await told.promise, /"action":"push".*"repository":"team\/os".*"tag":"v1"/);
  assert.equal(await call("GET", registry.metricsUrl ?? ""), 200);

  const gate = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield index.subarray(0, 10);
    await gate.promise;
    yield index.subarray(10);
  }
  const begun = call("PUT", `${registry.url}/v2/team/os/manifests/v2`, slow());
  while (!(await inFlight(registry.metricsUrl ?? ""))) await host.clock.sleep(1);
  const closed = registry.close();
  gate.resolve();
  assert.equal(await begun, 201, "the request that ran has ended well");
  await closed;
  for (const url of [`${registry.url}/v2/`, registry.metricsUrl ?? ""])
    await assert.rejects(call("GET", url), (error) => isFailure(error, "network"));
});

async function inFlight(url: string): Promise<boolean> {
  const response = await host.network.request({ method: "GET", url });
  return /berth_registry_requests_in_flight [1-9]/.test((await collectBytes(response.body)).toString());
}

test("[protocol] lets mirrors take manifests without their parts, and shows a notice on what succeeds", async () => {
  using opened = open('[protocol]\nsparse=["mirror/**"]\nnotice="\\"Read-only\\" on Saturday"\n');
  const digest = digestOf("absent");
  const entry = { mediaType: MANIFEST, digest, size: 6 };
  const put = async (repository: string): Promise<number> => {
    const request = new Request(`http://registry.test/v2/${repository}/manifests/v1`, {
      method: "PUT",
      headers: { "content-type": INDEX },
      body: JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [entry] }),
    });
    return (await opened.service.handler(request, { address: "192.0.2.1" })).status;
  };
  assert.equal(await put("mirror/debian"), 201);
  assert.equal(await put("team/os"), 404);
  const got = await opened.get("/v2/mirror/debian/manifests/v1");
  assert.equal(got.status, 200);
  assert.equal(got.headers.get("warning"), String.raw`299 - "\"Read-only\" on Saturday"`);
  assert.equal((await opened.get("/v2/team/os/manifests/v1")).headers.get("warning"), null);
});

test("a webhook whose secret is empty is refused: everybody could sign with it", () => {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-service-test-`);
  host.files.write(`${directory.path}/hook.secret`, "\n");
  const at = (path: string): string => `${directory.path}/${path}`;
  const config = parseRegistryConfig(`${CONFIG}[[webhooks]]\nurl = "https://h/x?key=k"\nsecret = "hook.secret"\n`);
  assert.throws(
    () => openService(host, config, { driver: filesDriver(host, at("data")), at, progress: silent }),
    (error) =>
      isFailure(error, "bad-input") &&
      error.message.startsWith("Cannot use the secret of webhook https://h: ") &&
      error.message.includes("is empty"),
  );
});
