/** What a registry's TLS can have wrong is one error that says so, and a hint that helps with that. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createPlainServer } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { createCertificate } from "../registry/certificate.ts";
import { openSession } from "./session.ts";

const host = createLinuxHost();

async function expired(): Promise<{ cert: string; key: string }> {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-tls-errors-`);
  const [key, csr, cert] = ["key", "csr", "cert"].map((name) => `${directory.path}/${name}`);
  assert.ok(key !== undefined && csr !== undefined && cert !== undefined);
  const openssl = (...words: string[]): Promise<unknown> => host.exec(["openssl", ...words], { timeoutMs: 60_000 });
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl("req", "-new", ...kind, "-subj", "/CN=localhost", "-keyout", key, "-out", csr);
  await openssl("x509", "-req", "-in", csr, "-signkey", key, "-days", "-1", "-out", cert);
  return { cert: host.files.readText(cert), key: host.files.readText(key) };
}

async function pairFor(name: string): Promise<{ cert: string; key: string }> {
  const { certificate, key } = await createCertificate(host, [name]);
  return { cert: certificate, key };
}

interface Case {
  readonly what: string;
  /** undefined: plain HTTP. */
  readonly server: () => Promise<ServerOptions | undefined>;
  readonly insecure?: boolean;
  readonly message: RegExp;
  readonly hint: RegExp | undefined;
}

const wantsClient = async (): Promise<ServerOptions> => {
  const pair = await pairFor("localhost");
  return { ...pair, ca: pair.cert, requestCert: true, rejectUnauthorized: true };
};

const cases: readonly Case[] = [
  {
    what: "a certificate for another name",
    server: () => pairFor("other.example"),
    message: /Host: localhost\. is not in .*DNS:other\.example/,
    hint: /^use a name that the certificate is for/,
  },
  {
    what: "an expired certificate",
    server: expired,
    message: /its certificate has expired$/,
    hint: /^the registry needs a new certificate/,
  },
  {
    what: "no client certificate where one is wanted",
    server: wantsClient,
    message: /"https:.*: it wants a certificate of the client$/,
    hint: /^put yours and its key into \/etc\/containers\/certs\.d\/localhost:\d+\/, as me\.cert and me\.key$/,
  },
  {
    what: "the same with TLS verification off",
    server: wantsClient,
    insecure: true,
    message: /"https:.*: it wants a certificate of the client$/,
    hint: /^put yours and its key/,
  },
  {
    what: "a server without a certificate",
    server: async () => ({}),
    message: /it broke off the TLS handshake/,
    hint: undefined,
  },
  {
    what: "plain HTTP",
    server: async () => undefined,
    message: /it does not speak TLS$/,
    hint: /--tls-verify=false/,
  },
];

for (const { what, server, insecure = false, message, hint } of cases) {
  test(`${what} is said, with what helps`, async () => {
    const options = await server();
    const listener = options === undefined ? createPlainServer() : createServer(options);
    listener.listen(0, "localhost");
    await once(listener, "listening");
    const address = listener.address();
    const name = `localhost:${typeof address === "object" ? address?.port : ""}`;
    using certDir = host.files.temporaryDirectory(`${SCRATCH}/berth-tls-errors-`);
    const cert = options?.cert;
    if (typeof cert === "string") host.files.write(`${certDir.path}/ca.crt`, cert);
    const context = { host, progress: silent, certDir: certDir.path };
    const endpoint = { host: name, path: "team/os", insecure, isMirror: false };
    try {
      await assert.rejects(openSession(context, endpoint, { access: "pull" }), (error) => {
        assert.ok(isFailure(error, "network"));
        assert.match(error.message, message);
        assert.match(error.hint ?? "", hint ?? /^$/);
        return true;
      });
    } finally {
      listener.closeAllConnections();
      listener.close();
    }
  });
}
