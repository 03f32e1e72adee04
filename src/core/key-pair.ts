/**
 * requireKeyPair(), requireCertificate(): whether PEM texts are what TLS needs. OpenSSL itself takes an empty text, as a file has it
 * while it is written, for "none given": a server then has no certificate, or lets in the clients of every public authority.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** Throws SyntaxError unless `key` belongs to the first certificate of `cert`. */
export function requireKeyPair({ cert, key }: KeyPair): void {
  if (!requireCertificate(cert).checkPrivateKey(requireKey(key))) {
    throw new SyntaxError("the key belongs to another certificate");
  }
}

/** The first of `text`. Throws SyntaxError when there is none. */
export function requireCertificate(text: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (cause) {
    throw new SyntaxError("the certificate is no whole PEM", { cause });
  }
}

function requireKey(text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw new SyntaxError("the key is no whole PEM, or has a passphrase", { cause });
  }
}
