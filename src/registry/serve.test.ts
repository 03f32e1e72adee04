/** The configuration, and the server on a real socket. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { initRegistry } from "./init.ts";
import { startRegistry } from "./serve.ts";

const user = { user: "anna", password: "secret", hostnames: [] };

test("init makes a registry once; its key and users are for the owner only", async () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-init-test-`);
  const path = `${directory.path}/registry`;
  await assert.rejects(initRegistry(host, path, { ...user, hostnames: ["bad name"], tls: true }), (error) =>
    isFailure(error, "usage"),
  );
  await assert.rejects(initRegistry(host, path, { ...user, password: "", tls: true }), (error) =>
    isFailure(error, "bad-input"),
  );
  assert.equal(host.files.exists(path), false);
  const made = await initRegistry(host, path, { ...user, hostnames: ["r.example.com", "10.0.0.1"], tls: true });
  assert.equal(made.certificate, `${path}/tls/registry.crt`);
  for (const name of ["htpasswd", "tls/registry.key"]) assert.equal(host.files.stat(`${path}/${name}`)?.mode, 0o600);
  const { stdout } = await host.exec(
    ["openssl", "x509", "-in", made.certificate ?? "", "-noout", "-ext", "subjectAltName"],
    { timeoutMs: 10_000 },
  );
  assert.match(
    stdout.toString(),
    /DNS:r\.example\.com, IP Address:10\.0\.0\.1, DNS:localhost, IP Address:127\.0\.0\.1/,
  );
  await assert.rejects(initRegistry(host, path, { ...user, tls: true }), (error) => isFailure(error, "already-exists"));
});

test("serve answers over TLS with the certificate that init made, wants a login, logs, and stops", async () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-serve-test-`);
  await initRegistry(host, directory.path, { ...user, tls: true });
  const ca = [host.files.readText(`${directory.path}/tls/registry.crt`)];
  const lines: string[] = [];
  const progress = { ...silent, say: (text: string) => void lines.push(text) };
  const registry = await startRegistry(host, directory.path, { listen: { host: "127.0.0.1", port: 0 }, progress });
  const get = async (authorization?: string): Promise<number> => {
    const headers = authorization === undefined ? {} : { authorization };
    const response = await host.network.request({ method: "GET", url: `${registry.url}/v2/`, headers, tls: { ca } });
    await collectBytes(response.body);
    return response.status;
  };
  assert.equal(await get(), 401);
  assert.equal(await get(`Basic ${btoa("anna:secret")}`), 200);
  assert.match(lines[1] ?? "", /^127\.0\.0\.1 anna GET \/v2\/ 200 [0-9.]+ ms$/);
  await registry.close();
  await assert.rejects(get(), (error) => isFailure(error, "network"));
});

for (const [name, listen, more, warnings] of [
  ["beyond loopback", { host: "0.0.0.0", port: 0 }, "", 1],
  ["on loopback", { host: "127.0.0.1", port: 0 }, "", 0],
  ["behind a proxy", { host: "0.0.0.0", port: 0 }, '[proxies]\ntrusted = ["10.0.0.1"]\n', 0],
] as const) {
  test(`serve without TLS ${name} warns of passwords in the clear ${warnings} times`, async () => {
    const host = createLinuxHost();
    using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-serve-test-`);
    await initRegistry(host, directory.path, { ...user, tls: false });
    const config = `${directory.path}/registry.toml`;
    host.files.write(config, `${host.files.readText(config)}${more}`);
    const warned: string[] = [];
    const progress = { ...silent, warn: (text: string) => void warned.push(text) };
    await using _registry = await startRegistry(host, directory.path, { listen, progress });
    assert.equal(warned.filter((text) => text.includes("in the clear")).length, warnings);
  });
}

for (const file of ["tls/registry.key", "tls/registry.crt", "htpasswd"]) {
  test(`a registry whose ${file} is damaged is not served`, async () => {
    const host = createLinuxHost();
    using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-serve-test-`);
    await initRegistry(host, directory.path, { ...user, tls: true });
    host.files.write(`${directory.path}/${file}`, "garbage\n");
    const started = startRegistry(host, directory.path, { listen: { host: "127.0.0.1", port: 0 }, progress: silent });
    await assert.rejects(started, (error) => isFailure(error, "bad-input"));
  });
}

test("a folder without a registry, and one with a broken configuration, are not served", async () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-serve-test-`);
  await assert.rejects(startRegistry(host, directory.path, { progress: silent }), (error) =>
    isFailure(error, "not-found"),
  );
  host.files.write(`${directory.path}/registry.toml`, "listen = 5");
  await assert.rejects(startRegistry(host, directory.path, { progress: silent }), (error) =>
    isFailure(error, "bad-input"),
  );
});
