/**
 * certificatesFor(): what certs.d says about a registry: `*.crt` are authorities to trust, `NAME.cert` with `NAME.key` is who we
 * are. The directory is named exactly as the registry in a reference, port included.
 *
 * @see containers-certs.d(5)
 */
import { textToByteName } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import type { ClientTls } from "../host/host.ts";
import { type ConfigHost, userConfigDirectory } from "./context.ts";

/** Failure "bad-input" for a client certificate without its key, or a key alone. */
export function certificatesFor(host: ConfigHost, registry: string): ClientTls {
  const user = userConfigDirectory(host);
  const roots = [...(user === undefined ? [] : [`${user}/containers`]), "/etc/containers", "/etc/docker"];
  const ca: string[] = [];
  let pair: { cert: string; key: string } | undefined;
  for (const root of roots) {
    const directory = textToByteName(`${root}/certs.d/${registry}`);
    const names = host.files.listIfAny(directory);
    for (const name of names) {
      const path = `${directory}/${name}`;
      if (name.endsWith(".crt")) ca.push(host.files.readText(path));
      const partner = name.replace(/\.(cert|key)$/, (_, kind: string) => (kind === "cert" ? ".key" : ".cert"));
      if (partner === name) continue;
      if (!names.includes(partner)) {
        throw new Failure(
          "bad-input",
          `Cannot use "${path}": "${partner}" is not beside it, wanted a certificate and its key`,
        );
      }
      if (name.endsWith(".cert")) {
        pair ??= { cert: host.files.readText(path), key: host.files.readText(`${directory}/${partner}`) };
      }
    }
  }
  return { ...(ca.length > 0 && { ca }), ...pair };
}
