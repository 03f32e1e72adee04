/** Debian's podman against berth's registry over TLS with a login, and berth against podman's images. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { streamOf } from "../src/core/bytes.ts";
import { digestOf } from "../src/core/digest.ts";
import { silent } from "../src/core/progress.ts";
import { runWords } from "../src/cli/testing.ts";
import { copyCommand } from "../src/cli/commands/copy.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { parseImageRef } from "../src/oci/reference.ts";
import { pullImage } from "../src/remote/pull.ts";
import { pushImage } from "../src/remote/push.ts";
import type { RemoteContext } from "../src/remote/context.ts";
import { encodingOf } from "../src/store/layer-encoding.ts";
import { openStore } from "../src/store/open.ts";
import { startLoginRegistry } from "./support/login-registry.ts";
import { createPodman, type Podman } from "./support/podman.ts";

const host = createLinuxHost();
let world: World;
before(async () => {
  world = await openWorld();
});
after(() => world[Symbol.asyncDispose]());

interface World extends AsyncDisposable {
  readonly at: (name: string) => string;
  readonly address: string;
  readonly podman: Podman;
  /** berth with podman's login and certificates. */
  readonly context: RemoteContext;
}

async function openWorld(): Promise<World> {
  const directory = host.files.temporaryDirectory("/dev/shm/berth-podman-");
  const at = (name: string): string => `${directory.path}/${name}`;
  const registry = await startLoginRegistry(host, directory.path);
  const podman = createPodman(host, at("podman"), registry);
  await podman.logIn();
  return {
    at,
    address: registry.address,
    podman,
    context: { host: { ...host, env: podman.env }, progress: silent },
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

interface Content {
  /** A tar with the file `content`. */
  readonly tar: string;
  readonly bytes: Buffer;
}

/** New content each time: podman remembers which registry has which. */
async function makeContent(): Promise<Content> {
  const bytes = Buffer.concat([randomBytes(500_000), Buffer.alloc(2_500_000, "text ")]);
  const [root, tar] = [world.at("root"), world.at("root.tar")];
  host.files.makeDirectory(root);
  host.files.write(`${root}/content`, bytes);
  await host.exec(["tar", "-C", root, "--owner=0", "--group=0", "-cf", tar, "content"], { timeoutMs: 10_000 });
  return { tar, bytes };
}

/** What the file in podman's image holds. */
async function contentOf(image: string): Promise<Buffer> {
  const { podman } = world;
  const mounted = await podman.run("image", "mount", image);
  try {
    return host.files.read(`${mounted}/content`);
  } finally {
    await podman.run("image", "unmount", image);
  }
}

test("podman pushes, pulls, tags, lists, and makes a list of images", async () => {
  const { podman, address } = world;
  const { tar, bytes } = await makeContent();
  const [one, two] = [`${address}/team/os:v1`, `${address}/other/os:v2`];
  assert.equal(await podman.run("login", "--get-login", address), "anna");
  const id = await podman.run("import", "--quiet", tar, one);
  await podman.run("push", one);
  await podman.run("rmi", one);
  assert.equal(`sha256:${await podman.run("pull", "--quiet", one)}`, id);
  assert.deepEqual(await contentOf(one), bytes);

  await podman.run("tag", one, two);
  await podman.run("push", "--digestfile", world.at("digest"), two);
  const digest = host.files.readText(world.at("digest"));
  await podman.run("rmi", "--all");
  assert.equal(`sha256:${await podman.run("pull", "--quiet", `${address}/other/os@${digest}`)}`, id);

  await podman.run("manifest", "create", "localhost/list");
  await podman.run("manifest", "add", "localhost/list", `docker://${two}`);
  await podman.run("manifest", "push", "--all", "localhost/list", `docker://${address}/team/os:all`);
  const list = JSON.parse(await podman.run("manifest", "inspect", `${address}/team/os:all`));
  assert.deepEqual(
    list.manifests.map((entry: { digest: string }) => entry.digest),
    [digest],
  );
  assert.equal(`sha256:${await podman.run("pull", "--quiet", `${address}/team/os:all`)}`, id);

  const listed = async (...words: string[]): Promise<unknown> =>
    JSON.parse(await podman.run("search", "--format=json", ...words));
  assert.deepEqual(await listed("--list-tags", `${address}/team/os`), [
    { Name: `${address}/team/os`, Tags: ["all", "v1"] },
  ]);
  const found = await podman.run("search", "--format={{.Name}}", `${address}/os`);
  assert.deepEqual(
    found.split("\n"),
    [two, one].map((name) => name.replace(/:v.$/, "")),
  );
  await assert.rejects(podman.run("pull", `${address}/team/os:none`), /manifest unknown/);
});

test("podman and berth take each other's layers in zstd", async () => {
  const { podman, address, context } = world;
  const { tar, bytes } = await makeContent();
  const [theirs, ours] = [`${address}/team/theirs:1`, `${address}/team/ours:1`];
  const diffId = digestOf(host.files.read(tar));
  await podman.run("import", "--quiet", tar, theirs);
  await podman.run("push", "--compression-format", "zstd", theirs);
  await podman.run("rmi", "--all");

  using store = openStore(host, world.at("store"), { keepBlobs: false, create: true, access: "shared" });
  const pulled = await pullImage(context, store, parseImageRef(theirs));
  assert.deepEqual(pulled.config.rootfs.diff_ids, [diffId]);
  assert.deepEqual(pulled.manifest.layers.map(encodingOf), ["zstd"]);

  using own = openStore(host, world.at("own"), { keepBlobs: true, create: true, access: "shared" });
  const layer = await own.addLayer(streamOf(host.files.read(tar)));
  assert.equal(encodingOf(layer.descriptor), "zstd:chunked");
  const manifestBytes = JSON.stringify({ ...pulled.manifest, layers: [layer.descriptor] });
  const image = own.saveImage({ manifestBytes: Buffer.from(manifestBytes), configBytes: pulled.configBytes });
  await pushImage(context, own, image, parseImageRef(ours));
  const id = await podman.run("pull", "--quiet", ours);
  assert.equal(`sha256:${id}`, pulled.manifest.config.digest);
  assert.deepEqual(await contentOf(ours), bytes);
});

test("berth copies into podman's storage and out of it, and names an image that is not there or cannot be", async () => {
  const { podman, address, at } = world;
  const { tar, bytes } = await makeContent();
  const berth = async (...words: string[]): Promise<string> => {
    const { status, out, err } = await runWords({ ...host, env: podman.env }, [copyCommand], ["copy", ...words]);
    return status === 0 ? out.trimEnd() : err.trimEnd();
  };
  const local = (name: string): string => `${podman.storage}localhost/${name}`;
  const id = await podman.run("import", "--quiet", tar, `${address}/team/os:v1`);
  await podman.run("push", "--digestfile", at("digest"), `${address}/team/os:v1`);
  await podman.run("rmi", "--all");

  const copied = await berth("--quiet", `docker://${address}/team/os:v1`, local("os:1"));
  assert.equal(copied, host.files.readText(at("digest")));
  const inspected = (name: string, what: string): Promise<string> =>
    podman.run("image", "inspect", `--format=${what}`, `localhost/${name}`);
  assert.equal(`sha256:${await inspected("os:1", "{{.Id}}")}`, id);
  assert.equal(await inspected("os:1", "{{.Digest}}"), copied);
  assert.deepEqual(await contentOf("localhost/os:1"), bytes);

  const out = await berth("--quiet", local("os:1"), `oci:${at("out")}:1`);
  assert.match(out, /^sha256:[0-9a-f]{64}$/);
  assert.equal(await berth("--quiet", `oci:${at("out")}:1`, local("again:1")), out);
  assert.equal(`sha256:${await inspected("again:1", "{{.Id}}")}`, id);

  assert.match(
    await berth(local("none:1"), `oci:${at("none")}`),
    /^error: Cannot find image "containers-storage:.*none:1": podman's storage does not have it$/m,
  );
  assert.match(
    await berth(`oci:${at("out")}:1`, local("UPPER:1")),
    /^error: Cannot use image "containers-storage:.*UPPER:1": .*must be lowercase$/m,
  );
  assert.match(await berth("--dry-run", `oci:${at("out")}:1`, local("dry:1")), /^copy /);
  assert.equal(host.files.exists(at("none")), false);
  await assert.rejects(inspected("dry:1", "{{.Id}}"), /no such image|image not known/);
});

test("podman without a login is refused", async () => {
  const { podman, address } = world;
  const { tar } = await makeContent();
  await podman.run("import", "--quiet", tar, `${address}/team/own:1`);
  await podman.run("logout", address);
  await assert.rejects(podman.run("push", `${address}/team/own:1`), /unauthorized/);
  await assert.rejects(podman.run("pull", `${address}/team/os:v1`), /unauthorized/);
});
