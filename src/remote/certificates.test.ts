import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { createFakeHost } from "../host/fake.ts";
import type { Host } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { createCertificate } from "../registry/certificate.ts";
import { certificatesFor } from "./certificates.ts";
import { openSession } from "./session.ts";
import { createTransport } from "./transport.ts";

test("certs.d gives authorities and a client's pair, by the exact name with port", async () => {
  const linux = createLinuxHost();
  const [own, another] = [await createCertificate(linux, ["anna"]), await createCertificate(linux, ["bert"])];
  const host = createFakeHost({
    env: { HOME: "/h" },
    files: {
      "/etc/containers/certs.d/r.io:5000/ca.crt": own.certificate,
      "/h/.config/containers/certs.d/r.io:5000/own.crt": another.certificate,
      "/etc/docker/certs.d/r.io:5000/me.cert": own.certificate,
      "/etc/docker/certs.d/r.io:5000/me.key": own.key,
      "/etc/docker/certs.d/junk/me.cert": "junk",
      "/etc/docker/certs.d/junk/me.key": own.key,
      "/etc/docker/certs.d/keyless/me.cert": own.certificate,
      "/etc/docker/certs.d/keyless/me.key": "",
      "/etc/docker/certs.d/mixed/me.cert": own.certificate,
      "/etc/docker/certs.d/mixed/me.key": another.key,
      "/etc/containers/certs.d/half/me.cert": "CERT",
      "/etc/containers/certs.d/other/me.key": "KEY",
      "/etc/containers/certs.d/garbage/ca.crt": "junk",
      "/etc/containers/certs.d/empty/ca.crt": "",
      "/etc/containers/certs.d/cut/ca.crt": own.certificate.slice(0, 200),
      "/only/x.crt": own.certificate,
    },
  });
  assert.deepEqual(certificatesFor(host, "r.io:5000"), {
    ca: [another.certificate, own.certificate],
    cert: own.certificate,
    key: own.key,
  });
  assert.deepEqual(certificatesFor(host, "r.io"), {});
  assert.deepEqual(certificatesFor(host, "r.io:5000", "/only"), { ca: [own.certificate] });
  assert.throws(
    () => certificatesFor(host, "r.io:5000", "/missing"),
    (error) => isFailure(error, "not-found"),
  );
  for (const [name, why] of [
    ["junk", "the certificate is no whole PEM"],
    ["keyless", "the key is no whole PEM, or has a passphrase"],
    ["mixed", "the key belongs to another certificate"],
  ] as const) {
    assert.throws(
      () => certificatesFor(host, name),
      (error) =>
        isFailure(error, "bad-input") &&
        error.message === `Cannot use "/etc/docker/certs.d/${name}/me.cert" and its key: ${why}`,
    );
  }
  for (const name of ["garbage", "empty", "cut"]) {
    assert.throws(
      () => certificatesFor(host, name),
      (error) =>
        isFailure(error, "bad-input") &&
        error.message === `Cannot use "/etc/containers/certs.d/${name}/ca.crt": the certificate is no whole PEM`,
    );
  }
  for (const [name, missing] of [
    ["half", "me.key"],
    ["other", "me.cert"],
  ] as const) {
    assert.throws(
      () => certificatesFor(host, name),
      (error) => isFailure(error, "bad-input") && error.message.includes(`"${missing}" is not beside it`),
    );
  }
});

test("the directory is that of the name in the reference: with a port that https has anyway, and docker.io", async () => {
  const directories = ["r.io:443", "r.io", "docker.io", "registry-1.docker.io", "else.io"];
  const { certificate } = await createCertificate(createLinuxHost(), ["anna"]);
  const caOf = (name: string): string => `${certificate}CA of ${name}\n`;
  const files = Object.fromEntries(directories.map((name) => [`/etc/containers/certs.d/${name}/ca.crt`, caOf(name)]));
  const used: (readonly string[] | undefined)[] = [];
  const fake = createFakeHost({ files, env: {} });
  const network: Host["network"] = {
    ...fake.network,
    async request({ url, tls }) {
      used.push(tls?.ca);
      const isFirst = new URL(url).pathname === "/v2/";
      return {
        status: isFirst ? 307 : 200,
        headers: isFirst ? { location: "https://else.io/x" } : {},
        body: streamOf(),
        discard() {},
      };
    },
  };
  const context = { host: { ...fake, network }, progress: silent };
  for (const [registry, address] of [
    ["r.io:443", "r.io:443"],
    ["r.io", "r.io"],
    ["docker.io", "registry-1.docker.io"],
  ] as const) {
    used.splice(0);
    await createTransport(context, registry)({ method: "GET", url: `https://${address}/v2/`, insecure: false });
    assert.deepEqual(used, [[caOf(registry)], [caOf("else.io")]]);
  }
  used.splice(0);
  const endpoint = { host: "docker.io", path: "library/x", insecure: false, isMirror: false };
  await openSession(context, endpoint, { access: "pull" });
  assert.deepEqual(used[0], [caOf("docker.io")]);
});

test("a registry that wants a client's certificate gets the one of certs.d", async () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-certs-test-`);
  const server = await createCertificate(host, ["127.0.0.1"]);
  const at = (name: string): string => `${directory.path}/${name}`;
  const openssl = [
    "openssl",
    "req",
    "-x509",
    "-nodes",
    "-subj",
    "/CN=client",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
  ];
  await host.exec([...openssl, "-keyout", at("me.key"), "-out", at("me.cert")], { timeoutMs: 60_000 });
  const registry = createServer(
    {
      cert: server.certificate,
      key: server.key,
      ca: host.files.readText(at("me.cert")),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (_request, response) => void response.end("welcome"),
  );
  registry.listen(0, "127.0.0.1");
  await once(registry, "listening");
  const address = registry.address();
  const name = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  const certs = at(`containers/certs.d/${name}`);
  const request = async (): Promise<number> => {
    const context = { host: { ...host, env: { XDG_CONFIG_HOME: directory.path } }, progress: silent };
    const response = await createTransport(context)({
      method: "GET",
      url: `https://${name}/`,
      insecure: false,
      retries: 0,
    });
    response.discard();
    return response.status;
  };
  try {
    await assert.rejects(request(), (error) => isFailure(error, "network") && /certificate/.test(error.message));
    host.files.makeDirectory(certs);
    host.files.write(`${certs}/ca.crt`, server.certificate);
    await assert.rejects(request(), (error) => isFailure(error, "network"));
    for (const name of ["me.cert", "me.key"]) host.files.copy(at(name), `${certs}/${name}`);
    assert.equal(await request(), 200);
  } finally {
    registry.closeAllConnections();
    registry.close();
  }
});
