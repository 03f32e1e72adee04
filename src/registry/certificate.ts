/**
 * createCertificate(): a key pair and a self-signed certificate for a registry's host names, made by openssl. It is its own
 * authority: who trusts it puts the certificate into certs.d.
 *
 * @see RFC 5280 section 4.2.1.6; x509v3_config(5)
 */
import { Failure } from "../core/failure.ts";
import type { Host } from "../host/host.ts";

export interface CertificatePair {
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
}

const VALID_DAYS = 3650;
const NAME = /^(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*)$/;

/** `names`: host names and IP addresses; the first is the subject. Failure "bad-input", "missing-tool". */
export async function createCertificate(
  host: Pick<Host, "files" | "exec" | "which">,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<CertificatePair> {
  const wrong = names.find((name) => !ADDRESS.test(name) && !NAME.test(name));
  if (wrong !== undefined)
    throw new Failure(
      "usage",
      `Cannot make a certificate for ${JSON.stringify(wrong)}: it is no host name and no IP address`,
    );
  if (host.which("openssl") === undefined) {
    throw new Failure("missing-tool", "Cannot make a certificate: openssl is not installed", {
      hint: "install the package openssl, or pass --no-tls for a registry on this machine only",
    });
  }
  using directory = host.files.temporaryDirectory("/tmp/berth-certificate-");
  const at = (name: string): string => `${directory.path}/${name}`;
  host.files.write(at("request.cnf"), requestConfig(names));
  await host.exec(
    [
      "openssl",
      "req",
      "-x509",
      "-batch",
      "-nodes",
      "-sha256",
      "-days",
      String(VALID_DAYS),
      "-config",
      at("request.cnf"),
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-keyout",
      at("key.pem"),
      "-out",
      at("certificate.pem"),
    ],
    { timeoutMs: 60_000, signal },
  );
  return { certificate: host.files.readText(at("certificate.pem")), key: host.files.readText(at("key.pem")) };
}

function requestConfig(names: readonly string[]): string {
  const alternatives = names.map((name) => `${ADDRESS.test(name) ? "IP" : "DNS"}:${name}`).join(",");
  return `[req]
distinguished_name = subject
x509_extensions = extensions
prompt = no
[subject]
CN = ${names[0]?.slice(0, 64)}
[extensions]
subjectAltName = ${alternatives}
basicConstraints = critical,CA:TRUE
keyUsage = critical,digitalSignature,keyCertSign
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
`;
}
