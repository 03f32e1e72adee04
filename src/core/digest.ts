/**
 * Digest: an OCI content digest, `sha256:<64 hex>` or `sha512:<128 hex>`, parsed once.
 *
 * @see OCI image-spec, descriptor.md, "Digests"
 */
import { createHash, hash } from "node:crypto";

export type Digest = string & { readonly __brand: "Digest" };
export type DigestAlgorithm = "sha256" | "sha512";

const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** The only door to a Digest. Throws SyntaxError for anything that is not a lower-case sha256 or sha512 digest. */
export function parseDigest(text: string): Digest {
  if (!DIGEST.test(text)) {
    throw new SyntaxError(
      `Cannot parse digest ${JSON.stringify(text.slice(0, 160))}: wanted sha256:<64 hex> or sha512:<128 hex>`,
    );
  }
  return text as Digest;
}

/** sha256 or sha512 in lower-case hexadecimal; other algorithms of the OCI image-spec are none here. */
export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith("sha512:") ? "sha512" : "sha256";
}

/** The hexadecimal part. */
export function digestHex(digest: Digest): string {
  return digest.slice(7);
}

/** Digest of bytes that are in memory. */
export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = "sha256"): Digest {
  return `${algorithm}:${hash(algorithm, bytes, "hex")}` as Digest;
}

/** An incremental digest, for bytes that flow. */
export interface Digester {
  update(bytes: Uint8Array): void;
  /** May be called once. */
  digest(): Digest;
}

/** Hashes what comes in pieces. */
export function createDigester(algorithm: DigestAlgorithm = "sha256"): Digester {
  const state = createHash(algorithm);
  return {
    update(bytes) {
      state.update(bytes);
    },
    digest() {
      return `${algorithm}:${state.digest("hex")}` as Digest;
    },
  };
}
