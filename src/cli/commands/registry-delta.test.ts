/** Deltas that the registry makes: by the command, and after pushes as the server asks for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../../core/bytes.ts";
import type { Progress } from "../../core/progress.ts";
import type { Host } from "../../host/host.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { SCRATCH } from "../../host/scratch.ts";
import { parseImageRef } from "../../oci/reference.ts";
import { parseRegistryConfig } from "../../registry/config.ts";
import { filesDriver } from "../../registry/files-driver.ts";
import type { MakeDeltas } from "../../registry/operations/delta-jobs.ts";
import { openService } from "../../registry/service.ts";
import { toWeb } from "../../registry/testing.ts";
import { listDeltas } from "../../remote/delta-artifact.ts";
import { pullImage } from "../../remote/pull.ts";
import { pushImage } from "../../remote/push.ts";
import { resolveImage } from "../../remote/resolve.ts";
import { createTestClient, REGISTRY, type TestClient } from "../../remote/testing.ts";
import { openStore } from "../../store/open.ts";
import type { Store, StoredImage } from "../../store/store.ts";
import { fixtureDocuments, fixtureTar, noise } from "../../store/testing.ts";
import { type Printed, runWords } from "../testing.ts";
import { registryDeltaCommand } from "./registry-delta.ts";

const host: Host = { ...createLinuxHost(), threads: false };
const CONFIG = 'listen="127.0.0.1:0"\n[storage]\ndriver="files"\ndirectory="data"\n';

interface World extends Disposable {
  readonly client: TestClient;
  readonly path: string;
  readonly warnings: readonly string[];
  readonly builder: Store;
  open(name: string): Store;
  push(version: string, tag: string): Promise<StoredImage>;
  /** Images that those in the registry say to start from. */
  olds(tag: string): Promise<string[]>;
  delta(...words: readonly string[]): Promise<Printed>;
}

function openWorld(config = "", makeDeltas?: MakeDeltas): World {
  const resources = new DisposableStack();
  const { path } = resources.use(host.files.temporaryDirectory(`${SCRATCH}/berth-registry-delta-test-`));
  host.files.write(`${path}/registry.toml`, CONFIG + config);
  const warnings: string[] = [];
  const progress: Progress = {
    task: () => ({ advance() {}, total() {}, done() {} }),
    say() {},
    warn: (text) => void warnings.push(text),
  };
  const driver = filesDriver(host, `${path}/data`);
  const at = (name: string): string => `${path}/${name}`;
  const service = openService(host, parseRegistryConfig(CONFIG + config), { driver, at, progress, makeDeltas });
  const client = createTestClient({
    [REGISTRY]: async (request) => toWeb(await service.handler(request, { address: "192.0.2.1" })),
  });
  const refOf = (tag: string): ReturnType<typeof parseImageRef> => parseImageRef(`${REGISTRY}/team/os:${tag}`);
  const open = (name: string, keepBlobs = false): Store =>
    resources.use(openStore(host, `${path}/${name}/composefs`, { keepBlobs, create: true, access: "shared" }));
  const builder = open("builder", true);
  return {
    client,
    path,
    warnings,
    builder,
    open,
    async push(version, tag) {
      const program = Buffer.concat([noise(200_000, "program"), Buffer.from(version), noise(100_000, "rest")]);
      const tar = await fixtureTar({ "": null, program });
      const layer = await builder.addLayer(streamOf(tar));
      const image = builder.saveImage(fixtureDocuments([{ ...layer, tar, blob: Buffer.alloc(0) }]));
      await pushImage(client.context, builder, image, refOf(tag));
      return image;
    },
    async olds(tag) {
      const { session, digest } = await resolveImage(client.context, refOf(tag));
      return (await listDeltas(session, digest)).map(({ old }) => old).sort();
    },
    delta: (...words) => runWords(host, [registryDeltaCommand], ["registry", "delta", ...words]),
    [Symbol.dispose]: () => resources.dispose(),
  };
}

test("[deltas]: after each push of a tag come deltas from what it named before, and machines take them", async () => {
  const made: Printed[] = [];
  using world = openWorld("[deltas]\nfrom = 2\n", async ({ repository, digest }, { count }) => {
    made.push(await world.delta("--from", String(count), world.path, `${repository}@${digest}`));
  });
  const images: StoredImage[] = [];
  for (const version of ["1", "2", "3", "4"]) {
    images.push(await world.push(version, "latest"));
    while (made.length < images.length) await new Promise((go) => setImmediate(go));
  }
  assert.deepEqual(
    made.map(({ status, err }) => (status === 0 ? "" : err)),
    ["", "", "", ""],
  );
  assert.deepEqual(world.warnings, []);
  const [, second, third, fourth] = images;
  assert.ok(second !== undefined && third !== undefined && fourth !== undefined);
  assert.deepEqual(await world.olds("latest"), [second.digest, third.digest].sort());

  const machine = world.open("machine");
  const { context, lines } = world.client;
  await pullImage(context, machine, parseImageRef(`${REGISTRY}/team/os@${second.digest}`));
  lines.length = 0;
  const pulled = await pullImage(context, machine, parseImageRef(`${REGISTRY}/team/os:latest`));
  assert.ok(
    lines.some((line) => line.includes(`made from ${second.digest.slice(7, 19)}`)),
    lines.join("\n"),
  );
  assert.equal(machine.imageId(pulled, "raw"), world.builder.imageId(fourth, "raw"));
});

test("registry delta takes the highest tags, makes nothing twice, and passes by what is no image", async () => {
  using world = openWorld();
  const [one, two] = [await world.push("1", "1"), await world.push("2", "2")];
  await world.push("3", "3");
  const { session } = await resolveImage(world.client.context, parseImageRef(`${REGISTRY}/team/os:3`));
  const index = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] };
  const listed = await session.request("PUT", "manifests/9", {
    headers: { "content-type": index.mediaType },
    body: Buffer.from(JSON.stringify(index)),
  });
  assert.equal(listed.status, 201);
  const first = await world.delta("--from", "1", world.path, "team/os:3");
  assert.deepEqual([first.status, await world.olds("3")], [0, [two.digest]], first.err);
  assert.match(first.out, new RegExp(`^[0-9.]+ k?B from ${two.digest}\n$`));
  const second = await world.delta("--json", world.path, "team/os:3");
  assert.deepEqual([second.status, await world.olds("3")], [0, [one.digest, two.digest].sort()], second.err);
  assert.doesNotMatch(second.err, /from .*:2/);
  const { deltas } = JSON.parse(second.out);
  assert.equal(deltas.length, 2);
  assert.equal((await world.delta(world.path, "team/os:1")).status, 0, "from a higher one too: machines go back");
  assert.deepEqual(
    host.files.list("/var/tmp").filter((name) => name.startsWith("berth-deltas-")),
    [],
  );
});

for (const [words, status, message] of [
  [["team/os:2"], 1, /^error: Cannot make deltas to "team\/os:2": registry ".*" does not have it$/m],
  [["team/OS:1"], 2, /^error: .*OS/m],
  [["--from", "0", "team/os:1"], 2, /^error: Cannot make deltas from "0" images: wanted a number from 1 to 100$/m],
  [["team/os:list"], 1, /^error: Cannot use "localhost\/team\/os@sha256:.*" as an image: it is an index/m],
] as const) {
  test(`registry delta ${words.join(" ")} is refused`, async () => {
    using world = openWorld();
    await world.push("1", "1");
    const { session } = await resolveImage(world.client.context, parseImageRef(`${REGISTRY}/team/os:1`));
    const mediaType = "application/vnd.oci.image.index.v1+json";
    const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [] }));
    await session.request("PUT", "manifests/list", { headers: { "content-type": mediaType }, body });
    const typed = [...words.slice(0, -1), world.path, ...words.slice(-1)];
    const printed = await world.delta(...typed);
    assert.equal(printed.status, status, printed.err);
    assert.match(printed.err, message);
  });
}

test("registry delta in a full TMPDIR names it, and not the store of the machine", async () => {
  using world = openWorld();
  for (const version of ["1", "2"]) await world.push(version, version);
  using scratch = host.files.temporaryDirectory(`${SCRATCH}/berth-delta-test-`);
  const files = { ...host.files, space: () => ({ freeBytes: 10, totalBytes: 10 }) };
  const full = { ...host, files, env: { ...host.env, TMPDIR: scratch.path } };
  const { status, err } = await runWords(full, [registryDeltaCommand], ["registry", "delta", world.path, "team/os:2"]);
  assert.equal(status, 1);
  assert.match(err, new RegExp(`^error: Cannot make deltas to "team/os:2": Cannot pull .*: "${scratch.path}/.* free`));
  assert.match(err, new RegExp(`\nhint: free some space in "${scratch.path}", or name a larger folder in TMPDIR\n$`));
  assert.deepEqual([await world.olds("2"), host.files.list(scratch.path)], [[], []]);
});

for (const damaged of ["1", "2"]) {
  test(`registry delta of a registry where a layer of :${damaged} is damaged names the blob, and makes nothing`, async () => {
    using world = openWorld();
    const images = { "1": await world.push("1", "1"), "2": await world.push("2", "2") };
    const [layer] = images[damaged === "1" ? "1" : "2"].manifest.layers;
    assert.ok(layer !== undefined);
    const hex = layer.digest.slice("sha256:".length);
    const blob = `${world.path}/data/blobs/sha256/${hex.slice(0, 2)}/${hex}`;
    const bytes = host.files.read(blob);
    host.files.write(blob, bytes.fill(0, bytes.length - 100));
    const { status, err } = await world.delta(world.path, "team/os:2");
    assert.equal(status, 1);
    assert.match(
      err,
      /^error: Cannot make deltas with image "sha256:.*": the registry's content is damaged: Cannot accept /m,
    );
    assert.match(err, new RegExp(`${layer.digest}: its bytes hash to sha256:`));
    assert.match(err, /berth registry check --repair/);
    assert.deepEqual(await world.olds("2"), []);
  });
}

test("registry delta of a folder that is no registry is refused", async () => {
  using world = openWorld();
  const { status, err } = await world.delta(`${world.path}/data`, "team/os:1");
  assert.deepEqual([status, err.startsWith("error: Cannot use registry")], [1, true]);
});
