/** Updates over a real socket: what is said before is what moves, and asking costs next to nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startCountingProxy } from "../../test/support/counting-proxy.ts";
import { streamOf } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { parseImageRef } from "../oci/reference.ts";
import type { RemoteContext } from "../remote/context.ts";
import { pushDelta } from "../remote/delta-artifact.ts";
import { pushImage } from "../remote/push.ts";
import { pushEndpoint, readRegistriesConf } from "../remote/registries-conf.ts";
import { openSession } from "../remote/session.ts";
import { signImage } from "../remote/trust/sign.ts";
import { generateKeyPair, parsePrivateKey } from "../remote/trust/sigstore-key.ts";
import { initRegistry } from "../registry/init.ts";
import { startRegistry } from "../registry/serve.ts";
import { openTestRegistry } from "../registry/testing.ts";
import { openStore } from "../store/open.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { type FixtureEntries, fixtureDocuments, fixtureTar, noise } from "../store/testing.ts";
import { createRegistrySource } from "./registry-source.ts";

/** Without worker threads: each would load its code anew, for few bytes. */
const host = { ...createLinuxHost(), threads: false };
const context: RemoteContext = { host: { ...host, env: {} }, progress: silent, tlsVerify: false };
const { signal } = new AbortController();

interface World {
  /** A machine's, empty. */
  readonly store: Store;
  readonly reference: string;
  readonly movedBytes: () => number;
  readonly publish: (version: number) => Promise<void>;
  readonly push: (entries: FixtureEntries) => Promise<StoredImage>;
  readonly pushDelta: (old: StoredImage, next: StoredImage) => Promise<void>;
}

async function openWorld(resources: AsyncDisposableStack): Promise<World> {
  const registry = resources.use(openTestRegistry());
  const open = (name: string, keepBlobs: boolean): Store =>
    resources.use(openStore(host, `${registry.root}/${name}/composefs`, { keepBlobs, create: true, access: "shared" }));
  const builder = open("builder", true);
  const server = resources.use(
    await host.network.serve((request) => registry.handler(request), { host: "127.0.0.1", port: 0 }),
  );
  const proxy = resources.use(await startCountingProxy(server.port));
  const reference = `127.0.0.1:${proxy.port}/team/os:latest`;
  const target = parseImageRef(`127.0.0.1:${server.port}/team/os:latest`);
  const push = async (entries: FixtureEntries): Promise<StoredImage> => {
    const tar = await fixtureTar(entries);
    const layer = await builder.addLayer(streamOf(tar));
    const image = builder.saveImage(fixtureDocuments([{ ...layer, tar, blob: Buffer.alloc(0) }]));
    await pushImage(context, builder, image, target);
    return image;
  };
  return {
    store: open("machine", false),
    reference,
    movedBytes: proxy.bytes,
    async publish(version) {
      const files = Array.from({ length: 30 }, (_, i) => {
        const content = i < 10 ? `${i} of ${version}` : `${i}`;
        return [`file${i}`, noise(100_000, content)] as const;
      });
      await push({ "": null, ...Object.fromEntries(files) });
    },
    push,
    async pushDelta(old, next) {
      const session = await openSession(context, pushEndpoint(readRegistriesConf(context.host), target), {
        access: "pull,push",
      });
      await pushDelta(context, session, { delta: await builder.createDelta(old, next), next });
    },
  };
}

test("to ask for an image that is here already moves less than 2 KB", async () => {
  await using resources = new AsyncDisposableStack();
  const { store, reference, movedBytes, publish } = await openWorld(resources);
  await publish(1);
  const source = createRegistrySource(context);
  const first = await source.offer(reference, { store, signal });
  await source.fetch(reference, first, { store, signal, progress: silent });
  const before = movedBytes();
  const again = await source.offer(reference, { store, signal });
  const moved = movedBytes() - before;
  assert.deepEqual([again.digest, again.config], [first.digest, first.config]);
  assert.ok(moved > 0 && moved < 2000, `${moved} bytes`);
});

test("a login by token leaves that below 2 KB", async () => {
  await using resources = new AsyncDisposableStack();
  const scratch = resources.use(host.files.temporaryDirectory(`${SCRATCH}/berth-source-`));
  const at = (name: string): string => `${scratch.path}/${name}`;
  const user = { user: "machine", password: "a-password-of-some-length" };
  await initRegistry(host, at("registry"), { ...user, hostnames: [], tls: false });
  const listen = { host: "127.0.0.1", port: 0 };
  const server = await startRegistry(host, at("registry"), { listen, progress: silent });
  resources.defer(() => server.close());
  const { port } = new URL(server.url);
  const proxy = resources.use(await startCountingProxy(Number(port)));
  const auth = Buffer.from(`${user.user}:${user.password}`).toString("base64");
  const auths = { [`127.0.0.1:${port}`]: { auth }, [`127.0.0.1:${proxy.port}`]: { auth } };
  host.files.write(at("auth.json"), JSON.stringify({ auths }));
  const known = { ...context, host: { ...host, env: { REGISTRY_AUTH_FILE: at("auth.json") } } };
  const open = (name: string, keepBlobs: boolean): Store =>
    resources.use(openStore(host, `${at(name)}/composefs`, { keepBlobs, create: true, access: "shared" }));
  const [builder, store] = [open("builder", true), open("machine", false)];
  const tar = await fixtureTar({ "": null, file: "content" });
  const layer = await builder.addLayer(streamOf(tar));
  const image = builder.saveImage(fixtureDocuments([{ ...layer, tar, blob: Buffer.alloc(0) }]));
  await pushImage(known, builder, image, parseImageRef(`127.0.0.1:${port}/team/debian-bootc:latest`));
  const reference = `127.0.0.1:${proxy.port}/team/debian-bootc:latest`;
  const source = createRegistrySource(known);
  const first = await source.offer(reference, { store, signal });
  await source.fetch(reference, first, { store, signal, progress: silent });
  const before = proxy.bytes();
  assert.equal((await source.offer(reference, { store, signal })).digest, first.digest);
  const moved = proxy.bytes() - before;
  assert.ok(moved > 1000 && moved < 2048, `${moved} bytes`);
});

test("what a check says is what an upgrade moves, within 2 %", async () => {
  await using resources = new AsyncDisposableStack();
  const { store, reference, movedBytes, publish } = await openWorld(resources);
  await publish(1);
  const source = createRegistrySource(context);
  const first = await source.offer(reference, { store, signal });
  assert.deepEqual(
    (await source.plan(first, { store, signal })).ways.map(({ kind }) => kind),
    ["blob"],
  );
  await source.fetch(reference, first, { store, signal, progress: silent });
  await publish(2);
  const checked = await source.offer(reference, { store, signal });
  const plan = await source.plan(checked, { store, signal });
  assert.deepEqual(
    plan.ways.map(({ kind }) => kind),
    ["ranges"],
  );
  const before = movedBytes();
  const offered = await source.offer(reference, { store, signal });
  const { bytes } = await source.fetch(reference, offered, { store, signal, progress: silent });
  const moved = movedBytes() - before;
  assert.ok(bytes > 1_000_000 && bytes < 1_050_000, "a third of the files");
  const error = Math.abs(plan.bytes / moved - 1);
  assert.ok(error < 0.02, `said ${plan.bytes}, moved ${moved}`);
});

/** A delta of 60 kB, and tables of contents of more than the share of it that may be asked for. */
const manyFiles = (version: string): FixtureEntries => ({
  "": null,
  program: Buffer.concat([noise(500_000, "program"), noise(60_000, version), noise(200_000, "rest")]),
  ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`file${i}`, noise(500, `file${i}`)])),
});

test("a check moves no tables where a delta decides it, and says what the upgrade moves within 2 %", async () => {
  await using resources = new AsyncDisposableStack();
  const { store, reference, movedBytes, push, pushDelta } = await openWorld(resources);
  const old = await push(manyFiles("1"));
  const source = createRegistrySource(context);
  const first = await source.offer(reference, { store, signal });
  await source.fetch(reference, first, { store, signal, progress: silent });
  await pushDelta(old, await push(manyFiles("2")));

  const start = movedBytes();
  const plan = await source.plan(await source.offer(reference, { store, signal }), { store, signal });
  const asked = movedBytes() - start;
  assert.ok(asked < 6000, `the check moved ${asked} bytes`);
  assert.deepEqual(
    plan.ways.map(({ kind }) => kind),
    ["delta"],
  );
  const before = movedBytes();
  const offered = await source.offer(reference, { store, signal });
  const { bytes } = await source.fetch(reference, offered, { store, signal, progress: silent });
  const moved = movedBytes() - before;
  assert.ok(bytes > 60_000 && bytes < 65_000, `${bytes} bytes`);
  const error = Math.abs(plan.bytes / moved - 1);
  assert.ok(error < 0.02, `said ${plan.bytes}, moved ${moved}`);
});

test("what a check says of an update of a few kB is right within 2 % too, questions for documents included", async () => {
  await using resources = new AsyncDisposableStack();
  const { store, reference, movedBytes, push, pushDelta } = await openWorld(resources);
  const files = (version: string): FixtureEntries => ({ "": null, program: noise(300_000, "program"), version });
  const old = await push(files("1"));
  const source = createRegistrySource(context);
  const first = await source.offer(reference, { store, signal });
  await source.fetch(reference, first, { store, signal, progress: silent });
  await pushDelta(old, await push(files("2")));
  const before = movedBytes();
  const offered = await source.offer(reference, { store, signal });
  const plan = await source.plan(offered, { store, signal });
  await source.fetch(reference, offered, { store, signal, progress: silent });
  const moved = movedBytes() - before;
  assert.ok(moved < 10_000, `${moved} bytes`);
  const error = Math.abs(plan.bytes / moved - 1);
  assert.ok(error < 0.02, `said ${plan.bytes}, moved ${moved}`);
});

test("an update that the machine's policy does not accept is not even offered", async () => {
  await using resources = new AsyncDisposableStack();
  const { store, reference, publish } = await openWorld(resources);
  const home = resources.use(host.files.temporaryDirectory(`${SCRATCH}/berth-policy-test-`)).path;
  const pair = generateKeyPair("", (size) => host.random(size));
  const keyData = Buffer.from(pair.publicKey).toString("base64");
  host.files.makeDirectory(`${home}/containers/registries.d`);
  host.files.write(
    `${home}/containers/policy.json`,
    JSON.stringify({ default: [{ type: "sigstoreSigned", keyData }] }),
  );
  host.files.write(`${home}/containers/registries.d/all.yaml`, "default-docker: {use-sigstore-attachments: true}");
  const machine: RemoteContext = { ...context, host: { ...host, env: { XDG_CONFIG_HOME: home } } };
  const source = createRegistrySource(machine);
  const sign = (): Promise<unknown> =>
    signImage(machine, parseImageRef(reference), { key: parsePrivateKey(pair.privateKey, "") });
  const isDenied = (error: unknown): boolean =>
    isFailure(error, "denied") && /wants sigstoreSigned/.test(error.message);
  await publish(1);
  await assert.rejects(source.offer(reference, { store, signal }), isDenied);
  await sign();
  const first = await source.offer(reference, { store, signal });
  await source.fetch(reference, first, { store, signal, progress: silent });
  assert.equal((await source.offer(reference, { store, signal })).digest, first.digest);
  await publish(2);
  await assert.rejects(source.offer(reference, { store, signal }), isDenied);
});
