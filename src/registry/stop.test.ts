/** How a serving registry stops: the drain, then the grace of running requests. The test says when a wait is over. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure, isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { type RunningRegistry, startRegistry } from "./serve.ts";

const host = createLinuxHost();
const DRAIN_MS = 5000;
const GRACE_MS = 7000;

interface World extends Disposable {
  readonly registry: RunningRegistry;
  /** Resolves when the registry waits so long; what it gives ends the wait. */
  waiting(durationMs: number): Promise<() => void>;
  /** Of the registry now. */
  statusOf(path: string): Promise<number>;
  /** Starts an upload, and answers when the registry has begun to take it. */
  upload(): Promise<{ readonly end: () => void; readonly status: Promise<number> }>;
}

async function open(shutdown: string): Promise<World> {
  const directory = host.files.temporaryDirectory("/tmp/berth-stop-test-");
  const storage = '[storage]\ndriver = "files"\ndirectory = "data"';
  host.files.write(`${directory.path}/registry.toml`, `listen = "127.0.0.1:0"\n${storage}\n[shutdown]\n${shutdown}\n`);
  const waits = new Map<number, PromiseWithResolvers<() => void>>();
  const waiting = (durationMs: number): PromiseWithResolvers<() => void> => {
    const known = waits.get(durationMs) ?? Promise.withResolvers<() => void>();
    waits.set(durationMs, known);
    return known;
  };
  const sleep = (durationMs: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(new Failure("aborted", "the wait is off")));
      waiting(durationMs).resolve(resolve);
    });
  const patient = { ...host, clock: { ...host.clock, sleep } };
  const registry = await startRegistry(patient, directory.path, { progress: silent });
  const call = async (
    method: string,
    path: string,
    body?: AsyncIterable<Uint8Array>,
  ): ReturnType<typeof host.network.request> =>
    host.network.request({ method, url: `${registry.url}${path}`, ...(body !== undefined && { body }) });
  return {
    registry,
    waiting: (durationMs) => waiting(durationMs).promise,
    async statusOf(path) {
      const response = await call("GET", path);
      response.discard();
      return response.status;
    },
    async upload() {
      const session = (await call("POST", "/v2/a/blobs/uploads/")).headers["location"] ?? "";
      const { promise, resolve: end } = Promise.withResolvers<void>();
      const body = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
        yield Buffer.from("begun");
        await promise;
      };
      const status = call("PATCH", session, body()).then((response) => response.status);
      status.catch(() => undefined);
      while ((await call("GET", session)).headers["range"] !== "0-4") await host.clock.sleep(5);
      return { end, status };
    },
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

test("while it drains, /readyz says no and requests are answered; then nobody listens", async () => {
  using world = await open('drain = "5s"');
  assert.equal(await world.statusOf("/readyz"), 200);
  const stopped = world.registry.close();
  const endDrain = await world.waiting(DRAIN_MS);
  assert.deepEqual([await world.statusOf("/readyz"), await world.statusOf("/v2/")], [503, 200]);
  endDrain();
  await stopped;
  await assert.rejects(world.statusOf("/v2/"), (error) => isFailure(error, "network"));
});

test("a running request ends, and the stop does not wait for the rest of the grace", async () => {
  using world = await open('grace = "7s"');
  const { end, status } = await world.upload();
  const stopped = world.registry.close();
  await world.waiting(GRACE_MS);
  await assert.rejects(world.statusOf("/v2/"), (error) => isFailure(error, "network"));
  end();
  assert.equal(await status, 202);
  await stopped;
});

test("a request that does not end within the grace is cut", async () => {
  using world = await open('grace = "7s"');
  const { status } = await world.upload();
  const stopped = world.registry.close();
  (await world.waiting(GRACE_MS))();
  await stopped;
  await assert.rejects(status, (error) => isFailure(error, "network"));
});
