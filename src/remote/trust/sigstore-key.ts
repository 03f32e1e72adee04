/**
 * Keys of sigstore signatures: public keys as PEM; private keys as cosign keeps them (PKCS #8, encrypted with a password by scrypt
 * and NaCl's secretbox, in a PEM block of its own) or as plain PKCS #8 PEM. The signature is over the payload's SHA-256, in base64.
 *
 * @see cosign, "Signature Specification"; sigstore's signature package, "encrypted" (go-securesystemslib)
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  scryptSync,
  sign,
  verify,
} from "node:crypto";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { asCount, asObject, asString, parseJsonObject } from "../../core/json.ts";

const ENCRYPTED = /^-----BEGIN ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY-----\n([A-Za-z0-9+/=\s]+)-----END ENCRYPTED/m;
const COST = { N: 65_536, r: 8, p: 1 } as const;
const COST_MAX = 1 << 20;

/** Throws SyntaxError for what is no public key of a kind that signs. */
export function parsePublicKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    if (!pem.includes("-----BEGIN PUBLIC KEY-----")) throw new SyntaxError("no PEM block PUBLIC KEY");
    key = createPublicKey(pem);
  } catch (error) {
    throw new SyntaxError(`Cannot read public key: ${error instanceof Error ? error.message : String(error)}`);
  }
  return requireKind(key);
}

/** Does the private key need a password? */
export function isEncryptedKey(pem: string): boolean {
  return ENCRYPTED.test(pem);
}

/** Throws SyntaxError; a wrong password is one, too. */
export function parsePrivateKey(pem: string, password: string): KeyObject {
  const body = ENCRYPTED.exec(pem)?.[1];
  try {
    if (!pem.includes("PRIVATE KEY-----")) throw new SyntaxError("no PEM block PRIVATE KEY");
    if (body === undefined) return requireKind(createPrivateKey(pem));
    const der = decrypt(Buffer.from(body, "base64").toString("utf8"), password);
    return requireKind(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
  } catch (error) {
    throw new SyntaxError(`Cannot read private key: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export interface KeyPairText {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** A new ECDSA P-256 pair in cosign's files. `random` gives the salt and the nonce. */
export function generateKeyPair(password: string, random: (sizeBytes: number) => Uint8Array): KeyPairText {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const salt = random(32);
  const nonce = random(24);
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  const ciphertext = xsalsa20poly1305(scryptSync(password, salt, 32, withMemory(COST)), nonce).encrypt(der);
  const text = JSON.stringify({
    kdf: { name: "scrypt", params: COST, salt: toBase64(salt) },
    cipher: { name: "nacl/secretbox", nonce: toBase64(nonce) },
    ciphertext: toBase64(ciphertext),
  });
  const lines = toBase64(Buffer.from(text)).replaceAll(/.{64}(?=.)/g, "$&\n");
  return {
    privateKey: `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n${lines}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n`,
    publicKey: publicKey.export({ format: "pem", type: "spki" }).toString(),
  };
}

/** In base64. */
export function signPayload(key: KeyObject, payload: Uint8Array): string {
  return sign(hashFor(key), payload, key).toString("base64");
}

/** `signature` in base64, over the payload as it is. */
export function verifyPayload(key: KeyObject, payload: Uint8Array, signature: string): boolean {
  return verify(hashFor(key), payload, key, Buffer.from(signature, "base64"));
}

function decrypt(text: string, password: string): Buffer {
  const object = parseJsonObject(text, "encrypted key");
  const kdf = asObject(object["kdf"], "encrypted key.kdf");
  const cipher = asObject(object["cipher"], "encrypted key.cipher");
  if (kdf["name"] !== "scrypt" || cipher["name"] !== "nacl/secretbox")
    throw new SyntaxError("it is not encrypted with scrypt and nacl/secretbox");
  const params = asObject(kdf["params"], "encrypted key.kdf.params");
  const [N, r, p] = ["N", "r", "p"].map((name) => asCount(params[name], `encrypted key.kdf.params.${name}`));
  if (N === undefined || r === undefined || p === undefined || N * r * p > COST_MAX * 8)
    throw new SyntaxError("its scrypt parameters are too large");
  const bytes = (value: unknown, what: string): Buffer =>
    Buffer.from(asString(value, `encrypted key.${what}`), "base64");
  const secret = scryptSync(password, bytes(kdf["salt"], "kdf.salt"), 32, withMemory({ N, r, p }));
  try {
    return Buffer.from(
      xsalsa20poly1305(secret, bytes(cipher["nonce"], "cipher.nonce")).decrypt(
        bytes(object["ciphertext"], "ciphertext"),
      ),
    );
  } catch {
    throw new SyntaxError("the password is wrong");
  }
}

/** scrypt needs 128·N·r bytes; Node allows 32 MiB unless told. */
function withMemory(cost: { N: number; r: number; p: number }): { N: number; r: number; p: number; maxmem: number } {
  return { ...cost, maxmem: 128 * cost.N * cost.r + (1 << 20) };
}

function requireKind(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType === "ec" || key.asymmetricKeyType === "ed25519" || key.asymmetricKeyType === "rsa")
    return key;
  throw new SyntaxError(`it is ${key.asymmetricKeyType ?? "no key pair"}, wanted ECDSA, Ed25519 or RSA`);
}

/** Ed25519 hashes by itself. */
function hashFor(key: KeyObject): "sha256" | null {
  return key.asymmetricKeyType === "ed25519" ? null : "sha256";
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
