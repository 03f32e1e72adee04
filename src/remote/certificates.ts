/**
 * certificatesFor(): what certs.d says about a registry: `*.crt` are authorities to trust, `NAME.cert` with `NAME.key` is who we
 * are. The directory is named exactly as the registry in a reference, port included. `--cert-dir` names the only directory.
 *
 * @see containers-certs.d(5)
 */
import { type ByteName, textToByteName } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { type KeyPair, requireCertificate, requireKeyPair } from "../core/key-pair.ts";
import type { ClientTls } from "../host/host.ts";
import { type ConfigHost, userConfigDirectory } from "./context.ts";

/**
 * Failure "bad-input" for an authority that is no certificate, a client certificate without its own key, or a key alone; "not-found" for a
 * `certDir` that is missing.
 */
export function certificatesFor(host: ConfigHost, registry: string, certDir?: string): ClientTls {
  const ca: string[] = [];
  let pair: KeyPair | undefined;
  for (const directory of certDir === undefined ? directoriesFor(host, registry) : [textToByteName(certDir)]) {
    const names = certDir === undefined ? host.files.listIfAny(directory) : host.files.list(directory);
    for (const name of names) {
      const path = `${directory}/${name}`;
      if (name.endsWith(".crt")) ca.push(readAuthority(host, path));
      const partner = name.replace(/\.(cert|key)$/, (_, kind: string) => (kind === "cert" ? ".key" : ".cert"));
      if (partner === name) continue;
      if (!names.includes(partner)) {
        throw new Failure(
          "bad-input",
          `Cannot use "${path}": "${partner}" is not beside it, wanted a certificate and its key`,
        );
      }
      if (name.endsWith(".cert")) {
        pair ??= readPair(host, path, `${directory}/${partner}`);
      }
    }
  }
  return { ...(ca.length > 0 && { ca }), ...pair };
}

/** TLS itself passes over one that is none. */
function readAuthority(host: ConfigHost, path: string): string {
  const text = host.files.readText(path);
  understand(`"${path}"`, () => requireCertificate(text));
  return text;
}

function readPair(host: ConfigHost, certPath: string, keyPath: string): KeyPair {
  const pair = { cert: host.files.readText(certPath), key: host.files.readText(keyPath) };
  understand(`"${certPath}" and its key`, () => requireKeyPair(pair));
  return pair;
}

function understand(what: string, check: () => unknown): void {
  try {
    check();
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new Failure("bad-input", `Cannot use ${what}: ${cause.message}`, { cause });
  }
}

function directoriesFor(host: ConfigHost, registry: string): readonly ByteName[] {
  const user = userConfigDirectory(host);
  const roots = [...(user === undefined ? [] : [`${user}/containers`]), "/etc/containers", "/etc/docker"];
  return roots.map((root) => textToByteName(`${root}/certs.d/${registry}`));
}
