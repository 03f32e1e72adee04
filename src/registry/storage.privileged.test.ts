/** The registry on a file system that is full, and a server process that is killed: nothing that was acknowledged is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import type { Child, Host, HttpResponse } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { filesDriver } from "./files-driver.ts";
import { initRegistry } from "./init.ts";
import { blobUpload, openTestRegistry } from "./testing.ts";

const host = createLinuxHost();
const uploads = "/v2/team/os/blobs/uploads/";

test("a full disk gives 507 and no blob; what was pushed stays, and with space again the upload goes on", async () => {
  using directory = host.files.temporaryDirectory("/tmp/berth-full-disk-");
  using _ = host.mounts.tmpfs(directory.path, { sizeBytes: 4 << 20 });
  using registry = openTestRegistry({ driver: filesDriver(host, `${directory.path}/data`) });
  const { digest: kept } = await registry.pushImage("team/os", "v1");
  host.files.write(`${directory.path}/ballast`, Buffer.alloc(2 << 20));

  const content = Buffer.alloc(3 << 20, "too much ");
  const digest = digestOf(content);
  const session = (await registry.call("POST", uploads)).headers.get("location");
  const chunks = ReadableStream.from([content.subarray(0, 1 << 20), content.subarray(1 << 20)]);
  const refused = await registry.call("PUT", blobUpload(session, digest), { body: chunks });
  assert.equal(refused.status, 507);
  assert.match(await refused.text(), /no space left/);
  assert.equal((await registry.call("HEAD", `/v2/team/os/blobs/${digest}`)).status, 404);
  assert.equal((await registry.call("GET", `/v2/team/os/manifests/${kept}`)).status, 200);
  const manifest = { body: "x".repeat(1 << 20), headers: { "content-type": "text/plain" } };
  assert.equal((await registry.call("PUT", "/v2/team/os/manifests/v2", manifest)).status, 400);

  host.files.remove(`${directory.path}/ballast`);
  const range = (await registry.call("GET", session ?? "")).headers.get("range");
  assert.equal(range, `0-${(1 << 20) - 1}`);
  const rest = { body: content.subarray(1 << 20), headers: { "content-range": `${1 << 20}-${content.length - 1}` } };
  assert.equal((await registry.call("PUT", blobUpload(session, digest), rest)).status, 201);
  assert.equal((await registry.call("HEAD", `/v2/team/os/blobs/${digest}`)).status, 200);
});

interface Running {
  readonly url: string;
  readonly child: Child;
}

async function serve(directory: string): Promise<Running> {
  const main = new URL("../cli/main.ts", import.meta.url).pathname;
  const argv = ["registry", "serve", "--quiet", "--listen", "127.0.0.1:0", directory];
  const child = host.spawn([process.execPath, "--disable-warning=ExperimentalWarning", main, ...argv], {
    stdout: "pipe",
  });
  for await (const chunk of child.stdout ?? []) {
    const url = /on (http:\S+)/.exec(Buffer.from(chunk).toString())?.[1];
    if (url !== undefined) return { url, child };
  }
  throw new Error("berth registry serve ended before it listened");
}

type Call = (
  method: string,
  path: string,
  more?: Partial<Parameters<Host["network"]["request"]>[0]>,
) => Promise<HttpResponse>;

function caller(url: string): Call {
  const authorization = `Basic ${btoa("anna:secret")}`;
  return async (method, path, more = {}) => {
    const headers = { authorization, ...more.headers };
    return host.network.request({ ...more, method, url: `${url}${path}`, headers });
  };
}

test("a server that is killed within a push shows no part of it, keeps what it acknowledged, and takes the rest", async () => {
  using directory = host.files.temporaryDirectory("/tmp/berth-killed-");
  const path = `${directory.path}/registry`;
  await initRegistry(host, path, { user: "anna", password: "secret", hostnames: [], tls: false });
  const acknowledged = Buffer.from("acknowledged");
  const content = Buffer.alloc(8 << 20, "in flight ");
  const digest = digestOf(content);

  const first = await serve(path);
  const call = caller(first.url);
  const single = { body: acknowledged, headers: { "content-type": "application/octet-stream" } };
  assert.equal((await call("POST", `${uploads}?digest=${digestOf(acknowledged)}`, single)).status, 201);
  const session = (await call("POST", uploads)).headers["location"] ?? "";
  const sending = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < 5 << 20; at += 1 << 20) yield content.subarray(at, at + (1 << 20));
    // The server has this much when it says so to another request.
    while (!((await call("GET", session)).headers["range"] ?? "").endsWith(`-${(5 << 20) - 1}`))
      await host.clock.sleep(10);
    first.child.kill("SIGKILL");
    await first.child.ended;
  };
  await assert.rejects(call("PATCH", session, { body: sending() }));

  const second = await serve(path);
  try {
    const again = caller(second.url);
    assert.equal((await again("HEAD", `/v2/team/os/blobs/${digest}`)).status, 404);
    const kept = await again("GET", `/v2/team/os/blobs/${digestOf(acknowledged)}`);
    assert.deepEqual(await collectBytes(kept.body), acknowledged);
    const got = Number(/^0-(\d+)$/.exec((await again("GET", session)).headers["range"] ?? "")?.[1]) + 1;
    assert.equal(got, 5 << 20);
    const rest = { body: content.subarray(got), headers: { "content-range": `${got}-${content.length - 1}` } };
    assert.equal((await again("PUT", blobUpload(session, digest), rest)).status, 201);
    const whole = await again("GET", `/v2/team/os/blobs/${digest}`);
    assert.equal(digestOf(await collectBytes(whole.body)), digest);
  } finally {
    second.child.kill("SIGTERM");
    await second.child.ended;
  }
});
