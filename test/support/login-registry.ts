/** startLoginRegistry(): berth's registry as it comes from `registry init`: TLS with its own certificate, one user, files on disk. */
import { silent } from "../../src/core/progress.ts";
import type { Host } from "../../src/host/host.ts";
import { initRegistry } from "../../src/registry/init.ts";
import { startRegistry } from "../../src/registry/serve.ts";

export interface LoginRegistry extends AsyncDisposable {
  /** HOST:PORT. */
  readonly address: string;
  readonly user: string;
  readonly password: string;
  /** A file. */
  readonly certificate: string;
  /** A `certs.d` with the certificate, for what takes one. */
  readonly certificates: string;
}

/** `directory` takes all of it. */
export async function startLoginRegistry(host: Host, directory: string): Promise<LoginRegistry> {
  const [user, password] = ["anna", "secret"];
  const registry = `${directory}/registry`;
  await initRegistry(host, registry, { user, password, hostnames: [], tls: true });
  const server = await startRegistry(host, registry, { listen: { host: "127.0.0.1", port: 0 }, progress: silent });
  const address = server.url.replace("https://", "");
  const certificates = `${directory}/certs.d`;
  const certificate = `${certificates}/${address}/ca.crt`;
  host.files.makeDirectory(`${certificates}/${address}`);
  host.files.copy(`${registry}/tls/registry.crt`, certificate);
  return { address, user, password, certificate, certificates, [Symbol.asyncDispose]: () => server.close() };
}
