/** Updates by deltas, against the real registry handler and real stores, with what can be wrong with a delta on the way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { memoized } from "../core/memoized.ts";
import type { HttpResponse } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { type ImageRef, parseImageRef } from "../oci/reference.ts";
import { openTestRegistry, type TestRegistry } from "../registry/testing.ts";
import { openStore } from "../store/open.ts";
import type { Delta } from "../store/delta/create-delta.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { type FixtureEntries, fixtureDocuments, fixtureTar, noise } from "../store/testing.ts";
import { DELTA_ARTIFACT, listDeltas, pushDelta } from "./delta-artifact.ts";
import { previousImages } from "./previous-images.ts";
import { fetchConfig, pullImage } from "./pull.ts";
import { pushImage } from "./push.ts";
import { pushEndpoint, readRegistriesConf } from "./registries-conf.ts";
import { resolveImage } from "./resolve.ts";
import { openSession, type Session } from "./session.ts";
import { createTestClient, cutAfter, type Fault, REGISTRY, type TestClient } from "./testing.ts";
import { describeTransfer, planTransfer } from "./transfer-plan.ts";

/** Without worker threads: each would load its code anew, for few bytes. */
const host = { ...createLinuxHost(), threads: false };
const refOf = (tag: string): ImageRef => parseImageRef(`${REGISTRY}/team/os:${tag}`);

/** Large files that differ in a few bytes: ranges would move them whole. */
const tree = memoized(
  (version: string): FixtureEntries => ({
    "": null,
    program: Buffer.concat([noise(200_000, "program"), Buffer.from(version), noise(100_000, "rest")]),
    library: Buffer.concat([noise(150_000, "library"), Buffer.from(version)]),
    same: noise(50_000, "same"),
  }),
);

interface World extends Disposable {
  readonly registry: TestRegistry;
  readonly client: TestClient;
  readonly builder: Store;
  /** A machine's: no blobs are kept. */
  readonly machine: Store;
  open(name: string, keepBlobs: boolean): Store;
  session(): Promise<Session>;
}

function openWorld(): World {
  const resources = new DisposableStack();
  const registry = resources.use(openTestRegistry());
  const client = createTestClient({ [REGISTRY]: registry.handler });
  const open = (name: string, keepBlobs: boolean): Store =>
    resources.use(openStore(host, `${registry.root}/${name}/composefs`, { keepBlobs, create: true, access: "shared" }));
  return {
    registry,
    client,
    builder: open("builder", true),
    machine: open("machine", false),
    open,
    session: () =>
      openSession(client.context, pushEndpoint(readRegistriesConf(client.context.host), refOf("v2")), {
        access: "pull,push",
      }),
    [Symbol.dispose]: () => resources.dispose(),
  };
}

async function publish({ builder, client }: World, entries: FixtureEntries, tag: string): Promise<StoredImage> {
  const tar = await fixtureTar(entries);
  const layer = await builder.addLayer(streamOf(tar));
  const image = builder.saveImage(fixtureDocuments([{ ...layer, tar, blob: Buffer.alloc(0) }]));
  await pushImage(client.context, builder, image, refOf(tag));
  return image;
}

/** From tree("1") to tree("2"): the same in every world. */
let known: Delta | undefined;
async function deltaBetween(builder: Store, old: StoredImage, next: StoredImage): Promise<Delta> {
  return (known ??= await builder.createDelta(old, next));
}

interface Update {
  readonly next: StoredImage;
  readonly deltaBytes: number;
}

/** v1, v2 and a delta between them in the registry, changed as wanted; the machine has v1. */
async function openUpdate(world: World, change: Partial<Delta> = {}): Promise<Update> {
  const { builder, client, machine } = world;
  const old = await publish(world, tree("1"), "v1");
  const next = await publish(world, tree("2"), "v2");
  const delta = await deltaBetween(builder, old, next);
  await pushDelta(client.context, await world.session(), { delta: { ...delta, ...change }, next });
  await pullImage(client.context, machine, refOf("v1"));
  client.requests.length = 0;
  client.lines.length = 0;
  return { next, deltaBytes: delta.bytes };
}

async function pull({ client, machine }: World): Promise<number> {
  let received = 0;
  await pullImage(client.context, machine, refOf("v2"), { onReceived: (count) => void (received += count) });
  return received;
}

/** Of the tree of tree("2"), as a pull of whole blobs makes it. */
let wholeId: string | undefined;

async function assertWhole(world: World, next: StoredImage): Promise<void> {
  if (wholeId === undefined) {
    world.client.fault = undefined;
    const fresh = world.open("fresh", false);
    wholeId = fresh.imageId(await pullImage(world.client.context, fresh, refOf("v2")), "raw");
  }
  const mine = world.machine.image(next.digest);
  assert.ok(mine !== undefined);
  assert.equal(world.machine.imageId(mine, "raw"), wholeId);
  assert.deepEqual(world.machine.fsck({ repair: false }), []);
}

test("a machine that has the old image fetches the delta and gets the very same image", async () => {
  using world = openWorld();
  const { next, deltaBytes } = await openUpdate(world);
  const resolved = await resolveImage(world.client.context, refOf("v2"));
  const { config } = await fetchConfig(resolved);
  const plan = await planTransfer({ context: world.client.context, store: world.machine, resolved, config });
  assert.match(describeTransfer(plan), /^1 layer by delta: .* of /);
  assert.equal(world.client.requests.filter((line) => line.includes("/referrers/")).length, 1);
  assert.equal((await pull(world)) > deltaBytes - 1, true);
  assert.ok(deltaBytes < 3000, `${deltaBytes} bytes`);
  assert.ok(world.client.lines.some((line) => line.includes("fetched, made from")));
  await assertWhole(world, next);
});

test("a registry without the referrers API serves deltas by the fallback tag", async () => {
  using world = openWorld();
  const { client } = world;
  client.fault = async (request, pass) => {
    if (request.url.includes("/referrers/")) return answer(404, "");
    const response = await pass(request);
    const { "oci-subject": _, ...headers } = response.headers;
    return { ...response, headers };
  };
  const { next } = await openUpdate(world);
  const fault = client.fault;
  await pull(world);
  assert.ok(client.lines.some((line) => line.includes("fetched, made from")));
  assert.ok(fault !== undefined);
  await assertWhole(world, next);
});

test("a delta whose connection breaks goes on where it was", async () => {
  using world = openWorld();
  const { next, deltaBytes } = await openUpdate(world);
  const ranges: (string | undefined)[] = [];
  world.client.fault = async (request, pass) => {
    const response = await pass(request);
    if (ranges.length > 0) ranges.push(request.headers?.["range"]);
    if (ranges.length > 0 || !isDelta(response, deltaBytes)) return response;
    ranges.push("cut");
    return cutAfter(response, 100);
  };
  await pull(world);
  assert.deepEqual(ranges.slice(0, 2), ["cut", "bytes=100-"]);
  await assertWhole(world, next);
});

function isDelta(response: HttpResponse, bytes: number): boolean {
  return response.headers["content-length"] === String(bytes);
}

function answer(status: number, text: string): HttpResponse {
  return { status, headers: {}, body: streamOf(Buffer.from(text)), discard() {} };
}

const BAD: readonly (readonly [what: string, fault: (bytes: number) => Fault])[] = [
  [
    "is damaged",
    (bytes) => async (request, pass) => {
      const response = await pass(request);
      if (!isDelta(response, bytes)) return response;
      return { ...response, body: damaged(response.body) };
    },
  ],
  [
    "is gone",
    (bytes) => async (request, pass) => {
      const response = await pass(request);
      return isDelta(response, bytes) ? answer(404, "") : response;
    },
  ],
  [
    "is refused",
    (bytes) => async (request, pass) => {
      const response = await pass(request);
      return isDelta(response, bytes) ? answer(403, "") : response;
    },
  ],
  [
    "breaks the server",
    (bytes) => async (request, pass) => {
      const response = await pass(request);
      return isDelta(response, bytes) ? answer(500, "") : response;
    },
  ],
  ["has no manifest any more", () => manifestFault(() => undefined)],
  ["has a manifest of other bytes", () => manifestFault(() => "{}")],
  [
    "is listed by nonsense",
    () => async (request, pass) => (request.url.includes("/referrers/") ? answer(200, "<html>") : pass(request)),
  ],
  [
    "cannot be listed",
    () => async (request, pass) => (request.url.includes("/referrers/") ? answer(500, "") : pass(request)),
  ],
];
for (const [what, fault] of BAD) {
  test(`a delta that ${what} is passed over, and the image comes another way`, async () => {
    using world = openWorld();
    const { next, deltaBytes } = await openUpdate(world);
    world.client.fault = fault(deltaBytes);
    await pull(world);
    assert.ok(!world.client.lines.some((line) => line.includes("made from")));
    await assertWhole(world, next);
  });
}

async function* damaged(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  for await (const chunk of body) {
    const copy = Buffer.from(chunk);
    if (at === 0) copy[copy.length - 20] = (copy.at(-20) ?? 0) ^ 0xff;
    at += chunk.length;
    yield copy;
  }
}

function manifestFault(text: () => string | undefined): Fault {
  let artifact = "";
  return async (request, pass) => {
    const response = await pass(request);
    if (request.url.includes("/referrers/")) {
      const chunks = await Array.fromAsync(response.body);
      const list = Buffer.concat(chunks).toString();
      artifact = /"digest":"(sha256:[0-9a-f]+)"/.exec(list)?.[1] ?? "none";
      return { ...response, body: streamOf(Buffer.from(list)) };
    }
    if (artifact === "" || !request.url.endsWith(`/manifests/${artifact}`)) return response;
    const other = text();
    return other === undefined ? answer(404, "") : answer(200, other);
  };
}

test("a delta that is smaller than any can be does not hide the good one", async () => {
  using world = openWorld();
  const { next, deltaBytes } = await openUpdate(world);
  const old = (await listDeltas(await world.session(), next.digest))[0]?.old ?? next.digest;
  const lie = { old, bytes: 1, chunks: [Buffer.from("x")], needs: [] };
  await pushDelta(world.client.context, await world.session(), { delta: lie, next });
  const received = await pull(world);
  assert.ok(received < deltaBytes + 5000, `${received} bytes`);
  assert.ok(world.client.lines.some((line) => line.includes("made from")));
  await assertWhole(world, next);
});

test("a delta that needs a program which is not here is passed over before anything of it is fetched", async () => {
  using world = openWorld();
  const { client, machine } = world;
  const { next } = await openUpdate(world, { needs: ["no-such-program"] });
  const [offer] = await listDeltas(await world.session(), next.digest);
  assert.deepEqual(offer?.needs, ["no-such-program"]);
  const resolved = await resolveImage(client.context, refOf("v2"));
  const { config } = await fetchConfig(resolved);
  const plan = await planTransfer({ context: client.context, store: machine, resolved, config });
  assert.doesNotMatch(describeTransfer(plan), /delta/);
  client.requests.length = 0;
  await pull(world);
  assert.ok(!client.requests.some((line) => line.includes(offer.digest)));
  await assertWhole(world, next);
});

test("tables of contents are asked for once a delta that decided it is no good", async () => {
  using world = openWorld();
  const { client } = world;
  const { next, deltaBytes } = await openUpdate(world);
  const ranges: string[] = [];
  client.fault = async (request, pass) => {
    const response = await pass(request);
    if (isDelta(response, deltaBytes)) return answer(404, "");
    if (request.headers?.["range"] !== undefined) ranges.push(request.headers["range"]);
    return response;
  };
  await pull(world);
  assert.ok(ranges.length > 1, "tables, then files");
  assert.ok(client.lines.some((line) => line.includes("1 of 3 files reused")));
  await assertWhole(world, next);
});

test("without the old image no delta is taken, and a store that keeps blobs does not ask", async () => {
  using world = openWorld();
  await openUpdate(world);
  const { client } = world;
  await publish(world, tree("0"), "v0");
  const other = world.open("other", false);
  await pullImage(client.context, other, refOf("v0"));
  await pullImage(client.context, other, refOf("v2"));
  assert.ok(!client.lines.some((line) => line.includes("made from")));
  const workstation = world.open("workstation", true);
  await pullImage(client.context, workstation, refOf("v1"));
  client.requests.length = 0;
  await pullImage(client.context, workstation, refOf("v2"));
  assert.ok(!client.requests.some((line) => line.includes("/referrers/")));
});

test("a delta in a registry says what it starts from, and the artifact has the new image as its subject", async () => {
  using world = openWorld();
  const { next, deltaBytes } = await openUpdate(world);
  const [offer, ...others] = await listDeltas(await world.session(), next.digest);
  assert.deepEqual([others, offer?.bytes], [[], deltaBytes]);
  const response = await world.registry.handler(
    new Request(`http://${REGISTRY}/v2/team/os/manifests/${offer?.digest}`),
  );
  const manifest: unknown = await response.json();
  assert.equal(Object(manifest).artifactType, DELTA_ARTIFACT);
  assert.equal(Object(manifest).subject.digest, next.digest);
});

test("previousImages() gives what the tag named, then the highest tags as versions, from all pages of the list", async () => {
  using world = openWorld();
  const images = new Map<string, StoredImage>();
  for (const tag of ["1.9", "1.10", "1.2", "latest"]) images.set(tag, await publish(world, tree(tag), tag));
  await pushImage(world.client.context, world.builder, images.get("1.10") ?? assert.fail(), refOf("stable"));
  world.client.fault = async (request, next) => {
    const url = new URL(request.url);
    if (url.pathname.endsWith("/tags/list")) url.searchParams.set("n", "2");
    return next({ ...request, url: url.href });
  };
  const found = await previousImages(await world.session(), "latest", 3);
  assert.deepEqual(
    found.map(({ tag, digest }) => [tag, digest]),
    [
      ["latest", images.get("latest")?.digest],
      ["stable", images.get("1.10")?.digest],
      ["1.9", images.get("1.9")?.digest],
    ],
  );
});
