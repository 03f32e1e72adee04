/** Pull and push over a real socket whose server breaks connections, and what a pull leaves and sweeps in the store. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { parseImageRef } from "../oci/reference.ts";
import { openTestRegistry } from "../registry/testing.ts";
import type { RemoteContext } from "./context.ts";
import { openPartialBlob, sweepPartialBlobs } from "./partial-blob.ts";
import { pullImage } from "./pull.ts";
import { pushImage } from "./push.ts";
import { createMemoryStore, makeImage } from "./testing.ts";

const host = createLinuxHost();
const big = randomBytes(4_000_000);

/** No waiting between attempts. */
const context: RemoteContext = {
  host: { ...host, env: {}, clock: { ...host.clock, sleep: async () => {} } },
  progress: silent,
  tlsVerify: false,
};

async function* broken(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  let left = bytes;
  for await (const chunk of body) {
    yield chunk.subarray(0, left);
    left -= chunk.length;
    if (left > 0) continue;
    // What was sent must leave this process first.
    await host.clock.sleep(100);
    throw new Error("the server dies");
  }
}

test("a connection that the server breaks is taken up again, both ways, with the bytes kept", async () => {
  using registry = openTestRegistry();
  registry.host.files.makeDirectory(`${registry.root}/store`);
  const seen: string[] = [];
  const server = await host.network.serve(
    async (request) => {
      const { pathname } = new URL(request.url);
      const isUpload =
        request.method === "PUT" &&
        pathname.includes("/uploads/") &&
        Number(request.headers.get("content-length")) > 1_000_000;
      const isBlob = request.method === "GET" && pathname.includes("/blobs/sha256");
      if (isUpload) seen.push(`PUT ${request.headers.get("content-range") ?? "all"}`);
      if (isUpload && seen.length === 1 && request.body !== null) {
        const { method, url, headers, signal } = request;
        await registry.handler({ method, url, headers, signal, body: broken(request.body, 1_500_000) });
        return new Response(null, { status: 503 });
      }
      const response = await registry.handler(request);
      if (!isBlob || response.body === null || Number(response.headers.get("content-length")) < 1_000_000)
        return response;
      seen.push(`GET ${request.headers.get("range") ?? "all"}`);
      if (seen.length > 3) return response;
      return new Response(ReadableStream.from(broken(response.body, 1_000_000)), {
        status: response.status,
        headers: response.headers,
      });
    },
    { host: "127.0.0.1", port: 0 },
  );
  try {
    const ref = parseImageRef(`127.0.0.1:${server.port}/team/os:v1`);
    const image = makeImage([big]);
    const size = image.layers[0]?.length ?? 0;
    const other = createMemoryStore(`${registry.root}/other`);
    await pushImage(context, other, other.add(image, "localhost/x:1"), ref);
    let received = 0;
    const pulled = await pullImage(context, createMemoryStore(`${registry.root}/store`), ref, {
      onReceived: (count) => void (received += count),
    });
    assert.equal(pulled.digest, image.digest);
    assert.equal(received, size, "no byte is fetched twice");
    assert.deepEqual(seen.slice(0, 3), ["PUT all", `PUT 1500000-${size - 1}`, "GET all"]);
    assert.match(seen[3] ?? "", /^GET bytes=\d+-$/);
  } finally {
    await server.close();
  }
});

test("a server that nobody runs is one clear error", async () => {
  const ref = parseImageRef("127.0.0.1:1/team/os:v1");
  await assert.rejects(
    pullImage(context, createMemoryStore("/nowhere"), ref),
    (error) => isFailure(error, "network") && /connection refused/.test(error.message),
  );
});

test("one process at a time has a partial blob; the next one waits and finds it gone", async () => {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-partial-test-`);
  const { digest } = makeImage([]);
  const first = await openPartialBlob(host, directory.path, digest);
  first.append(Buffer.from("abc"));
  let waits = 0;
  const clock = {
    ...host.clock,
    sleep: async () => {
      waits += 1;
      first.remove();
      first[Symbol.dispose]();
    },
  };
  using second = await openPartialBlob({ files: host.files, clock }, directory.path, digest);
  assert.deepEqual([waits, second.size], [1, 0]);
});

test("partial blobs that nobody came back for in a week are swept, newer ones stay", () => {
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-partial-test-`);
  host.files.makeDirectory(`${directory.path}/partial`);
  for (const [name, ageDays] of [
    ["old", 8],
    ["new", 6],
  ] as const) {
    host.files.write(`${directory.path}/partial/${name}`, "x");
    host.files.setTimes(`${directory.path}/partial/${name}`, Math.floor(host.clock.now() / 1000) - ageDays * 86_400, 0);
  }
  sweepPartialBlobs(host, directory.path);
  assert.deepEqual(host.files.list(`${directory.path}/partial`), ["new"]);
});
