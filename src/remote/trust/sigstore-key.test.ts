import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { digestOf } from "../../core/digest.ts";
import { formatSigstoreClaim, parseClaim, SIGSTORE_CLAIM, SIMPLE_CLAIM } from "./claim.ts";
import {
  generateKeyPair,
  isEncryptedKey,
  parsePrivateKey,
  parsePublicKey,
  signPayload,
  verifyPayload,
} from "./sigstore-key.ts";

// Signatures made by cosign and skopeo (from the fixtures of containers/image, Apache-2.0), a key encrypted by libsodium.
const vectors = JSON.parse(readFileSync(`${import.meta.dirname}/../../../test/vectors/sigstore/vectors.json`, "utf8"));

for (const { by, payload, signature } of vectors.signatures) {
  test(`a signature by ${by} is verified, and its claim read`, () => {
    const key = parsePublicKey(vectors.publicKey);
    assert.ok(verifyPayload(key, Buffer.from(payload), signature));
    assert.ok(!verifyPayload(key, Buffer.from(payload.replace("5000", "5001")), signature));
    assert.match(
      parseClaim(payload, SIGSTORE_CLAIM).dockerReference,
      /^192\.168\.64\.2:5000\/(?:cosign|skopeo)-signed/,
    );
  });
}

test("a private key that another program encrypted is read with its password only", () => {
  const { pem, password, publicKey } = vectors.encryptedKey;
  assert.ok(isEncryptedKey(pem));
  const key = parsePrivateKey(pem, password);
  assert.equal(createPublicKey(key).export({ format: "pem", type: "spki" }), publicKey);
  assert.throws(() => parsePrivateKey(pem, "wrong"), /Cannot read private key: the password is wrong/);
});

for (const [name, pair] of [
  ["ECDSA P-256", generateKeyPairSync("ec", { namedCurve: "P-256" })],
  ["ECDSA P-384", generateKeyPairSync("ec", { namedCurve: "P-384" })],
  ["Ed25519", generateKeyPairSync("ed25519")],
  ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 })],
] as const) {
  test(`plain PKCS #8 PEM of ${name} signs, and its public key verifies`, () => {
    const pem = pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    assert.ok(!isEncryptedKey(pem));
    const signature = signPayload(parsePrivateKey(pem, ""), Buffer.from("payload"));
    const key = parsePublicKey(pair.publicKey.export({ format: "pem", type: "spki" }).toString());
    assert.ok(verifyPayload(key, Buffer.from("payload"), signature));
    assert.ok(!verifyPayload(key, Buffer.from("Payload"), signature));
  });
}

test("generateKeyPair() makes cosign's files, which are read again", () => {
  const pair = generateKeyPair("secret", randomBytes);
  assert.match(
    pair.privateKey,
    /^-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n$/,
  );
  const key = parsePrivateKey(pair.privateKey, "secret");
  assert.equal(createPublicKey(key).export({ format: "pem", type: "spki" }), pair.publicKey);
});

const encrypted = (json: object): string =>
  `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n${Buffer.from(JSON.stringify(json)).toString("base64")}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n`;
const kdf = { name: "scrypt", params: { N: 2, r: 1, p: 1 }, salt: "" };
const cipher = { name: "nacl/secretbox", nonce: "" };

for (const [name, pem, pattern] of [
  ["nothing", "", /no PEM block PRIVATE KEY/],
  ["a public key", vectors.publicKey, /no PEM block PRIVATE KEY/],
  ["another cipher", encrypted({ kdf, cipher: { ...cipher, name: "aes" } }), /not encrypted with scrypt/],
  ["too much scrypt", encrypted({ kdf: { ...kdf, params: { N: 2 ** 30, r: 8, p: 1 } }, cipher }), /too large/],
  ["a wrong nonce", encrypted({ kdf, cipher, ciphertext: "" }), /the password is wrong/],
  ["no ciphertext", encrypted({ kdf: {}, cipher: {} }), /not encrypted with scrypt/],
  [
    "a Diffie-Hellman key",
    generateKeyPairSync("x25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    /it is x25519, wanted/,
  ],
] as const) {
  test(`parsePrivateKey() rejects ${name}`, () => assert.throws(() => parsePrivateKey(pem, "x"), pattern));
}

for (const pem of ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", vectors.encryptedKey.pem]) {
  test(`parsePublicKey() rejects ${JSON.stringify(pem.slice(0, 40))}`, () =>
    assert.throws(() => parsePublicKey(pem), /^SyntaxError: Cannot read public key/));
}

test("a claim is read as it was written", () => {
  const claim = { dockerReference: "r.io/team/os:1", digest: digestOf("x") };
  assert.deepEqual(parseClaim(formatSigstoreClaim(claim), SIGSTORE_CLAIM), claim);
  assert.throws(() => parseClaim(formatSigstoreClaim(claim), SIMPLE_CLAIM), /wanted "atomic container signature"/);
});

const good = JSON.parse(formatSigstoreClaim({ dockerReference: "r.io/a", digest: digestOf("x") }));
for (const [name, text, pattern] of [
  ["no JSON", "This is not JSON", /not JSON/],
  ["another key", JSON.stringify({ ...good, more: 1 }), /unknown key "more"/],
  ["another key inside", JSON.stringify({ ...good, critical: { ...good.critical, more: 1 } }), /unknown key "more"/],
  ["no digest", JSON.stringify({ ...good, critical: { ...good.critical, image: {} } }), /docker-manifest-digest/],
  ["a digest that is none", JSON.stringify(good).replace(/sha256:\w+/, "sha256:1"), /Cannot parse digest/],
  [
    "two names",
    JSON.stringify(good).replace('"docker-reference"', '"docker-reference":"r.io/b","docker-reference"'),
    /twice/,
  ],
] as const) {
  test(`parseClaim() rejects ${name}`, () => assert.throws(() => parseClaim(text, SIGSTORE_CLAIM), pattern));
}
