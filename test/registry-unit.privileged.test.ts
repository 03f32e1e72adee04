/** systemd/berth-registry.service under a running systemd, made and started as docs/guide/registry.md says, with its sandbox. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { collectBytes } from "../src/core/bytes.ts";
import { digestOf } from "../src/core/digest.ts";
import { silent } from "../src/core/progress.ts";
import { buildBase } from "../src/build/base/base-image.ts";
import { findSuite } from "../src/build/base/suites.ts";
import type { HttpRequest, HttpResponse } from "../src/host/host.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { openWorkstationStore } from "../src/store/workstation.ts";
import { bootSystemd, type SystemdMachine } from "./support/systemd-machine.ts";

const UNIT = "berth-registry.service";
const DIRECTORY = "/var/lib/berth-registry";
const host = createLinuxHost();
const resources = new AsyncDisposableStack();
let machine: SystemdMachine;
let ca: string;

before(async () => {
  const scratch = resources.use(host.files.temporaryDirectory("/dev/shm/berth-unit-"));
  const store = resources.use(openWorkstationStore(host));
  const suite = findSuite("bookworm");
  const name = "localhost/debian-bootc:12";
  await buildBase({ host, store, progress: silent }, { suite, name, packages: [], kernel: "generic", useCache: true });
  const image = store.image(name);
  assert.ok(image !== undefined);
  machine = resources.use(await bootSystemd(host, store, store.imageId(image, "raw"), scratch.path));
  const names = ["--user=anna", "--password-stdin", `--hostname=${machine.address}`];
  await machine.run(["berth", "registry", "init", DIRECTORY, ...names], { stdin: "secret" });
  ca = host.files.readText(`${machine.root}${DIRECTORY}/tls/registry.crt`);
  await machine.run(["systemctl", "enable", "--now", UNIT]);
});
after(() => resources.disposeAsync());

const property = async (name: string): Promise<string> =>
  (await machine.run(["systemctl", "show", "--value", `--property=${name}`, UNIT])).stdout.toString().trim();

function call(method: string, path: string, more: Pick<HttpRequest, "body" | "headers"> = {}): Promise<HttpResponse> {
  const headers = { authorization: `Basic ${btoa("anna:secret")}`, ...more.headers };
  return host.network.request({
    method,
    url: `https://${machine.address}:5000${path}`,
    tls: { ca: [ca] },
    ...more,
    headers,
  });
}

async function statusOf(method: string, path: string, more: Parameters<typeof call>[2] = {}): Promise<number> {
  const response = await call(method, path, more);
  response.discard();
  return response.status;
}

/** systemd calls it started before it listens. */
async function isReady(): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const status = await statusOf("GET", "/readyz").catch(() => undefined);
    if (status === 200) return;
    await host.clock.sleep(100);
  }
  assert.fail((await machine.run(["journalctl", "--no-pager", "-u", UNIT])).stdout.toString());
}

const content = Buffer.from("kept");
const blob = `/v2/team/os/blobs/${digestOf(content)}`;

test("the unit runs as a user of its own in its sandbox, and takes content after a login", async () => {
  await isReady();
  assert.equal(await property("ActiveState"), "active");
  assert.equal(await statusOf("GET", "/v2/", { headers: { authorization: `Basic ${btoa("anna:wrong")}` } }), 401);
  assert.equal(
    await statusOf("POST", `/v2/team/os/blobs/uploads/?digest=${digestOf(content)}`, { body: content }),
    201,
  );

  const pid = await property("MainPID");
  const status = (await machine.run(["cat", `/proc/${pid}/status`])).stdout.toString();
  const uid = Number(/^Uid:\t(\d+)/m.exec(status)?.[1]);
  assert.ok(uid >= 61184 && uid <= 65519, `${uid} is a dynamic user`);
  // CAP_NET_BIND_SERVICE alone.
  assert.match(status, /^CapBnd:\t0000000000000400$/m);
  assert.match(status, /^NoNewPrivs:\t1\n(.*\n)*Seccomp:\t2$/m);
  const write = (path: string) => ["nsenter", `--target=${pid}`, "--mount", "--", "touch", path];
  for (const path of ["/usr/lib/x", "/etc/x", "/var/lib/x", "/var/lib/private/x"])
    await assert.rejects(machine.run(write(path)), /Read-only file system/, path);
  await machine.run(write(`${DIRECTORY}/data/x`));
});

test("root manages its users while it runs: to root the folder is a symlink that systemd made", async () => {
  const add = ["berth", "registry", "user", "add", DIRECTORY, "bert", "--password-stdin"];
  await machine.run(add, { stdin: "s3cret" });
  const bert = { authorization: `Basic ${btoa("bert:s3cret")}` };
  assert.equal(await statusOf("GET", "/v2/", { headers: bert }), 200);
});

for (const [what, words] of [
  ["restarted", ["systemctl", "restart", UNIT]],
  ["killed", ["systemctl", "kill", "--signal=KILL", UNIT]],
] as const) {
  test(`what it took is there after it was ${what}`, async () => {
    const before = await property("MainPID");
    await machine.run(words);
    await isReady();
    assert.notEqual(await property("MainPID"), before);
    assert.equal((await collectBytes((await call("GET", blob)).body)).toString(), "kept");
  });
}

test("a stop lets a running upload end", async () => {
  const late = Buffer.alloc(1_000_000, "late ");
  const body = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    yield late.subarray(0, 500_000);
    await machine.run(["systemctl", "stop", "--no-block", UNIT]);
    while ((await property("ActiveState")) !== "deactivating") await host.clock.sleep(50);
    yield late.subarray(500_000);
  };
  assert.equal(await statusOf("POST", `/v2/team/os/blobs/uploads/?digest=${digestOf(late)}`, { body: body() }), 201);
  while ((await property("ActiveState")) === "deactivating") await host.clock.sleep(50);
  assert.deepEqual([await property("ActiveState"), await property("Result")], ["inactive", "success"]);
  await assert.rejects(call("GET", "/v2/"));
});
