/**
 * Debian's docker-registry (distribution 2.8) as a peer: the conformance suite must find its gaps, and benches are measured against it. Error-level
 * log, no access log, descriptors cached in memory: its quickest ordinary configuration. It has no switch for fsync.
 */
import { Failure } from "../../src/core/failure.ts";
import type { Host } from "../../src/host/host.ts";
import { createCertificate } from "../../src/registry/certificate.ts";

export interface DockerRegistry extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** PEM; empty without TLS. */
  readonly ca: string;
}

export interface DockerRegistryOptions {
  readonly user: string;
  readonly password: string;
  readonly tls: boolean;
}

type PeerHost = Pick<Host, "files" | "exec" | "which" | "spawn" | "network" | "clock">;

/** `directory` takes its configuration and its data. bcrypt at htpasswd's default cost. */
export async function startDockerRegistry(
  host: PeerHost,
  directory: string,
  options: DockerRegistryOptions,
): Promise<DockerRegistry> {
  const { user, password, tls } = options;
  const at = (name: string): string => `${directory}/${name}`;
  const port = await freePort(host);
  const { stdout } = await host.exec(["htpasswd", "-niB", user], { stdin: password, timeoutMs: 10_000 });
  host.files.write(at("users"), stdout);
  const pair = tls ? await createCertificate(host, ["localhost", "127.0.0.1"]) : undefined;
  host.files.write(at("peer.crt"), pair?.certificate ?? "");
  host.files.write(at("peer.key"), pair?.key ?? "");
  host.files.write(
    at("config.yml"),
    JSON.stringify({
      version: "0.1",
      log: { level: "error", accesslog: { disabled: true } },
      storage: {
        filesystem: { rootdirectory: at("peer") },
        delete: { enabled: true },
        cache: { blobdescriptor: "inmemory" },
      },
      auth: { htpasswd: { realm: "peer", path: at("users") } },
      http: {
        addr: `127.0.0.1:${port}`,
        ...(tls && { tls: { certificate: at("peer.crt"), key: at("peer.key") } }),
      },
    }),
  );
  const child = host.spawn(["docker-registry", "serve", at("config.yml")], { stderr: { file: at("peer.log") } });
  const url = `${tls ? "https" : "http"}://127.0.0.1:${port}`;
  const ca = pair?.certificate ?? "";
  await answering(host, `${url}/v2/`, ca);
  return {
    url,
    ca,
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.ended;
    },
  };
}

async function freePort(host: Pick<Host, "network">): Promise<number> {
  const server = await host.network.serve(async () => new Response(), { host: "127.0.0.1", port: 0 });
  await server.close();
  return server.port;
}

async function answering(host: Pick<Host, "network" | "clock">, url: string, ca: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    try {
      const response = await host.network.request({ method: "GET", url, tls: { ca: [ca] } });
      response.discard();
      return;
    } catch {
      await host.clock.sleep(100);
    }
  }
  throw new Failure("network", `Cannot use docker-registry on "${url}": it does not answer`);
}
