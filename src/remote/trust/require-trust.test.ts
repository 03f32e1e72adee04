import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { digestHex, digestOf } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import { type Manifest, parseManifest } from "../../oci/manifest.ts";
import { INDEX, MANIFEST } from "../../oci/media-types.ts";
import { parseImageRef } from "../../oci/reference.ts";
import { openTestRegistry, type TestRegistry } from "../../registry/testing.ts";
import { pullImage } from "../pull.ts";
import { resolveImage } from "../resolve.ts";
import { createMemoryStore, REGISTRY } from "../testing.ts";
import { signImage } from "./sign.ts";
import { SIGNATURE_ANNOTATION, SIMPLE_SIGNING } from "./signatures.ts";
import { generateKeyPair, parsePrivateKey, parsePublicKey } from "./sigstore-key.ts";
import { key, machine, pair, ref, referrersOf, sigstore } from "./testing.ts";
import { verifyImage } from "./verify.ts";

const otherPair = generateKeyPair("", randomBytes);

const isDenied = (pattern: RegExp, hint?: RegExp) => (error: unknown) => {
  assert.ok(isFailure(error, "denied"), String(error));
  assert.match(error.message, pattern);
  if (hint !== undefined) assert.match(error.hint ?? "", hint);
  return true;
};

async function pushIndex(registry: TestRegistry, manifest: { digest: string; bytes: Buffer }): Promise<string> {
  const platform = { os: "linux", architecture: "amd64" };
  const entry = { mediaType: MANIFEST, digest: manifest.digest, size: manifest.bytes.length, platform };
  const body = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [entry] });
  await registry.call("PUT", "/v2/team/os/manifests/v1", { body, headers: { "content-type": INDEX } });
  return digestOf(body);
}

test("an image passes with a signature by the policy's key, and not without, and nothing is fetched before", async () => {
  using registry = openTestRegistry();
  const { digest } = await registry.pushImage("team/os", "v1");
  const client = machine(registry);
  await assert.rejects(
    pullImage(client.context, createMemoryStore(`${registry.root}/store`), ref),
    isDenied(
      /^Cannot use "registry.test:5000\/team\/os:v1": the policy for "registry.test:5000" in \S+policy.json wants sigstoreSigned by the key in it, and found no signature of sha256:/,
      /berth sign registry.test:5000\/team\/os:v1 --key FILE/,
    ),
  );
  assert.deepEqual(
    client.requests.filter((line) => line.includes("/blobs/")),
    [],
  );
  await signImage(client.context, ref, { key: parsePrivateKey(otherPair.privateKey, "") });
  await assert.rejects(
    resolveImage(client.context, ref),
    isDenied(/found no good signature \(\S+\.sig: it is signed by another key/),
  );
  await signImage(client.context, ref, { key });
  client.requests.splice(0);
  assert.equal((await resolveImage(client.context, ref)).digest, digest);
  assert.ok(!client.requests.some((line) => line.includes("/referrers/")), "the tag form was enough");
});

test("signing twice changes nothing; a second key's signature stands beside the first", async () => {
  using registry = openTestRegistry();
  const { digest } = await registry.pushImage("team/os", "v1");
  const { context } = machine(registry);
  const tag = `/v2/team/os/manifests/sha256-${digestHex(digest)}.sig`;
  const read = async (path: string): Promise<string> => (await registry.call("GET", path)).text();
  const referrers = `/v2/team/os/referrers/${digest}`;
  await signImage(context, ref, { key });
  const [once, listed] = [await read(tag), await read(referrers)];
  await signImage(context, ref, { key });
  assert.deepEqual([await read(tag), await read(referrers)], [once, listed]);
  await signImage(context, ref, { key: parsePrivateKey(otherPair.privateKey, "") });
  assert.equal(JSON.parse(await read(tag)).layers.length, 2);
  for (const text of [pair.publicKey, otherPair.publicKey]) {
    assert.equal((await verifyImage(context, ref, { key: parsePublicKey(text) })).signatures.length, 1);
  }
});

test("a referrer alone is enough, and so is the tag alone", async () => {
  for (const form of ["referrer", "tag"] as const) {
    using registry = openTestRegistry();
    const { digest } = await registry.pushImage("team/os", "v1");
    const { context } = machine(registry);
    await signImage(context, ref, { key });
    const [referrer] = await referrersOf(registry, digest);
    const unwanted = form === "referrer" ? `sha256-${digestHex(digest)}.sig` : referrer;
    assert.equal((await registry.call("DELETE", `/v2/team/os/manifests/${unwanted}`)).status, 202);
    assert.equal((await resolveImage(context, ref)).digest, digest);
  }
});

test("of an index each manifest is signed; a signature of the index alone counts for what is in it", async () => {
  using registry = openTestRegistry();
  const manifest = await registry.pushImage("team/os", "one");
  const index = await pushIndex(registry, manifest);
  const { context } = machine(registry);
  assert.deepEqual(await signImage(context, ref, { key }), [index, manifest.digest]);
  assert.equal((await resolveImage(context, ref)).digest, manifest.digest);
  for (const unwanted of [
    `sha256-${digestHex(manifest.digest)}.sig`,
    ...(await referrersOf(registry, manifest.digest)),
  ]) {
    assert.equal((await registry.call("DELETE", `/v2/team/os/manifests/${unwanted}`)).status, 202);
  }
  assert.equal((await resolveImage(context, ref)).digest, manifest.digest);
});

test("a signature of another image, or of the same under another name, does not count", async () => {
  using registry = openTestRegistry();
  await registry.pushImage("team/os", "v1");
  const old = await registry.pushImage("team/os", "v0");
  const client = machine(registry);
  await signImage(client.context, { ...ref, tag: "v0" }, { key });
  const signatures = await (
    await registry.call("GET", `/v2/team/os/manifests/sha256-${digestHex(old.digest)}.sig`)
  ).text();
  const now = await registry.pushImage("team/os", "v1");
  const put = { body: signatures, headers: { "content-type": MANIFEST } };
  await registry.call("PUT", `/v2/team/os/manifests/sha256-${digestHex(now.digest)}.sig`, put);
  await assert.rejects(resolveImage(client.context, ref), isDenied(new RegExp(`it is for ${old.digest}`)));

  await registry.call("PUT", "/v2/team/os/manifests/v1", { body: old.bytes, headers: { "content-type": MANIFEST } });
  await assert.rejects(
    resolveImage(client.context, ref),
    isDenied(/it is for registry.test:5000\/team\/os:v0, wanted registry.test:5000\/team\/os:v1/),
  );
  const { context } = machine(registry, {
    requirements: [{ ...sigstore, signedIdentity: { type: "matchRepository" } }],
  });
  assert.equal((await resolveImage(context, ref)).digest, old.digest);
  await assert.rejects(
    verifyImage(context, ref, { key: parsePublicKey(pair.publicKey), identity: "r.io/elsewhere" }),
    (error) => isFailure(error, "check-failed") && /wanted the repository r.io\/elsewhere/.test(error.message),
  );
});

for (const [name, world, pattern, hint] of [
  ["reject", { requirements: [{ type: "reject" }] }, /in \S+policy.json rejects it$/, /policy.json/],
  [
    "a keyless requirement",
    { requirements: [{ type: "sigstoreSigned", fulcio: {}, rekorPublicKeyPath: "/r" }] },
    /wants sigstoreSigned with fulcio, and berth does not support that/,
    /policy.json/,
  ],
  [
    "sigstore attachments that are off",
    { registriesD: "" },
    /signatures in registry registry.test:5000 are not looked for, because use-sigstore-attachments is off/,
    /use-sigstore-attachments: true/,
  ],
  [
    "one requirement of two",
    { requirements: [{ type: "insecureAcceptAnything" }, sigstore, { type: "reject" }] },
    /rejects it$/,
    undefined,
  ],
  [
    "no OpenPGP signature in the lookaside",
    {
      requirements: [{ type: "signedBy", keyType: "GPGKeys", keyData: "aGk=" }],
      registriesD: "default-docker: {lookaside: file:///nowhere}",
    },
    /wants signedBy by the key in it, and found no signature of sha256:/,
    /looked for in file:\/\/\/nowhere/,
  ],
] as const) {
  test(`even a signed image is refused for ${name}`, async () => {
    using registry = openTestRegistry();
    await registry.pushImage("team/os", "v1");
    const { context } = machine(registry, world);
    await signImage(context, ref, { key });
    await assert.rejects(resolveImage(context, ref), isDenied(pattern, hint));
  });
}

test("a registry outside every scope falls under default", async () => {
  using registry = openTestRegistry();
  using outside = openTestRegistry();
  await outside.pushImage("team/os", "v1");
  const { context } = machine(registry, { others: { "else.test": outside } });
  await assert.rejects(
    resolveImage(context, parseImageRef("else.test/team/os:v1")),
    isDenied(/the policy for "default" in/),
  );
});

test("a mirror without the signature is passed over for the registry that has it", async () => {
  using registry = openTestRegistry();
  using mirror = openTestRegistry();
  const { digest } = await registry.pushImage("team/os", "v1");
  await mirror.pushImage("team/os", "v1");
  const registriesConf = `[[registry]]\nlocation="${REGISTRY}"\n[[registry.mirror]]\nlocation="mirror.test"\n`;
  const client = machine(registry, { others: { "mirror.test": mirror }, registriesConf });
  await signImage(client.context, ref, { key });
  assert.equal((await resolveImage(client.context, ref)).digest, digest);
  assert.match(client.lines[0] ?? "", /^Mirror mirror.test\/team\/os is passed over: .*found no signature of/);
});

for (const [what, overwrite, pattern] of [
  [
    "a payload that is too large",
    async (registry: TestRegistry, own: Manifest): Promise<[string, object]> => {
      const size = 5 * 1024 * 1024;
      const digest = await registry.pushBlob("team/os", Buffer.alloc(size));
      // The good one's signature, so that it is not passed over as known.
      return [MANIFEST, { ...own, layers: own.layers.map((layer) => ({ ...layer, digest, size })) }];
    },
    /\.sig: Cannot use a signature in .*: its payload has 5242880 bytes/,
  ],
  [
    "a payload that hashes to something else",
    async (_registry: TestRegistry, own: Manifest): Promise<[string, object]> => [
      MANIFEST,
      { ...own, layers: own.layers.map((layer) => ({ ...layer, size: layer.size - 1 })) },
    ],
    /\.sig: Cannot accept content sha256:/,
  ],
  [
    "an index",
    async (): Promise<[string, object]> => [INDEX, { schemaVersion: 2, mediaType: INDEX, manifests: [] }],
    /\.sig: Cannot use the signatures .*: their manifest is malformed/,
  ],
] as const) {
  test(`${what} under the signatures' tag does not hide the good referrer, and is told without one`, async () => {
    // Not every registry compares a manifest with the parts that it names.
    using registry = openTestRegistry({ rules: { takesSparse: () => true } });
    const { digest } = await registry.pushImage("team/os", "v1");
    const { context } = machine(registry);
    await signImage(context, ref, { key });
    const tag = `/v2/team/os/manifests/sha256-${digestHex(digest)}.sig`;
    const own = parseManifest(await (await registry.call("GET", tag)).text());
    const [type, document] = await overwrite(registry, own);
    const body = JSON.stringify(document);
    assert.equal((await registry.call("PUT", tag, { body, headers: { "content-type": type } })).status, 201);

    assert.equal((await resolveImage(context, ref)).digest, digest);
    const publicKey = parsePublicKey(pair.publicKey);
    assert.equal((await verifyImage(context, ref, { key: publicKey })).signatures.length, 1);

    const [referrer = ""] = await referrersOf(registry, digest);
    await registry.call("DELETE", `/v2/team/os/manifests/${referrer}`);
    await assert.rejects(resolveImage(context, ref), isDenied(pattern));
    await assert.rejects(
      verifyImage(context, ref, { key: publicKey }),
      (error) => isFailure(error, "check-failed") && pattern.test(error.message),
    );
  });
}

test("signatures that are malformed, and a store that fails, are clear errors", async () => {
  using registry = openTestRegistry();
  const { digest } = await registry.pushImage("team/os", "v1");
  const { context } = machine(registry);
  const payload = "no claim";
  const blob = await registry.pushBlob("team/os", payload);
  const layer = { mediaType: SIMPLE_SIGNING, digest: blob, size: payload.length };
  const put = async (layers: readonly object[]): Promise<void> => {
    const config = { mediaType: "x", digest: blob, size: payload.length };
    const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers });
    const path = `/v2/team/os/manifests/sha256-${digestHex(digest)}.sig`;
    await registry.call("PUT", path, { body, headers: { "content-type": MANIFEST } });
  };
  await put([layer, { ...layer, mediaType: "text/plain", annotations: { [SIGNATURE_ANNOTATION]: "x" } }]);
  await assert.rejects(resolveImage(context, ref), isDenied(/found no signature of/));
  await put([{ ...layer, annotations: { [SIGNATURE_ANNOTATION]: "not base64" } }]);
  await assert.rejects(resolveImage(context, ref), isDenied(/it is signed by another key, or changed/));

  const requirements = [{ type: "signedBy", keyType: "GPGKeys", keyData: "aGk=" }];
  const down = machine(registry, { requirements, registriesD: "default-docker: {lookaside: http://sigs.test/}" });
  await assert.rejects(resolveImage(down.context, ref), (error) => isFailure(error, "network"));
});

test("a key of the policy that is missing or malformed is an error, not a refusal", async () => {
  using registry = openTestRegistry();
  await registry.pushImage("team/os", "v1");
  const missing = machine(registry, { requirements: [{ type: "sigstoreSigned", keyPath: "/nowhere.pub" }] });
  await assert.rejects(
    resolveImage(missing.context, ref),
    (error) => isFailure(error, "not-found") && /^Cannot use key \/nowhere.pub of the policy$/.test(error.message),
  );
  const malformed = machine(registry, { requirements: [{ type: "sigstoreSigned", keyData: "aGk=" }] });
  await assert.rejects(
    resolveImage(malformed.context, ref),
    (error) => isFailure(error, "bad-input") && /of the policy/.test(error.message),
  );
});

test("an image that is not there can be neither signed nor verified", async () => {
  using registry = openTestRegistry();
  const { context } = machine(registry);
  await assert.rejects(signImage(context, ref, { key }), (error) => isFailure(error, "not-found"));
  const publicKey = parsePublicKey(pair.publicKey);
  await assert.rejects(verifyImage(context, ref, { key: publicKey }), (error) => isFailure(error, "not-found"));
  await registry.pushImage("team/os", "v1");
  await assert.rejects(
    verifyImage(context, ref, { key: publicKey }),
    (error) => isFailure(error, "check-failed") && /it has no signature for sha256:/.test(error.message),
  );
  await assert.rejects(verifyImage(context, ref, { key: publicKey, identity: "A B" }), (error) =>
    isFailure(error, "usage"),
  );
});
