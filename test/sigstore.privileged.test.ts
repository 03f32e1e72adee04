/**
 * skopeo and cosign of newer Debian suites against berth's sigstore signatures, over TLS with a login: each accepts what the other
 * signed, with keys of each, and all refuse the same.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generateKeyPairCommand } from "../src/cli/commands/generate-key-pair.ts";
import { signCommand } from "../src/cli/commands/sign.ts";
import { verifyCommand } from "../src/cli/commands/verify.ts";
import { runWords } from "../src/cli/testing.ts";
import { digestHex, digestOf } from "../src/core/digest.ts";
import type { Host } from "../src/host/host.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { formatManifest, parseManifest } from "../src/oci/manifest.ts";
import { makeImage } from "../src/remote/testing.ts";
import { INDEX, MANIFEST } from "../src/oci/media-types.ts";
import { signatureTag } from "../src/remote/trust/signatures.ts";
import { programArgv, unpackPackages } from "./support/debian-packages.ts";
import { type LoginRegistry, startLoginRegistry } from "./support/login-registry.ts";

const PASSWORD = "secret";
const image = makeImage(["hello"]);
const otherImage = makeImage(["other"]);

/** A program: gives what it printed, or throws with what it said. */
type Tool = (...words: readonly string[]) => Promise<string>;

interface World {
  readonly host: Host;
  readonly at: (name: string) => string;
  /** HOST:PORT of the registry. */
  readonly address: string;
  /** Folder of the registry's certificate. */
  readonly certDir: string;
  readonly berth: Tool;
  readonly skopeo: Tool;
  readonly cosign2: Tool;
  readonly cosign3: Tool;
}

async function openWorld(host: Host, directory: string, registry: LoginRegistry): Promise<World> {
  const at = (name: string): string => `${directory}/${name}`;
  const { address, user, password, certificate, certificates } = registry;
  host.files.makeDirectory(at("trixie"));
  host.files.makeDirectory(at("forky"));
  const libraries = ["libc6", "libgpgme11t64", "libassuan9", "libgpg-error0", "libsqlite3-0"];
  const [trixie, forky] = await Promise.all([
    unpackPackages(host, at("trixie"), { suite: "trixie", packages: ["skopeo", "cosign", ...libraries] }),
    unpackPackages(host, at("forky"), { suite: "forky", packages: ["cosign", "libc6"] }),
  ]);

  host.files.makeDirectory(at(".docker"));
  const auth = Buffer.from(`${user}:${password}`).toString("base64");
  host.files.write(at(".docker/config.json"), JSON.stringify({ auths: { [address]: { auth } } }));
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: directory,
    COSIGN_PASSWORD: PASSWORD,
    SSL_CERT_FILE: certificate,
    // Lets cosign look for referrers when it is told to.
    COSIGN_EXPERIMENTAL: "1",
  };
  const tool =
    (argv: readonly string[]): Tool =>
    async (...words) => {
      const { stdout, stderr } = await host.exec([...argv, ...words], { timeoutMs: 60_000, cwd: directory, env });
      return `${stdout.toString()}${stderr.toString()}`;
    };
  const certDir = `${certificates}/${address}`;
  const commands = [generateKeyPairCommand, signCommand, verifyCommand];
  const berth: Tool = async (...words) => {
    const access = words[0] === "generate-key-pair" ? [] : ["--cert-dir", certDir];
    const { status, out, err } = await runWords({ ...host, env }, commands, [...words, ...access]);
    if (status !== 0) throw new Error(err);
    return out;
  };
  return {
    host,
    at,
    address,
    certDir,
    berth,
    skopeo: tool(programArgv(trixie, "skopeo")),
    cosign2: tool(programArgv(trixie, "cosign")),
    cosign3: tool(programArgv(forky, "cosign")),
  };
}

function writeImage({ host, at }: World, name: string, { manifestBytes, configBytes, layers }: typeof image): void {
  host.files.makeDirectory(at(name));
  host.files.write(at(`${name}/version`), "Directory Transport Version: 1.1\n");
  host.files.write(at(`${name}/manifest.json`), manifestBytes);
  for (const blob of [configBytes, ...layers]) host.files.write(at(`${name}/${digestHex(digestOf(blob))}`), blob);
}

/** A new name for the image; `words` may sign it on the way. */
async function push(world: World, repository: string, words: readonly string[] = [], from = "image"): Promise<string> {
  const reference = `${world.address}/${repository}`;
  const copy = ["--insecure-policy", "--registries.d", world.at(".config/containers/registries.d"), "copy"];
  const flags = ["--preserve-digests", "--dest-cert-dir", world.certDir, ...words];
  await world.skopeo(...copy, ...flags, `dir:${world.at(from)}`, `docker://${reference}`);
  return reference;
}

/** Read by skopeo through flags, by berth in its home: only images signed by `key`. */
function writePolicy({ host, at, address }: World, key: string, signedIdentity?: object): void {
  const requirement = { type: "sigstoreSigned", keyPath: at(key), ...(signedIdentity && { signedIdentity }) };
  const policy = { default: [{ type: "reject" }], transports: { docker: { [address]: [requirement] } } };
  host.files.makeDirectory(at(".config/containers/registries.d"));
  host.files.write(at(".config/containers/policy.json"), JSON.stringify(policy));
  host.files.write(
    at(".config/containers/registries.d/all.yaml"),
    "default-docker:\n  use-sigstore-attachments: true\n",
  );
}

/** As a machine with the policy does. */
async function skopeoPulls({ host, at, certDir, skopeo }: World, reference: string, ...words: string[]): Promise<void> {
  host.files.remove(at("pulled"));
  const policy = ["--policy", at(".config/containers/policy.json")];
  const places = ["--registries.d", at(".config/containers/registries.d")];
  await skopeo(
    ...policy,
    ...places,
    "copy",
    ...words,
    "--src-cert-dir",
    certDir,
    `docker://${reference}`,
    `dir:${at("pulled")}`,
  );
}

/** Without the transparency log, which a key pair does not need. */
const cosignVerifies = (cosign: Tool, key: string, reference: string): Promise<string> =>
  cosign("verify", "--insecure-ignore-tlog", "--key", key, reference);

async function isAcceptedByAll(world: World, key: string, reference: string): Promise<void> {
  writePolicy(world, key);
  await skopeoPulls(world, reference);
  for (const cosign of [world.cosign2, world.cosign3])
    assert.match(await cosignVerifies(cosign, key, reference), /signatures were verified against the specified public/);
  await world.berth("verify", "--key", world.at(key), reference);
  await world.berth("verify", reference);
}

async function isRefusedByAll(world: World, key: string, reference: string, pattern: RegExp): Promise<void> {
  writePolicy(world, key);
  await assert.rejects(skopeoPulls(world, reference), /Source image rejected/);
  for (const cosign of [world.cosign2, world.cosign3])
    await assert.rejects(cosignVerifies(cosign, key, reference), /no matching signatures|no signatures found/);
  await assert.rejects(world.berth("verify", "--key", world.at(key), reference), pattern);
  await assert.rejects(world.berth("verify", reference), pattern);
}

/** Key pairs of each program, by the name of the private and of the public half. */
const KEYS = [
  ["berth.key", "berth.pub"],
  ["skopeo.private", "skopeo.pub"],
  ["cosign2.key", "cosign2.pub"],
  ["cosign3.key", "cosign3.pub"],
] as const;

async function makeKeys({ host, at, berth, skopeo, cosign2, cosign3 }: World): Promise<void> {
  host.files.write(at("password"), PASSWORD);
  await berth("generate-key-pair", "--output-key-prefix", at("berth"));
  await berth("generate-key-pair", "--output-key-prefix", at("stranger"));
  await skopeo("generate-sigstore-key", "--output-prefix", at("skopeo"), "--passphrase-file", at("password"));
  await cosign2("generate-key-pair", "--output-key-prefix", at("cosign2"));
  await cosign3("generate-key-pair", "--output-key-prefix", at("cosign3"));
}

async function berthSigns(world: World): Promise<void> {
  await isRefusedByAll(world, "berth.pub", await push(world, "unsigned/os:v1"), /no signature/);
  for (const [privateKey, publicKey] of KEYS) {
    const reference = await push(world, `berth-signs/${publicKey}:v1`);
    await world.berth("sign", "--key", world.at(privateKey), reference);
    await isAcceptedByAll(world, publicKey, reference);
  }
  const reference = `${world.address}/berth-signs/berth.pub:v1`;
  await isRefusedByAll(world, "stranger.pub", reference, /it is signed by another key, or changed/);
}

async function skopeoSigns(world: World): Promise<void> {
  for (const [privateKey, publicKey] of KEYS) {
    const sign = [
      "--sign-by-sigstore-private-key",
      world.at(privateKey),
      "--sign-passphrase-file",
      world.at("password"),
    ];
    const reference = await push(world, `skopeo-signs/${publicKey}:v1`, sign);
    await isAcceptedByAll(world, publicKey, reference);
  }
  const reference = `${world.address}/skopeo-signs/berth.pub:v1`;
  await isRefusedByAll(world, "stranger.pub", reference, /it is signed by another key, or changed/);
}

/** skopeo asks for the signature of what it copies: one manifest, or with `--all` the index and each. */
async function berthSignsIndex(world: World): Promise<void> {
  const platform = { os: "linux", architecture: "amd64" };
  const entry = { mediaType: MANIFEST, digest: image.digest, size: image.manifestBytes.length, platform };
  writeImage(world, "index", image);
  world.host.files.write(world.at(`index/${digestHex(image.digest)}.manifest.json`), image.manifestBytes);
  world.host.files.write(
    world.at("index/manifest.json"),
    JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [entry] }),
  );
  const reference = await push(world, "berth-signs/index:v1", ["--all"], "index");
  await world.berth("sign", "--key", world.at("berth.key"), reference);
  await isAcceptedByAll(world, "berth.pub", reference);
  await skopeoPulls(world, reference, "--all");
  await isRefusedByAll(world, "stranger.pub", reference, /it is signed by another key, or changed/);
}

/** It names the repository only. */
async function cosignSigns(world: World): Promise<void> {
  const reference = await push(world, "cosign-signs/os:v1");
  await world.cosign2("sign", "--yes", "--tlog-upload=false", "--key", world.at("berth.key"), reference);
  assert.match(await world.berth("verify", "--key", world.at("berth.pub"), reference), /as \S+\/cosign-signs\/os \(/);
  writePolicy(world, "berth.pub");
  await assert.rejects(skopeoPulls(world, reference), /Source image rejected/);
  await assert.rejects(world.berth("verify", reference), /it is for \S+\/cosign-signs\/os, wanted \S+:v1/);
  writePolicy(world, "berth.pub", { type: "matchRepository" });
  await skopeoPulls(world, reference);
  await world.berth("verify", reference);

  // A signature of berth's beside it hides neither.
  await world.berth("sign", "--key", world.at("skopeo.private"), reference);
  await isAcceptedByAll(world, "skopeo.pub", reference);
  await cosignVerifies(world.cosign2, "berth.pub", reference);
}

/** Its signature is a bundle, which names no image: that is enough for cosign, and for no policy. */
async function cosign3Signs(world: World): Promise<void> {
  const reference = await push(world, "cosign3-signs/os:v1");
  // Without the services that are asked by default.
  await world.cosign3("signing-config", "create", "--out", "services.json");
  const sign = ["sign", "--yes", "--signing-config", "services.json"];
  await world.cosign3(...sign, "--key", "berth.key", reference);
  await cosignVerifies(world.cosign3, "berth.pub", reference);
  const verify = (key: string, ...words: string[]): Promise<string> =>
    world.berth("verify", "--key", world.at(key), ...words, reference);
  assert.match(await verify("berth.pub", "--any-name"), /signed by \S+ without a name \(\S+:sha256:/);
  await assert.rejects(verify("stranger.pub", "--any-name"), /it is signed by another key, or changed/);
  await assert.rejects(verify("berth.pub"), /it names no image, wanted the repository/);
  writePolicy(world, "berth.pub", { type: "matchRepository" });
  await assert.rejects(skopeoPulls(world, reference), /Source image rejected/);
  await assert.rejects(world.berth("verify", reference), /it names no image, wanted the repository/);

  // What berth adds is found by all, beside the bundle.
  await world.berth("sign", "--key", world.at("skopeo.private"), reference);
  writePolicy(world, "skopeo.pub");
  await skopeoPulls(world, reference);
  await world.berth("verify", reference);
  await cosignVerifies(world.cosign2, "skopeo.pub", reference);
}

/** The tag is where all look; cosign looks for referrers when it is told to. */
async function referrerAlone(world: World): Promise<void> {
  const reference = await push(world, "referrer/berth:v1");
  await world.berth("sign", "--key", world.at("berth.key"), reference);
  await world.skopeo(
    "delete",
    "--cert-dir",
    world.certDir,
    `docker://${withTag(reference, signatureTag(image.digest))}`,
  );
  await world.berth("verify", "--key", world.at("berth.pub"), reference);
  const verify = ["verify", "--experimental-oci11", "--insecure-ignore-tlog"];
  for (const cosign of [world.cosign2, world.cosign3]) {
    await cosign(...verify, "--key", "berth.pub", reference);
    await assert.rejects(cosign(...verify, "--key", "stranger.pub", reference), /no signatures found/);
  }

  const byCosign = await push(world, "referrer/cosign:v1");
  const sign = ["sign", "--yes", "--tlog-upload=false", "--registry-referrers-mode=oci-1-1"];
  await world.cosign2(...sign, "--key", world.at("berth.key"), byCosign);
  assert.match(await world.berth("verify", "--key", world.at("berth.pub"), byCosign), /\(\S+:sha256:[0-9a-f]{64}\)/);
}

/** The good signature of the image, under another image; then with other words in it. */
async function tampered(world: World): Promise<void> {
  const { host, at, certDir } = world;
  const good = await push(world, "tampered/os:v1");
  const other = await push(world, "tampered/os:v2", [], "other-image");
  await world.berth("sign", "--key", at("berth.key"), good);
  const copy = ["--insecure-policy", "copy", "--preserve-digests"];
  const tag = (signed: typeof image): string => `docker://${withTag(good, signatureTag(signed.digest))}`;
  await world.skopeo(...copy, "--src-cert-dir", certDir, tag(image), `dir:${at("signature")}`);
  await world.skopeo(...copy, "--dest-cert-dir", certDir, `dir:${at("signature")}`, tag(otherImage));
  await isRefusedByAll(world, "berth.pub", other, new RegExp(`it is for ${image.digest}`));
  await isAcceptedByAll(world, "berth.pub", good);

  const manifest = parseManifest(host.files.readText(at("signature/manifest.json")));
  const layers = manifest.layers.map((layer) => {
    const payload = host.files.readText(at(`signature/${digestHex(layer.digest)}`));
    const changed = payload.replace(image.digest, otherImage.digest);
    const digest = digestOf(changed);
    host.files.write(at(`signature/${digestHex(digest)}`), changed);
    return { ...layer, digest };
  });
  host.files.write(at("signature/manifest.json"), formatManifest({ ...manifest, layers }));
  await world.skopeo(...copy, "--dest-cert-dir", certDir, `dir:${at("signature")}`, tag(otherImage));
  await isRefusedByAll(world, "berth.pub", other, /it is signed by another key, or changed/);
}

type Identity = (base: string) => object;
const identityOf = (type: string, field?: string, name = ""): Identity => {
  return (base) => ({ type, ...(field !== undefined && { [field]: `${base}${name}` }) });
};
const remap = (prefix: string, signedPrefix: string): Identity => {
  return (base) => ({ type: "remapIdentity", prefix: `${base}${prefix}`, signedPrefix: `${base}${signedPrefix}` });
};
const DIGEST = `@${image.digest}`;

/** What is signed and what is pulled: below a registry and namespace, where the image is `os:v1`. */
const IDENTITIES = [
  ["/os:v1", "/os:v1", undefined, true],
  ["/os", "/os:v1", undefined, false],
  ["/os:v2", "/os:v1", undefined, false],
  ["/os:v2", `/os${DIGEST}`, undefined, true],
  ["/os", `/os${DIGEST}`, undefined, false],
  ["/os:v1", "/os:v1", identityOf("matchExact"), true],
  ["/os:v1", `/os${DIGEST}`, identityOf("matchExact"), false],
  [`/os${DIGEST}`, `/os${DIGEST}`, identityOf("matchExact"), true],
  ["/os:v2", "/os:v1", identityOf("matchRepository"), true],
  ["/os", "/os:v1", identityOf("matchRepository"), true],
  ["/other:v1", "/os:v1", identityOf("matchRepository"), false],
  ["/other:v1", "/os:v1", identityOf("exactReference", "dockerReference", "/other:v1"), true],
  ["/other:v2", "/os:v1", identityOf("exactReference", "dockerReference", "/other:v1"), false],
  ["/other:v2", "/os:v1", identityOf("exactRepository", "dockerRepository", "/other"), true],
  ["/os:v1", "/os:v1", identityOf("exactRepository", "dockerRepository", "/other"), false],
  ["/other:v1", "/os:v1", remap("/os", "/other"), true],
  ["/os:v1", "/os:v1", remap("/os", "/other"), false],
  ["/os:v1", "/os:v1", remap("/elsewhere", "/other"), true],
] as const;

async function identities(world: World): Promise<void> {
  for (const [i, [signed, pulled, identity, isGood]] of IDENTITIES.entries()) {
    const base = `${world.address}/identity${i}`;
    const reference = await push(world, `identity${i}/os:v1`);
    await world.berth("sign", "--key", world.at("berth.key"), "--identity", `${base}${signed}`, reference);
    writePolicy(world, "berth.pub", identity?.(base));
    const asked = `${base}${pulled}`;
    const what = `${JSON.stringify(identity?.(base))}: "${signed}" for "${pulled}"`;
    if (isGood) {
      await assert.doesNotReject(skopeoPulls(world, asked), what);
      await assert.doesNotReject(world.berth("verify", asked), what);
    } else {
      await assert.rejects(skopeoPulls(world, asked), /Source image rejected/, what);
      await assert.rejects(world.berth("verify", asked), /it is for \S+, wanted/, what);
    }
  }
}

function withTag(reference: string, tag: string): string {
  return reference.replace(/:[^:/]+$/, `:${tag}`);
}

test("berth, skopeo and cosign accept each other's signatures, and refuse the same", async (t) => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory("/dev/shm/berth-sigstore-");
  await using registry = await startLoginRegistry(host, directory.path);
  const world = await openWorld(host, directory.path, registry);
  writeImage(world, "image", image);
  writeImage(world, "other-image", otherImage);
  await makeKeys(world);
  await t.test("signed by berth, with keys of each", () => berthSigns(world));
  await t.test("an index signed by berth", () => berthSignsIndex(world));
  await t.test("signed by skopeo, with keys of each", () => skopeoSigns(world));
  await t.test("signed by cosign", () => cosignSigns(world));
  await t.test("signed by cosign 3", () => cosign3Signs(world));
  await t.test("a referrer alone", () => referrerAlone(world));
  await t.test("another image's signature, and a changed one", () => tampered(world));
  await t.test("every kind of signedIdentity", () => identities(world));
});
