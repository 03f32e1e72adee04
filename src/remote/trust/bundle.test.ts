import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { digestHex, digestOf } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import { MANIFEST } from "../../oci/media-types.ts";
import { parseImageRef } from "../../oci/reference.ts";
import { openTestRegistry, type TestRegistry } from "../../registry/testing.ts";
import { createTestClient, REGISTRY } from "../testing.ts";
import { BUNDLE, parseBundle, parseStatement, PREDICATE_ANNOTATION, SIGNED_PREDICATE } from "./bundle.ts";
import { generateKeyPair, parsePrivateKey, parsePublicKey, signPayload, verifyPayload } from "./sigstore-key.ts";
import { verifyImage } from "./verify.ts";

const vector = JSON.parse(readFileSync(`${import.meta.dirname}/../../../test/vectors/sigstore/bundle.json`, "utf8"));
const good = JSON.parse(vector.bundle);
const goodStatement = JSON.parse(parseBundle(vector.bundle).text);

test("a bundle of cosign 3 is read, and its signature is good until a byte is changed", () => {
  const { kind, text, signed, signature } = parseBundle(vector.bundle);
  const key = parsePublicKey(vector.publicKey);
  assert.equal(kind, "statement");
  assert.ok(verifyPayload(key, signed, signature));
  assert.ok(!verifyPayload(key, Buffer.from(signed.toString().replace("21885c", "21885d")), signature));
  assert.ok(!verifyPayload(key, Buffer.from(text), signature), "the payload alone");
  assert.deepEqual(parseStatement(text), { dockerReference: undefined, digest: vector.digest });
});

const envelope = (change: object): object => ({ ...good, dsseEnvelope: { ...good.dsseEnvelope, ...change } });
for (const [bundle, pattern] of [
  [{ ...good, mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.2" }, /bundle.mediaType: it is/],
  [{ ...good, dsseEnvelope: undefined, messageSignature: {} }, /bundle.dsseEnvelope/],
  [envelope({ payloadType: "text/plain" }), /payloadType: it is "text\/plain", wanted "application\/vnd.in-toto/],
  [envelope({ payload: 1 }), /bundle.dsseEnvelope.payload/],
  [envelope({ signatures: [] }), /signatures: wanted one/],
  [envelope({ signatures: [...good.dsseEnvelope.signatures, { sig: "" }] }), /signatures: wanted one/],
  [envelope({ signatures: [{}] }), /signatures\[0\].sig/],
] as const) {
  test(`parseBundle() rejects ${pattern.source}`, () =>
    assert.throws(() => parseBundle(JSON.stringify(bundle)), { name: "SyntaxError", message: pattern }));
}

for (const [change, pattern] of [
  [{ _type: "https://in-toto.io/Statement/v0.1" }, /statement._type: it is/],
  [{ predicateType: "https://spdx.dev/Document" }, /predicateType: it is "https:\/\/spdx.dev\/Document", wanted/],
  [{ subject: [] }, /statement.subject: wanted one/],
  [{ subject: [...goodStatement.subject, ...goodStatement.subject] }, /statement.subject: wanted one/],
  [{ subject: [{ digest: { sha512: "a" } }] }, /statement.subject\[0\].digest.sha256/],
  [{ subject: [{ digest: { sha256: "a" } }] }, /digest/],
] as const) {
  test(`parseStatement() rejects ${JSON.stringify(change).slice(0, 60)}`, () =>
    assert.throws(() => parseStatement(JSON.stringify({ ...goodStatement, ...change })), {
      name: "SyntaxError",
      message: pattern,
    }));
}

test("parseStatement() rejects a digest that is there twice", () =>
  assert.throws(
    () => parseStatement(JSON.stringify(goodStatement).replace('"subject"', '"subject":[],"subject"')),
    /repeated|twice/,
  ));

const pair = generateKeyPair("", randomBytes);
const privateKey = parsePrivateKey(pair.privateKey, "");
const key = parsePublicKey(pair.publicKey);
const ref = parseImageRef(`${REGISTRY}/team/os:v1`);

function makeBundle(digest: string, predicateType: string): string {
  const statement = {
    ...goodStatement,
    predicateType,
    subject: [{ digest: { sha256: digest.replace("sha256:", "") } }],
  };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  const unsigned = JSON.stringify(envelope({ payload }));
  const sig = signPayload(privateKey, parseBundle(unsigned).signed);
  return JSON.stringify(envelope({ payload, signatures: [{ sig }] }));
}

/** As cosign 3 does; a registry need not show the annotation. */
async function attach(
  registry: TestRegistry,
  image: { digest: string; bytes: Buffer },
  bundle: string,
  type = "",
): Promise<void> {
  const empty = await registry.pushBlob("team/os", "{}");
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType: BUNDLE,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: empty, size: 2 },
    layers: [
      { mediaType: BUNDLE, digest: await registry.pushBlob("team/os", bundle), size: Buffer.byteLength(bundle) },
    ],
    subject: { mediaType: MANIFEST, digest: image.digest, size: image.bytes.length },
    ...(type !== "" && { annotations: { [PREDICATE_ANNOTATION]: type } }),
  });
  const path = `/v2/team/os/manifests/sha256:${digestHex(digestOf(body))}`;
  assert.equal((await registry.call("PUT", path, { body, headers: { "content-type": MANIFEST } })).status, 201);
}

const isRefused = (pattern: RegExp) => (error: unknown) =>
  isFailure(error, "check-failed") && pattern.test(error.message);

test("a bundle counts where no name is asked for, whatever lies beside it", async () => {
  using registry = openTestRegistry();
  const image = await registry.pushImage("team/os", "v1");
  const { context } = createTestClient({ [REGISTRY]: registry.handler }, { tlsVerify: false });
  await attach(registry, image, "no bundle");
  await attach(registry, image, makeBundle(digestOf("another image"), SIGNED_PREDICATE));
  await attach(registry, image, makeBundle(image.digest, "https://spdx.dev/Document"));
  for (const pattern of [/Cannot parse bundle/, /it is for sha256:/, /predicateType: it is "https:\/\/spdx.dev/])
    await assert.rejects(verifyImage(context, ref, { key, anyName: true }), isRefused(pattern));

  await attach(registry, image, makeBundle(image.digest, SIGNED_PREDICATE), SIGNED_PREDICATE);
  const { signatures } = await verifyImage(context, ref, { key, anyName: true });
  assert.deepEqual(
    signatures.map(({ claim }) => claim),
    [{ dockerReference: undefined, digest: image.digest }],
  );
  await assert.rejects(verifyImage(context, ref, { key }), isRefused(/it names no image, wanted the repository/));
  await assert.rejects(
    verifyImage(context, ref, { key: parsePublicKey(vector.publicKey), anyName: true }),
    isRefused(/it is signed by another key, or changed/),
  );
});

test("an attestation that says so is not fetched", async () => {
  using registry = openTestRegistry();
  const image = await registry.pushImage("team/os", "v1");
  const { context } = createTestClient({ [REGISTRY]: registry.handler }, { tlsVerify: false });
  const type = "https://spdx.dev/Document";
  await attach(registry, image, makeBundle(image.digest, type), type);
  await assert.rejects(verifyImage(context, ref, { key, anyName: true }), isRefused(/it has no signature for sha256:/));
});
