/** Mirrors over real sockets: asked in order, passed over when they fail, and the pull goes on with the first that has the image. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import type { HttpHandler } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { parseImageRef } from "../oci/reference.ts";
import { openTestRegistry } from "../registry/testing.ts";
import type { RemoteContext } from "./context.ts";
import { pullImage } from "./pull.ts";
import { pushImage } from "./push.ts";
import { createMemoryStore, makeImage } from "./testing.ts";

const host = createLinuxHost();
const LOOPBACK = { host: "127.0.0.1", port: 0 } as const;

interface Place extends AsyncDisposable {
  readonly name: string;
  /** Manifests that it was asked for. */
  readonly asked: string[];
}

async function serving(answer: HttpHandler): Promise<Place> {
  const asked: string[] = [];
  const server = await host.network.serve(async (request, peer) => {
    const [, selector] = /\/manifests\/(.+)$/.exec(new URL(request.url).pathname) ?? [];
    if (selector !== undefined) asked.push(selector);
    return answer(request, peer);
  }, LOOPBACK);
  return { name: `127.0.0.1:${server.port}`, asked, [Symbol.asyncDispose]: () => server.close() };
}

/** Speaks the protocol, and has nothing but this status. */
const failing =
  (status: number): HttpHandler =>
  async ({ url }) =>
    new Response(null, { status: new URL(url).pathname === "/v2/" ? 200 : status });

test("a pull goes from mirror to mirror until one has the image; a push goes to the registry alone", async () => {
  using registry = openTestRegistry();
  const image = makeImage(["hello"]);
  await using source = await serving(registry.handler);
  await using missing = await serving(failing(404));
  await using broken = await serving(failing(500));
  await using busy = await serving(failing(503));
  await using full = await serving(registry.handler);
  const lacking = (status: number, lacks: RegExp) =>
    serving(async (request) => (lacks.test(request.url) ? new Response(null, { status }) : registry.handler(request)));
  await using empty = await lacking(404, /\/blobs\//);
  await using half = await lacking(503, new RegExp(`/blobs/${digestOf(image.layers[0] ?? "")}`));
  const { files } = registry.host;
  files.makeDirectory(`${registry.root}/containers`);
  const lines: string[] = [];
  const progress = {
    task: () => ({ advance() {}, total() {}, done() {} }),
    say() {},
    warn: (text: string) => void lines.push(text),
  };
  const clock = { ...host.clock, sleep: async () => undefined };
  const env = { XDG_CONFIG_HOME: registry.root };
  const context: RemoteContext = { host: { ...host, clock, env }, progress };
  const mirrors = (...names: readonly string[]): void => {
    const tables = names.map((name) => `[[registry.mirror]]\nlocation="${name}"\ninsecure=true\n`).join("");
    const text = `[[registry]]\nlocation="${source.name}"\ninsecure=true\n${tables}`;
    files.write(`${registry.root}/containers/registries.conf`, text);
  };
  const pull = async (name: string): Promise<string> =>
    (
      await pullImage(
        context,
        createMemoryStore(`${registry.root}/${name}`),
        parseImageRef(`${source.name}/team/os:v1`),
      )
    ).digest;

  mirrors(missing.name);
  const store = createMemoryStore(`${registry.root}/store`);
  await pushImage(context, store, store.add(image, "localhost/os:1"), parseImageRef(`${source.name}/team/os:v1`));
  assert.deepEqual([missing.asked, source.asked.splice(0)], [[], ["v1"]]);

  mirrors("127.0.0.1:1", missing.name, broken.name, busy.name, full.name);
  assert.equal(await pull("one"), image.digest);
  assert.deepEqual([missing.asked, broken.asked, full.asked, source.asked], [["v1"], ["v1"], ["v1"], []]);
  assert.deepEqual(busy.asked, ["v1", "v1"], "what may pass is tried once more");
  assert.deepEqual(
    lines.map((line) => /^Mirror (\S+)\/team\/os is passed over: /.exec(line)?.[1]),
    ["127.0.0.1:1", missing.name, broken.name, busy.name],
  );

  mirrors(missing.name, "127.0.0.1:1");
  assert.equal(await pull("two"), image.digest);
  assert.deepEqual(source.asked, ["v1"]);

  const [config, layer] = [digestOf(image.configBytes), digestOf(image.layers[0] ?? "")];
  mirrors(empty.name, half.name);
  lines.length = 0;
  assert.equal(await pull("blobs"), image.digest);
  assert.deepEqual(source.asked, ["v1"], "the manifest came from the mirror");
  assert.deepEqual(
    lines.map((line) =>
      /^Mirror (\S+)\/team\/os is passed over for blobs\/(\S+): it answered (\d+)/.exec(line)?.slice(1),
    ),
    [
      [empty.name, config, "404"],
      [empty.name, layer, "404"],
      [half.name, layer, "503"],
    ],
  );

  mirrors(full.name);
  await full[Symbol.asyncDispose]();
  assert.equal(await pull("three"), image.digest);
});
