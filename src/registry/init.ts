/** initRegistry(): a directory that `berth registry serve` can serve: configuration, users, TLS key pair. */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";
import { createCertificate } from "./certificate.ts";
import { CONFIG_NAME } from "./config.ts";
import { htpasswdLine } from "./htpasswd.ts";
import { keepingOwner } from "./keeping-owner.ts";

export interface InitOptions {
  readonly user: string;
  readonly password: string;
  /** Names in the certificate besides localhost and the loopback addresses. */
  readonly hostnames: readonly string[];
  readonly tls: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface InitializedRegistry {
  readonly directory: string;
  /** undefined without TLS. */
  readonly certificate: string | undefined;
  readonly listen: string;
}

/** Failure "already-exists" when the directory holds a registry. The configuration is written last. */
export async function initRegistry(
  host: Pick<Host, "files" | "user" | "exec" | "which">,
  directory: string,
  options: InitOptions,
): Promise<InitializedRegistry> {
  const files = keepingOwner(host);
  const at = (name: string): string => `${directory}/${name}`;
  if (files.exists(at(CONFIG_NAME))) {
    throw new Failure("already-exists", `Cannot make a registry in "${directory}": there is one already`);
  }
  const users = await htpasswdLine(options.user, options.password);
  const names = [...new Set([...options.hostnames, "localhost", "127.0.0.1", "::1"])];
  const pair = options.tls ? await createCertificate(host, names, options.signal) : undefined;

  files.makeDirectory(directory, { mode: 0o700 });
  files.makeDirectory(at("data"), { mode: 0o700 });
  if (pair !== undefined) {
    files.makeDirectory(at("tls"), { mode: 0o700 });
    files.replace(at("tls/registry.crt"), pair.certificate);
    files.replace(at("tls/registry.key"), pair.key, { mode: 0o600 });
  }
  files.replace(at("htpasswd"), users, { mode: 0o600 });
  const listen = `${options.tls ? "0.0.0.0" : "127.0.0.1"}:5000`;
  files.replace(at(CONFIG_NAME), firstConfig(listen, options.tls));
  return { directory, certificate: pair && at("tls/registry.crt"), listen };
}

function firstConfig(listen: string, tls: boolean): string {
  const sections = [
    `listen = "${listen}"`,
    '[storage]\ndriver = "files"\ndirectory = "data"',
    ...(tls ? ['[tls]\ncertificate = "tls/registry.crt"\nkey = "tls/registry.key"'] : []),
    '[auth.htpasswd]\nfile = "htpasswd"',
    '[auth.robots]\nfile = "robots.json"',
    '[auth.tokens]\nkey = "token.key"',
  ];
  return `${sections.join("\n\n")}\n`;
}
