/** Updates by ranges of zstd:chunked layers, against the real registry handler and a real store, with faults on the way. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { startCountingProxy } from "../../test/support/counting-proxy.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { type ImageRef, parseImageRef } from "../oci/reference.ts";
import { openTestRegistry, type TestRegistry } from "../registry/testing.ts";
import { openStore } from "../store/open.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { type FixtureEntries, fixtureDocuments, fixtureTar, noise } from "../store/testing.ts";
import { fetchConfig, pullImage } from "./pull.ts";
import { bytesOf, GAP_BYTES_MAX, planRanges, RANGE_BYTES_MAX } from "./plan-ranges.ts";
import { pushImage } from "./push.ts";
import { resolveImage } from "./resolve.ts";
import { createTestClient, cutAfter, type Fault, REGISTRY, type TestClient } from "./testing.ts";
import { planTransfer, sumByKind, type TransferPlan } from "./transfer-plan.ts";

/** Without worker threads: each would load its code anew, for few bytes. */
const host = { ...createLinuxHost(), threads: false };
const refOf = (tag: string): ImageRef => parseImageRef(`${REGISTRY}/team/os:${tag}`);

/** Forty files, of which an update changes some; incompressible, so that bytes can be counted. */
function tree(changed: readonly number[] = []): FixtureEntries {
  const files = Array.from({ length: 40 }, (_, i) => {
    const size = i % 10 === 9 ? 40 : 60_000 + i * 1000;
    return [`file${String(i).padStart(2, "0")}`, noise(size, `${i}${changed.includes(i) ? " newer" : ""}`)] as const;
  });
  return { "": null, ...Object.fromEntries(files) };
}

const CHANGED_BYTES = 63_000 + 64_000 + 40 + 80_000;
const LARGE_BYTES = 6_000_000;
const TREES = {
  v1: tree(),
  v2: tree([3, 4, 9, 20]),
  "large-v1": { ...tree(), large: noise(LARGE_BYTES, "large") },
  "large-v2": { ...tree(), large: noise(LARGE_BYTES, "newer") },
};
type Tag = keyof typeof TREES;

/** All that is in TREES, by tag; no test changes it. */
interface Published extends Disposable {
  readonly registry: TestRegistry;
  readonly images: ReadonlyMap<string, StoredImage>;
}

async function publishAll(): Promise<Published> {
  const registry = openTestRegistry();
  const client = createTestClient({ [REGISTRY]: registry.handler });
  using builder = openScratchStore(`${registry.root}/builder`, { keepBlobs: true });
  const images = new Map<string, StoredImage>();
  for (const [tag, entries] of Object.entries(TREES)) {
    const tar = await fixtureTar(entries);
    const layer = await builder.addLayer(streamOf(tar));
    const image = builder.saveImage(fixtureDocuments([{ ...layer, tar, blob: Buffer.alloc(0) }]));
    await pushImage(client.context, builder, image, refOf(tag));
    images.set(tag, image);
  }
  return { registry, images, [Symbol.dispose]: () => registry[Symbol.dispose]() };
}

function openScratchStore(path: string, options: { keepBlobs: boolean }): Store {
  return openStore(host, `${path}/composefs`, { ...options, create: true, access: "shared" });
}

let published: Published;
before(async () => {
  published = await publishAll();
});
after(() => published[Symbol.dispose]());

interface World extends Disposable {
  readonly registry: TestRegistry;
  readonly client: TestClient;
  readonly directory: string;
  /** A machine's: no blobs are kept. */
  readonly store: Store;
  /** What an update goes to. */
  readonly ref: ImageRef;
  readonly next: StoredImage;
}

/** A machine that is empty, to be updated to `tag`. */
function openWorld(tag: Tag): World {
  const { registry, images } = published;
  const next = images.get(tag);
  assert.ok(next !== undefined);
  const resources = new DisposableStack();
  const { path: directory } = resources.use(host.files.temporaryDirectory(`${SCRATCH}/berth-ranges-`));
  return {
    registry,
    client: createTestClient({ [REGISTRY]: registry.handler }),
    directory,
    store: resources.use(openScratchStore(`${directory}/machine`, { keepBlobs: false })),
    ref: refOf(tag),
    next,
    [Symbol.dispose]: () => resources.dispose(),
  };
}

/** A machine that runs v1. */
async function openUpdate(family: "" | "large-" = ""): Promise<World> {
  const world = openWorld(`${family}v2`);
  await pullImage(world.client.context, world.store, refOf(`${family}v1`));
  world.client.requests.length = 0;
  world.client.lines.length = 0;
  return world;
}

async function plan({ client, store, ref }: World): Promise<TransferPlan> {
  const resolved = await resolveImage(client.context, ref);
  const { config } = await fetchConfig(resolved);
  return planTransfer({ context: client.context, store, resolved, config });
}

async function pull(world: World): Promise<number> {
  let received = 0;
  await pullImage(world.client.context, world.store, world.ref, { onReceived: (count) => void (received += count) });
  return received;
}

/** The store has what it would have after a pull of the whole blob. */
async function assertWhole({ store, next }: World): Promise<void> {
  const mine = store.image(next.digest);
  assert.ok(mine !== undefined);
  assert.equal(store.imageId(mine, "raw"), await wholeId(next));
  assert.deepEqual(store.fsck({ repair: false }), []);
}

const wholeIds = new Map<StoredImage, string>();

/** Of the tree, as a pull of whole blobs makes it. */
async function wholeId(image: StoredImage): Promise<string> {
  const known = wholeIds.get(image);
  if (known !== undefined) return known;
  const [tag] = [...published.images].find(([, other]) => other === image) ?? [""];
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-ranges-`);
  using fresh = openScratchStore(directory.path, { keepBlobs: false });
  const { context } = createTestClient({ [REGISTRY]: published.registry.handler });
  const id = fresh.imageId(await pullImage(context, fresh, refOf(tag)), "raw");
  wholeIds.set(image, id);
  return id;
}

const size = (image: StoredImage): number => image.manifest.layers[0]?.size ?? 0;

test("an update fetches the changed files of a layer and nothing else", async () => {
  using world = await openUpdate();
  const planned = await plan(world);
  assert.deepEqual(
    sumByKind(planned).map(({ kind, layers, wholeBytes }) => ({ kind, layers, wholeBytes })),
    [{ kind: "ranges", layers: 1, wholeBytes: size(world.next) }],
  );
  const received = await pull(world);
  const tables = received - CHANGED_BYTES;
  assert.ok(tables > 0 && tables < 15_000, `tables and frames are ${tables} bytes`);
  assert.match(world.client.lines.join("\n"), /fetched, 36 of 40 files reused/);
  await assertWhole(world);
  assert.deepEqual(host.files.listIfAny(`${world.store.path}/partial`), []);
});

test("nothing is fetched by ranges into an empty store, or one that keeps blobs", async () => {
  using world = openWorld("v2");
  const kinds = async (store: Store): Promise<string[]> =>
    sumByKind(await plan({ ...world, store })).map(({ kind, bytes }) => `${kind} ${bytes >= size(world.next)}`);
  assert.deepEqual(await kinds(world.store), ["blob true"]);
  using keeps = openScratchStore(`${world.directory}/keeps`, { keepBlobs: true });
  await pullImage(world.client.context, keeps, refOf("v1"));
  assert.ok(keeps.image(published.images.get("v1")?.digest ?? "") !== undefined);
  assert.deepEqual(await kinds(keeps), ["blob true"]);
});

const FAULTS: readonly (readonly [what: string, fault: Fault])[] = [
  [
    "ignores ranges",
    (request, next) => {
      const { range: _, ...headers } = request.headers ?? {};
      return next({ ...request, headers });
    },
  ],
  [
    "answers another range",
    async (request, next) => {
      const range = request.headers?.["range"];
      if (range === undefined) return next(request);
      return next({
        ...request,
        headers: {
          ...request.headers,
          range: range.replace(/=(\d+)-/, (_, start: string) => `=${Number(start) + 1}-`),
        },
      });
    },
  ],
  [
    "refuses ranges",
    async (request, next) => {
      const response = await next(request);
      return request.headers?.["range"] === undefined ? response : { ...response, status: 416 };
    },
  ],
  [
    "ignores ranges after the first",
    (() => {
      let count = 0;
      return (request, next) => {
        if (request.headers?.["range"] !== undefined) count += 1;
        const { range: _, ...headers } = request.headers ?? {};
        return next(count > 1 ? { ...request, headers } : request);
      };
    })(),
  ],
  [
    "sends wrong bytes",
    async (request, next) => {
      const response = await next(request);
      if (request.headers?.["range"] === undefined) return response;
      return { ...response, body: flipped(response.body) };
    },
  ],
];
for (const [what, fault] of FAULTS) {
  test(`a registry that ${what} costs bytes, not correctness`, async () => {
    using world = await openUpdate();
    world.client.fault = fault;
    await pull(world);
    world.client.fault = undefined;
    await assertWhole(world);
    assert.deepEqual(host.files.listIfAny(`${world.store.path}/partial`), []);
  });
}

async function* flipped(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body) yield Buffer.from(chunk).map((byte) => byte ^ 1);
}

test("a whole blob that begins to arrive where a range was asked for is taken, and not asked for again", async () => {
  using world = await openUpdate();
  const { client } = world;
  const layer = world.next.manifest.layers[0]?.digest;
  let [ranges, wholes, discarded] = [0, 0, 0];
  client.fault = async (request, next) => {
    if (!request.url.endsWith(`/blobs/${layer}`)) return next(request);
    if (request.headers?.["range"] !== undefined) ranges += 1;
    if (ranges === 1) return next(request);
    wholes += 1;
    const { range: _, ...headers } = request.headers ?? {};
    return { ...(await next({ ...request, headers })), discard: () => void (discarded += 1) };
  };
  await pull(world);
  assert.ok(ranges > 2, "several ranges were asked for at once");
  assert.equal(wholes - discarded, 1, "of their answers one was read");
  assert.equal(wholes, ranges - 1, "and nothing was asked for without a range");
  client.fault = undefined;
  await assertWhole(world);
});

test("an index of contents that lies is found out, and the whole blob comes", async () => {
  using world = await openUpdate();
  const directory = `${world.store.path}/contents`;
  const [name = ""] = host.files.list(directory);
  const hashes = host.files.read(`${directory}/${name}`);
  // Every content under its neighbour's hash.
  host.files.write(`${directory}/${name}`, Buffer.concat([hashes.subarray(32), hashes.subarray(0, 32)]));
  await pull(world);
  await assertWhole(world);
});

test("a range is asked for again when the registry says", async () => {
  using world = await openUpdate();
  let refused = 0;
  world.client.fault = async (request, next) => {
    if (request.headers?.["range"] === undefined || refused > 0) return next(request);
    refused += 1;
    return { status: 429, headers: { "retry-after": "20" }, body: streamOf(), discard() {} };
  };
  await pull(world);
  assert.deepEqual(world.client.slept, [20_000]);
  assert.match(world.client.lines.join("\n"), /fetched, 36 of 40 files reused/);
});

test("a connection that breaks inside a range is taken up again there", async () => {
  using world = await openUpdate("large-");
  let cuts = 0;
  world.client.fault = async (request, next) => {
    const response = await next(request);
    if (request.headers?.["range"] === undefined || cuts >= 2) return response;
    cuts += 1;
    return cutAfter(response, 1000);
  };
  const received = await pull(world);
  assert.equal(cuts, 2);
  assert.ok(received > LARGE_BYTES && received < LARGE_BYTES + 20_000, "no byte is fetched twice");
  await assertWhole(world);
});

test("an update that was broken off goes on where it was", async () => {
  using world = await openUpdate("large-");
  let served = 0;
  world.client.fault = async (request, next) => {
    const range = request.headers?.["range"];
    if (range !== undefined && (served += 1) > 2) throw new Failure("network", "Cannot reach: the line is cut");
    return next(request);
  };
  await assert.rejects(pull(world), (error) => isFailure(error, "network"));
  world.client.fault = undefined;
  const rest = await pull(world);
  assert.ok(rest < LARGE_BYTES - RANGE_BYTES_MAX + 20_000, `${rest} bytes in the second run`);
  await assertWhole(world);
});

const span = (start: number, end: number): { start: number; end: number } => ({ start, end });
const PLANS: readonly (readonly [
  what: string,
  wanted: { start: number; end: number }[],
  ranges: { start: number; end: number }[],
])[] = [
  ["nothing", [], []],
  ["neighbours are one range", [span(0, 10), span(10, 20)], [span(0, 20)]],
  ["a small gap comes along", [span(0, 10), span(10 + GAP_BYTES_MAX, 9000)], [span(0, 9000)]],
  [
    "a large gap does not",
    [span(0, 10), span(11 + GAP_BYTES_MAX, 9000)],
    [span(0, 10), span(11 + GAP_BYTES_MAX, 9000)],
  ],
  [
    "a long range comes in parts",
    [span(5, 5 + RANGE_BYTES_MAX + 1)],
    [span(5, 5 + RANGE_BYTES_MAX), span(5 + RANGE_BYTES_MAX, 6 + RANGE_BYTES_MAX)],
  ],
];
for (const [what, wanted, ranges] of PLANS) {
  test(`planRanges(): ${what}`, () => {
    assert.deepEqual(planRanges(wanted), ranges);
    assert.ok(bytesOf(ranges) >= bytesOf(wanted));
  });
}

test("the plan is right within 2 % of what moves on the socket", async () => {
  using world = await openUpdate();
  await using server = await host.network.serve((request) => world.registry.handler(request), {
    host: "127.0.0.1",
    port: 0,
  });
  using proxy = await startCountingProxy(server.port);
  const context = { host: { ...host, env: {} }, progress: silent, tlsVerify: false };
  const ref = parseImageRef(`127.0.0.1:${proxy.port}/team/os:v2`);
  const resolved = await resolveImage(context, ref);
  const { config } = await fetchConfig(resolved);
  const before = proxy.bytes();
  const planned = await planTransfer({ context, store: world.store, resolved, config });
  await pullImage(context, world.store, ref, { resolved, plan: planned });
  const moved = proxy.bytes() - before - resolved.manifest.config.size;
  const error = Math.abs(planned.bytes / moved - 1);
  assert.ok(error < 0.02, `planned ${planned.bytes}, moved ${moved}: ${(error * 100).toFixed(2)} %`);
});
