/** Debian's skopeo reads what berth's copy writes, and the other way round, with equal digests in every form. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { INDEX, MANIFEST } from "../oci/media-types.ts";
import { openStore } from "../store/open.ts";
import { applyCopy, planCopy } from "./copy/copy.ts";
import type { CopyContext } from "./copy/image-io.ts";
import { parseImageName } from "./copy/image-name.ts";
import { openSink, openSource } from "./copy/open-image.ts";
import { initRegistry } from "../registry/init.ts";
import { startRegistry } from "../registry/serve.ts";
import { makeImage } from "./testing.ts";

const host = createLinuxHost();

const exec = async (...argv: string[]): Promise<string> =>
  (await host.exec(argv, { timeoutMs: 120_000 })).stdout.toString();

async function tarOf(directory: string, content: Buffer): Promise<Buffer> {
  host.files.makeDirectory(directory);
  host.files.write(`${directory}/file`, content);
  return (await host.exec(["tar", "-C", directory, "--owner=0", "--group=0", "-c", "file"], { timeoutMs: 10_000 }))
    .stdout;
}

interface World extends AsyncDisposable {
  readonly at: (name: string) => string;
  readonly registry: string;
  readonly image: ReturnType<typeof makeImage>;
  /** Returns the digest. */
  copy(from: string, to: string, options?: { all?: boolean }): Promise<string>;
}

async function openWorld(): Promise<World> {
  const directory = host.files.temporaryDirectory("/tmp/berth-copy-test-");
  const at = (name: string): string => `${directory.path}/${name}`;
  await initRegistry(host, at("registry"), { user: "anna", password: "secret", hostnames: [], tls: true });
  const server = await startRegistry(host, at("registry"), {
    listen: { host: "127.0.0.1", port: 0 },
    progress: silent,
  });
  const registry = server.url.replace("https://", "");
  host.files.write(
    at("auth.json"),
    JSON.stringify({ auths: { [registry]: { auth: Buffer.from("anna:secret").toString("base64") } } }),
  );
  const env = { ...process.env, BERTH_STORE: at("berth") };
  const context: CopyContext = {
    host: { ...host, env },
    progress: silent,
    authFile: at("auth.json"),
    tlsVerify: false,
  };
  const store = openStore(host, at("store"), { keepBlobs: true, create: true, access: "shared" });
  const access = {
    store: () => store,
    find: (name: string) => store.image(name) ?? assert.fail(`no image ${name}`),
    fullName: (name: string) => name,
  };
  const image = makeImage([await tarOf(at("one"), randomBytes(300_000)), await tarOf(at("two"), Buffer.from("hello"))]);
  return {
    at,
    registry,
    image,
    async copy(from, to, { all = false } = {}) {
      await using source = await openSource(context, parseImageName(from), from, access);
      await using sink = await openSink(context, parseImageName(to), to, access);
      const plan = await planCopy(source, sink, { all, platform: { os: "linux", architecture: "amd64" } });
      return (await applyCopy(context, source, sink, plan)).digest;
    },
    async [Symbol.asyncDispose]() {
      store[Symbol.dispose]();
      await server.close();
      directory[Symbol.dispose]();
    },
  };
}

/** What skopeo says that the image's digest is. */
async function inspected(world: World, name: string): Promise<string> {
  const flags = name.startsWith("docker://") ? ["--tls-verify=false", "--authfile", world.at("auth.json")] : [];
  return JSON.parse(await exec("skopeo", "inspect", ...flags, name)).Digest;
}

function skopeoCopy(world: World, from: string, to: string): Promise<string> {
  const flags = ["--src-tls-verify=false", "--dest-tls-verify=false", "--authfile", world.at("auth.json")];
  const keeps = to.startsWith("docker-archive:") ? [] : ["--preserve-digests"];
  return exec("skopeo", "--insecure-policy", "copy", "--all", ...keeps, ...flags, from, to);
}

test("an image keeps its digest through every form, and skopeo reads each", async () => {
  await using world = await openWorld();
  const { at, registry, image } = world;
  host.files.makeDirectory(at("seed"));
  host.files.write(at("seed/version"), "Directory Transport Version: 1.1\n");
  host.files.write(at("seed/manifest.json"), image.manifestBytes);
  for (const blob of [image.configBytes, ...image.layers])
    host.files.write(at(`seed/${digestOf(blob).slice(7)}`), blob);
  const chain = [
    `dir:${at("seed")}`,
    `oci:${at("oci")}:team/os:v1`,
    `docker://${registry}/team/os:v1`,
    `oci-archive:${at("os.tar")}:v1`,
    "berth:localhost/os:v1",
    `dir:${at("dir")}`,
  ];
  for (const [i, from] of chain.entries()) {
    const to = chain[i + 1];
    if (to === undefined) break;
    assert.equal(await world.copy(from, to), image.digest, `${from} to ${to}`);
    if (!to.startsWith("berth:")) assert.equal(await inspected(world, to), image.digest, to);
  }
  assert.deepEqual(host.files.list(at("dir")), host.files.list(at("seed")));
  for (const file of host.files.list(at("seed")))
    assert.deepEqual(host.files.read(at(`dir/${file}`)), host.files.read(at(`seed/${file}`)), file);
});

test("berth reads what skopeo writes, with equal digests", async () => {
  await using world = await openWorld();
  const { at, registry, image } = world;
  host.files.makeDirectory(at("seed"));
  host.files.write(at("seed/version"), "Directory Transport Version: 1.1\n");
  host.files.write(at("seed/manifest.json"), image.manifestBytes);
  for (const blob of [image.configBytes, ...image.layers])
    host.files.write(at(`seed/${digestOf(blob).slice(7)}`), blob);
  for (const [i, form] of [
    `oci:${at("oci")}:v1`,
    `oci-archive:${at("os.tar")}:v1`,
    `dir:${at("dir")}`,
    `docker://${registry}/team/os:v1`,
  ].entries()) {
    await skopeoCopy(world, `dir:${at("seed")}`, form);
    assert.equal(await world.copy(form, `dir:${at(`out-${i}`)}`), image.digest, form);
  }
});

test("a docker-archive keeps config and tars, both ways", async () => {
  await using world = await openWorld();
  const { at, registry, image } = world;
  host.files.makeDirectory(at("seed"));
  host.files.write(at("seed/version"), "Directory Transport Version: 1.1\n");
  host.files.write(at("seed/manifest.json"), image.manifestBytes);
  for (const blob of [image.configBytes, ...image.layers])
    host.files.write(at(`seed/${digestOf(blob).slice(7)}`), blob);
  await world.copy(`dir:${at("seed")}`, `docker-archive:${at("ours.tar")}:team/os:v1`);
  const config = await exec("skopeo", "inspect", "--config", "--raw", `docker-archive:${at("ours.tar")}`);
  assert.equal(digestOf(config), digestOf(image.configBytes));
  await exec(
    "skopeo",
    "--insecure-policy",
    "copy",
    `docker-archive:${at("ours.tar")}:docker.io/team/os:v1`,
    `dir:${at("unpacked")}`,
  );

  await skopeoCopy(world, `dir:${at("seed")}`, `docker-archive:${at("theirs.tar")}:docker.io/team/os:v1`);
  await world.copy(`docker-archive:${at("theirs.tar")}:team/os:v1`, `docker://${registry}/team/saved:v1`);
  const raw = JSON.parse(
    await exec(
      "skopeo",
      "inspect",
      "--raw",
      "--tls-verify=false",
      "--authfile",
      at("auth.json"),
      `docker://${registry}/team/saved:v1`,
    ),
  );
  assert.equal(raw.config.digest, digestOf(image.configBytes));
});

test("--all takes the index and every image; without it this platform's image; a single-image form refuses an index", async () => {
  await using world = await openWorld();
  const { at, registry, image } = world;
  const arm = makeImage([await tarOf(at("arm"), Buffer.from("arm"))], "arm64");
  const entry = ({ digest, manifestBytes }: typeof image, architecture: string): object => ({
    mediaType: MANIFEST,
    digest,
    size: manifestBytes.length,
    platform: { os: "linux", architecture },
  });
  const index = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [entry(arm, "arm64"), entry(image, "amd64")] }),
  );
  host.files.makeDirectory(at("seed"));
  host.files.write(at("seed/version"), "Directory Transport Version: 1.1\n");
  host.files.write(at("seed/manifest.json"), index);
  for (const { manifestBytes, digest } of [image, arm])
    host.files.write(at(`seed/${digest.slice(7)}.manifest.json`), manifestBytes);
  for (const blob of [image, arm].flatMap(({ configBytes, layers }) => [configBytes, ...layers]))
    host.files.write(at(`seed/${digestOf(blob).slice(7)}`), blob);

  assert.equal(
    await world.copy(`dir:${at("seed")}`, `docker://${registry}/team/os:all`, { all: true }),
    digestOf(index),
  );
  const raw = await exec(
    "skopeo",
    "inspect",
    "--raw",
    "--tls-verify=false",
    "--authfile",
    at("auth.json"),
    `docker://${registry}/team/os:all`,
  );
  assert.equal(digestOf(raw), digestOf(index));
  assert.equal(
    await world.copy(`docker://${registry}/team/os:all`, `oci:${at("all")}:v1`, { all: true }),
    digestOf(index),
  );
  await skopeoCopy(world, `oci:${at("all")}:v1`, `dir:${at("again")}`);
  assert.deepEqual(host.files.read(at("again/manifest.json")), index);
  assert.equal(await world.copy(`docker://${registry}/team/os:all`, "berth:localhost/os:1"), image.digest);
  await assert.rejects(
    world.copy(`docker://${registry}/team/os:all`, `docker-archive:${at("x.tar")}`, { all: true }),
    (error) => isFailure(error, "unsupported"),
  );
  assert.equal(host.files.exists(at("x.tar")), false);
});
