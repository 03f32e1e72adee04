/**
 * Two registries on one bucket of a real S3-compatible store: every conformance case, many pushes at once by several clients, and
 * one of the two killed within them. What was acknowledged by either is there for the other.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { collectBytes } from "../src/core/bytes.ts";
import { digestOf } from "../src/core/digest.ts";
import { type FailureCode, isFailure } from "../src/core/failure.ts";
import { silent } from "../src/core/progress.ts";
import type { Child, HttpResponse } from "../src/host/host.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { initRegistry } from "../src/registry/init.ts";
import { gcRegistry } from "../src/registry/upkeep/gc-registry.ts";
import { startRegistry } from "../src/registry/serve.ts";
import { CASES, conformance } from "./conformance/conformance.ts";
import { type Ceph, startCeph } from "./support/ceph.ts";

const host = createLinuxHost();
const directory = host.files.temporaryDirectory("/tmp/berth-s3-");
let ceph: Ceph;

before(async () => {
  ceph = await startCeph(host, `${directory.path}/ceph`);
  const { accessKey, secretKey } = ceph;
  const keys = `[default]\naws_access_key_id = ${accessKey}\naws_secret_access_key = ${secretKey}\n`;
  host.files.write(`${directory.path}/keys`, keys);
});
after(async () => {
  await ceph[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

/** Makes a bucket; returns the section that names it. */
async function bucketSection(name: string): Promise<string> {
  await ceph.makeBucket(name);
  return `[storage]\ndriver = "s3"\nbucket = "${name}"\nendpoint = "${ceph.endpoint}"\ncredentials = "${directory.path}/keys"\n`;
}

/** The folder of a registry on a new bucket, without login. */
async function makeRegistry(name: string): Promise<string> {
  const path = `${directory.path}/${name}`;
  host.files.makeDirectory(path);
  host.files.write(`${path}/registry.toml`, `listen = "127.0.0.1:0"\n${await bucketSection(name)}`);
  return path;
}

interface Replica {
  readonly url: string;
  /** HOST:PORT. */
  readonly address: string;
  readonly child: Child;
}

async function serve(path: string): Promise<Replica> {
  const main = new URL("../src/cli/main.ts", import.meta.url).pathname;
  const argv = ["registry", "serve", "--quiet", "--listen", "127.0.0.1:0", path];
  const child = host.spawn([process.execPath, "--disable-warning=ExperimentalWarning", main, ...argv], {
    stdout: "pipe",
  });
  for await (const chunk of child.stdout ?? []) {
    const url = /on (http:\S+)/.exec(Buffer.from(chunk).toString())?.[1];
    if (url !== undefined) return { url, address: url.replace("http://", ""), child };
  }
  throw new Error("berth registry serve ended before it listened");
}

async function stop({ child }: Replica): Promise<void> {
  child.kill("SIGTERM");
  await child.ended;
}

function call(replica: Replica, method: string, path: string, body?: Uint8Array): Promise<HttpResponse> {
  const url = path.startsWith("/") ? `${replica.url}${path}` : path;
  return host.network.request({ method, url, ...(body !== undefined && { body }) });
}

const listen = { host: "127.0.0.1", port: 0 };

test("every conformance case passes on S3, over TLS with login on", async () => {
  const path = `${directory.path}/conformance`;
  const credentials = { user: "anna", password: "secret" };
  const { certificate } = await initRegistry(host, path, { ...credentials, hostnames: [], tls: true });
  const config = host.files.readText(`${path}/registry.toml`);
  const section = await bucketSection("conformance");
  host.files.write(`${path}/registry.toml`, config.replace(/\[storage\]\n(.+\n)+/, section));
  await using registry = await startRegistry(host, path, { listen, progress: silent });
  const ca = host.files.readText(certificate ?? "");
  const { passed, failed } = await conformance(registry.url, credentials, { ca });
  assert.deepEqual(failed, []);
  assert.equal(passed.length, CASES.length);
  assert.equal(host.files.listIfAny(`${path}/data`).length, 0, "nothing is kept beside the bucket");
});

const wrong: readonly (readonly [what: string, is: RegExp, instead: string, code: FailureCode])[] = [
  ["bucket", /bucket = ".*"/, 'bucket = "none-such"', "not-found"],
  ["secret-key", /credentials = ".*"/, 'credentials = "wrong-secret"', "unauthorized"],
  ["access-key", /credentials = ".*"/, 'credentials = "wrong-access"', "unauthorized"],
  ["endpoint", /endpoint = ".*"/, 'endpoint = "http://127.0.0.1:1"', "network"],
];
for (const [what, is, instead, code] of wrong) {
  test(`a wrong ${what} ends the start with an error that names bucket and store`, async () => {
    const path = await makeRegistry(`wrong-${what}`);
    const keys = host.files.readText(`${directory.path}/keys`);
    host.files.write(`${path}/wrong-secret`, keys.replace("SECRET", "WRONG"));
    host.files.write(`${path}/wrong-access`, keys.replace("ACCESS", "WRONG"));
    const config = host.files.readText(`${path}/registry.toml`);
    host.files.write(`${path}/registry.toml`, config.replace(is, instead));
    await assert.rejects(
      startRegistry(host, path, { listen, progress: silent }),
      (error) => isFailure(error, code) && /^Cannot open bucket "[a-z-]+" at http:/.test(error.message),
    );
  });
}

test("skopeo pushes to both replicas at once, one is killed, and the other has all that was acknowledged", async () => {
  const path = await makeRegistry("replicas");
  const [left, right] = [await serve(path), await serve(path)];
  try {
    const layouts = await Promise.all([0, 1, 2, 3].map((index) => makeLayout(index)));
    const push = (replica: Replica, index: number, tag: string): Promise<boolean> =>
      skopeo("copy", `oci:${layouts[index]}:v1`, `docker://${replica.address}/team/os:${tag}`);
    assert.deepEqual(await Promise.all([push(left, 0, "a"), push(right, 0, "b"), push(right, 1, "c")]), [
      true,
      true,
      true,
    ]);

    // Both replicas at once again; the left one dies as soon as it has a part of an upload.
    const session = (await call(left, "POST", "/v2/team/os/blobs/uploads/")).headers["location"] ?? "";
    const content = Buffer.alloc(24 << 20, "in flight ");
    const cut = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      yield content.subarray(0, 20 << 20);
      while (((await call(right, "GET", session)).headers["range"] ?? "0-0") === "0-0") await host.clock.sleep(20);
      left.child.kill("SIGKILL");
      await left.child.ended;
    };
    const pushes = [push(left, 2, "lost"), push(right, 3, "d")];
    await assert.rejects(host.network.request({ method: "PATCH", url: `${left.url}${session}`, body: cut() }));
    const [, survived] = await Promise.all(pushes);
    assert.equal(survived, true);

    // The upload goes on at the other replica.
    const got = Number(/^0-(\d+)$/.exec((await call(right, "GET", session)).headers["range"] ?? "")?.[1]) + 1;
    assert.ok(got >= 5 << 20 && got <= 20 << 20, `${got} bytes were kept`);
    const digest = digestOf(content);
    const rest = await call(right, "PUT", `${session}?digest=${digest}`, content.subarray(got));
    assert.equal(rest.status, 201, (await collectBytes(rest.body)).toString());
    const whole = await call(right, "GET", `/v2/team/os/blobs/${digest}`);
    assert.equal(digestOf(await collectBytes(whole.body)), digest);

    assert.equal(await push(right, 2, "lost"), true, "a push that was cut is done again");
    for (const tag of ["a", "b", "c", "d", "lost"]) {
      const target = `${directory.path}/pulled-${tag}`;
      assert.equal(await skopeo("copy", `docker://${right.address}/team/os:${tag}`, `oci:${target}:v1`), true, tag);
    }
  } finally {
    await stop(right);
    left.child.kill("SIGKILL");
  }
});

test("garbage is collected on the store while both replicas take pushes, and every image stays whole", async () => {
  const path = await makeRegistry("collected");
  const config = `${path}/registry.toml`;
  host.files.write(config, `${host.files.readText(config)}[gc]\ngrace = "5s"\n`);
  const [left, right] = [await serve(path), await serve(path)];
  try {
    const layouts = [await makeLayout(0), await makeLayout(1)];
    const orphan = Buffer.from("no manifest names this");
    const single = `/v2/team/os/blobs/uploads/?digest=${digestOf(orphan)}`;
    assert.equal((await call(left, "POST", single, orphan)).status, 201);
    let collected = 0;
    let runs = 0;
    const pushes = (async () => {
      for (let round = 0; round < 4; round += 1) {
        const replica = round % 2 === 0 ? left : right;
        const from = `oci:${layouts[round % 2]}:v1`;
        assert.equal(await skopeo("copy", from, `docker://${replica.address}/team/os:v${round}`), true);
        assert.equal(await skopeo("delete", `docker://${replica.address}/team/os:v${round}`), true);
      }
    })();
    const signal = new AbortController().signal;
    for (let isDone = false; !isDone; runs += 1) {
      isDone = await Promise.race([pushes.then(() => true), host.clock.sleep(1000).then(() => false)]);
      collected += (await gcRegistry(host, path, { dryRun: false, signal })).blobs;
    }
    assert.equal(await skopeo("copy", `oci:${layouts[0]}:v1`, `docker://${left.address}/team/os:last`), true);
    await host.clock.sleep(6000);
    collected += (await gcRegistry(host, path, { dryRun: false, signal })).blobs;
    assert.ok(collected > 0 && runs > 1, `${collected} blobs in ${runs} runs`);
    assert.equal((await call(right, "GET", `/v2/team/os/blobs/${digestOf(orphan)}`)).status, 404);
    const target = `oci:${directory.path}/pulled-last:v1`;
    assert.equal(await skopeo("copy", `docker://${right.address}/team/os:last`, target), true);
  } finally {
    await stop(left);
    await stop(right);
  }
});

/** copy FROM TO, or delete IMAGE. */
async function skopeo(verb: "copy" | "delete", ...images: readonly string[]): Promise<boolean> {
  const side = verb === "delete" ? "" : images[0]?.startsWith("docker:") === true ? "src-" : "dest-";
  const argv = ["skopeo", "--insecure-policy", verb, `--${side}tls-verify=false`, ...images];
  return (await host.exec(argv, { timeoutMs: 120_000, check: false })).exitCode === 0;
}

/** An image of 30 MiB in three layers, one of them common to all. */
async function makeLayout(index: number): Promise<string> {
  const path = `${directory.path}/image-${index}`;
  host.files.makeDirectory(`${path}/blobs/sha256`);
  const put = (bytes: Uint8Array | string, mediaType: string): object => {
    const digest = digestOf(bytes);
    host.files.write(`${path}/blobs/sha256/${digest.slice(7)}`, bytes);
    return { mediaType, digest, size: Buffer.byteLength(bytes) };
  };
  const layers = ["common", `first of ${index}`, `second of ${index}`].map((text) =>
    put(Buffer.alloc(10 << 20, text), "application/vnd.oci.image.layer.v1.tar"),
  );
  const diffIds = layers.map((layer) => "digest" in layer && layer.digest);
  const config = put(
    JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: diffIds } }),
    "application/vnd.oci.image.config.v1+json",
  );
  const manifest = put(
    JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config, layers }),
    "application/vnd.oci.image.manifest.v1+json",
  );
  const annotations = { "org.opencontainers.image.ref.name": "v1" };
  host.files.write(
    `${path}/index.json`,
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  host.files.write(`${path}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
  return path;
}
