/** Debian's skopeo, gpg and openssl against berth's signatures and policies: what one signs the other accepts, and the same is refused. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { digestHex, digestOf } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import { silent } from "../../core/progress.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { parseImageRef } from "../../oci/reference.ts";
import { filesDriver } from "../../registry/files-driver.ts";
import { openToAll } from "../../registry/auth.ts";
import { createRegistry } from "../../registry/handler.ts";
import type { RemoteContext } from "../context.ts";
import { resolveImage } from "../resolve.ts";
import { makeImage } from "../testing.ts";
import { signImage } from "./sign.ts";
import { generateKeyPair, parsePrivateKey } from "./sigstore-key.ts";

const host = createLinuxHost();
const directory = host.files.temporaryDirectory("/tmp/berth-trust-test-");
const at = (name: string): string => `${directory.path}/${name}`;
const registry = await host.network.serve(
  createRegistry({ host, driver: filesDriver(host, at("data")), authenticate: openToAll, log: () => {} }),
  { host: "127.0.0.1", port: 0 },
);
const name = `127.0.0.1:${registry.port}`;
// The program's own view: a home of its own, where the policies of the tests lie.
const env = { PATH: process.env["PATH"], HOME: directory.path };
const context: RemoteContext = { host: { ...host, env }, progress: silent, tlsVerify: false };
const password = "secret";
const { privateKey, publicKey } = generateKeyPair(password, (size) => host.random(size));
const image = makeImage(["hello"]);

const run = async (...argv: string[]): Promise<string> => {
  const { stdout } = await host.exec(argv, { timeoutMs: 120_000, env: { PATH: env.PATH ?? "", HOME: env.HOME } });
  return stdout.toString();
};

async function pushedImage(repository: string): Promise<string> {
  const copy = ["skopeo", "--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false"];
  await run(...copy, `dir:${at("image")}`, `docker://${name}/${repository}`);
  return `${name}/${repository}`;
}

/** The policy and its places, for berth in its home and for skopeo by flags. */
function writePolicy(requirement: object, registries: string): void {
  host.files.makeDirectory(at(".config/containers/registries.d"));
  const policy = { default: [{ type: "reject" }], transports: { docker: { [name]: [requirement] } } };
  host.files.write(at(".config/containers/policy.json"), JSON.stringify(policy));
  host.files.write(at(".config/containers/registries.d/test.yaml"), registries);
}

const SETTINGS = [
  "--policy",
  at(".config/containers/policy.json"),
  "--registries.d",
  at(".config/containers/registries.d"),
];

async function skopeoPulls(reference: string, ...flags: string[]): Promise<void> {
  host.files.remove(at("pulled"));
  const argv = ["skopeo", ...SETTINGS, ...flags, "copy", "--src-tls-verify=false"];
  await run(...argv, `docker://${reference}`, `dir:${at("pulled")}`);
}

const berthPulls = async (reference: string): Promise<string> =>
  (await resolveImage(context, parseImageRef(reference))).digest;
const isDenied = (pattern: RegExp) => (error: unknown) => isFailure(error, "denied") && pattern.test(error.message);

before(() => {
  host.files.makeDirectory(at("image"));
  host.files.write(at("image/version"), "Directory Transport Version: 1.1\n");
  host.files.write(at("image/manifest.json"), image.manifestBytes);
  for (const blob of [image.configBytes, ...image.layers])
    host.files.write(at(`image/${digestHex(digestOf(blob))}`), blob);
  host.files.write(at("cosign.key"), privateKey);
  host.files.write(at("cosign.pub"), publicKey);
});

const attachments = "default-docker:\n  use-sigstore-attachments: true\n";
const sigstore = (identity?: object): object => ({
  type: "sigstoreSigned",
  keyPath: at("cosign.pub"),
  ...(identity && { signedIdentity: identity }),
});

test("what berth signed passes its policy, and nothing else does", async () => {
  const signed = await pushedImage("team/signed:v1");
  const plain = await pushedImage("team/plain:v1");
  const key = parsePrivateKey(privateKey, password);
  writePolicy(sigstore(), attachments);
  assert.deepEqual(await signImage(context, parseImageRef(signed), { key }), [image.digest]);
  assert.equal(await berthPulls(signed), image.digest);
  await assert.rejects(
    berthPulls(plain),
    isDenied(/wants sigstoreSigned by \S+cosign.pub, and found no signature of sha256:/),
  );
});

// bookworm's skopeo finds sigstore signatures and copies them, but was built without the check; openssl does that here, and newer
// skopeos and cosigns in test/sigstore.privileged.test.ts.
test("skopeo finds the signature that berth wrote, and openssl verifies it", async () => {
  const signed = await pushedImage("team/openssl:v1");
  await signImage(context, parseImageRef(signed), { key: parsePrivateKey(privateKey, password) });
  writePolicy({ type: "insecureAcceptAnything" }, attachments);
  await skopeoPulls(signed);
  const [kind, json = ""] = host.files.readText(at("pulled/signature-1")).split("\n");
  assert.equal(kind, "\0sigstore-json");
  const { mimeType, payload, annotations } = JSON.parse(json);
  assert.equal(mimeType, "application/vnd.dev.cosign.simplesigning.v1+json");
  host.files.write(at("payload"), Buffer.from(payload, "base64"));
  host.files.write(at("signature"), Buffer.from(annotations["dev.cosignproject.cosign/signature"], "base64"));
  const verify = ["openssl", "dgst", "-sha256", "-verify", at("cosign.pub"), "-signature", at("signature")];
  assert.match(await run(...verify, at("payload")), /Verified OK/);
  host.files.write(at("payload"), `${host.files.readText(at("payload"))} `);
  await assert.rejects(run(...verify, at("payload")), /exit status 1/);
});

test("libsodium decrypts berth's private key, and openssl finds the public key in it", async () => {
  const script = `
import base64, hashlib, json, sys
from nacl.secret import SecretBox
j = json.loads(base64.b64decode("".join(open(sys.argv[1]).read().split("\\n")[1:-2])))
b = base64.b64decode
k = hashlib.scrypt(b"${password}", salt=b(j["kdf"]["salt"]), n=j["kdf"]["params"]["N"], r=8, p=1, maxmem=1 << 27, dklen=32)
sys.stdout.buffer.write(SecretBox(k).decrypt(b(j["ciphertext"]), b(j["cipher"]["nonce"])))
`;
  const argv = ["/usr/bin/python3", "-c", script, at("cosign.key")];
  const der = await host.exec(argv, { timeoutMs: 60_000 });
  host.files.write(at("key.der"), der.stdout);
  assert.equal(await run("openssl", "pkey", "-inform", "der", "-in", at("key.der"), "-pubout"), publicKey);
});

test("an OpenPGP signature in a lookaside store counts for the key that made it, here and for skopeo", async () => {
  const gpg = ["gpg", "--batch"];
  for (const who of ["good", "other"]) {
    await run(...gpg, "--passphrase", "", "--quick-generate-key", `${who}@test`, "ed25519", "sign");
    host.files.write(at(`${who}.asc`), await run(...gpg, "--armor", "--export", `${who}@test`));
  }
  const reference = await pushedImage("team/simple:v1");
  const fingerprint =
    /^fpr:+([0-9A-F]+):/m.exec(await run(...gpg, "--with-colons", "--list-keys", "good@test"))?.[1] ?? "";
  const signature = at(`lookaside/team/simple@sha256=${digestHex(image.digest)}/signature-1`);
  host.files.makeDirectory(signature.slice(0, signature.lastIndexOf("/")));
  await run("skopeo", "standalone-sign", "--output", signature, at("image/manifest.json"), reference, fingerprint);
  const policy = (key: string): object => ({ type: "signedBy", keyType: "GPGKeys", keyPath: at(key) });
  const places = `docker:\n  "${name}":\n    lookaside: file://${at("lookaside")}\n`;

  writePolicy(policy("good.asc"), places);
  await skopeoPulls(reference);
  assert.equal(await berthPulls(reference), image.digest);
  await using store = await host.network.serve(
    async ({ url }) => {
      const path = at(`lookaside${decodeURIComponent(new URL(url).pathname)}`);
      return host.files.exists(path) ? new Response(host.files.read(path)) : new Response(null, { status: 404 });
    },
    { host: "127.0.0.1", port: 0 },
  );
  writePolicy(policy("good.asc"), `default-docker:\n  lookaside: http://127.0.0.1:${store.port}\n`);
  await skopeoPulls(reference);
  assert.equal(await berthPulls(reference), image.digest);
  writePolicy(policy("other.asc"), places);
  await assert.rejects(skopeoPulls(reference), /Source image rejected/);
  await assert.rejects(berthPulls(reference), isDenied(/signature-1: it is signed by another key/));
  writePolicy(policy("good.asc"), places);
  await assert.rejects(berthPulls(await pushedImage("team/simple:v2")), isDenied(/it is for \S+:v1, wanted \S+:v2/));
  await assert.rejects(skopeoPulls(`${name}/team/simple:v2`), /is not accepted/);
  host.files.copy(signature, signature.replace(/1$/, "2"));
  for (const broken of ["no message", Buffer.alloc(5 * 1024 * 1024)]) {
    host.files.write(signature, broken);
    for (const lookaside of [`file://${at("lookaside")}`, `http://127.0.0.1:${store.port}`]) {
      writePolicy(policy("good.asc"), `default-docker:\n  lookaside: ${lookaside}\n`);
      assert.equal(await berthPulls(reference), image.digest, "the second is good");
    }
  }
  host.files.remove(signature.replace(/1$/, "2"));
  writePolicy(policy("good.asc"), places);
  await assert.rejects(
    berthPulls(reference),
    isDenied(/signature-1: Cannot use signature \S+: it is no file of at most/),
  );
  host.files.write(signature, "no message");
  await assert.rejects(berthPulls(reference), isDenied(/it is no OpenPGP message/));
});

const entry = (requirement: object): object => ({ default: [requirement] });
const gpgKey = { type: "signedBy", keyType: "GPGKeys", keyData: "a2V5" };
for (const [what, policy, isGood] of [
  ["accept anything", entry({ type: "insecureAcceptAnything" }), true],
  [
    "a list of scopes",
    { ...entry({ type: "reject" }), transports: { docker: { "": [{ type: "insecureAcceptAnything" }] } } },
    true,
  ],
  ["another transport's scopes", { ...entry({ type: "insecureAcceptAnything" }), transports: { atomic: {} } }, true],
  ["no default", { transports: {} }, false],
  ["an empty list", { default: [] }, false],
  ["an unknown key", { ...entry({ type: "insecureAcceptAnything" }), extra: 1 }, false],
  ["an unknown key of a requirement", entry({ type: "insecureAcceptAnything", extra: 1 }), false],
  ["an unknown type", entry({ type: "trustMe" }), false],
  ["two keys", entry({ ...gpgKey, keyPath: "/k" }), false],
  ["no key", entry({ ...gpgKey, keyData: undefined }), false],
  ["another keyType", entry({ ...gpgKey, keyType: "X509" }), false],
  ["keyData that is no base64", entry({ ...gpgKey, keyData: "?" }), false],
  ["an unknown identity", entry({ ...gpgKey, signedIdentity: { type: "any" } }), false],
  [
    "an exactReference without a tag",
    entry({ ...gpgKey, signedIdentity: { type: "exactReference", dockerReference: "r.io/a" } }),
    false,
  ],
  [
    "a remapIdentity without prefix",
    entry({ ...gpgKey, signedIdentity: { type: "remapIdentity", signedPrefix: "r.io" } }),
    false,
  ],
] as const) {
  test(`a policy with ${what} is ${isGood ? "read" : "refused"} by berth and by skopeo`, async () => {
    const reference = await pushedImage("team/policy:v1");
    host.files.makeDirectory(at(".config/containers/registries.d"));
    host.files.write(at(".config/containers/policy.json"), JSON.stringify(policy));
    if (isGood) {
      await skopeoPulls(reference);
      await berthPulls(reference);
      return;
    }
    await assert.rejects(skopeoPulls(reference), /Error loading trust policy/);
    await assert.rejects(berthPulls(reference), /Cannot use the policy .*: it is malformed/);
  });
}

test.after(async () => {
  await registry.close();
  directory[Symbol.dispose]();
});
