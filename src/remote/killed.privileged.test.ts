/** `berth push` and `berth pull` as programs, killed in the middle of a layer: the next run moves only the rest. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { startCountingProxy } from "../../test/support/counting-proxy.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { programArgv } from "../host/program.ts";
import { initRegistry } from "../registry/init.ts";
import { startRegistry } from "../registry/serve.ts";
import { openStore } from "../store/open.ts";
import { addFixtureImage, fixtureLayer, fixtureTar } from "../store/testing.ts";

const host = createLinuxHost();
const SIZE = 12_000_000;
const HELD_AT = 8_000_000;
/** More than all that is said besides the layer, and less than the kernel holds of it. */
const TALK = 200_000;

test("a push and a pull that were killed go on where they were", async () => {
  using directory = host.files.temporaryDirectory("/dev/shm/berth-killed-");
  const at = (name: string): string => `${directory.path}/${name}`;
  await initRegistry(host, at("registry"), { user: "anna", password: "secret", hostnames: [], tls: false });
  const listen = { host: "127.0.0.1", port: 0 };
  await using registry = await startRegistry(host, at("registry"), { listen, progress: silent });
  using proxy = await startCountingProxy(Number(new URL(registry.url).port));
  const address = `127.0.0.1:${proxy.port}`;
  const auth = Buffer.from("anna:secret").toString("base64");
  host.files.write(at("auth.json"), JSON.stringify({ auths: { [address]: { auth } } }));
  const name = `${address}/team/os:v1`;

  const start = (store: string, ...words: string[]): ReturnType<typeof host.spawn> => {
    const env = { PATH: host.env["PATH"] ?? "", HOME: at("home"), BERTH_STORE: at(store) };
    const access = ["--quiet", "--tls-verify=false", `--authfile=${at("auth.json")}`];
    return host.spawn([...programArgv(), ...words, ...access, name], { env, stderr: { file: at("errors") } });
  };
  /** When what the proxy passed has arrived as a file of `folder`. */
  const runKilled = async (folder: string, store: string, ...words: string[]): Promise<void> => {
    const held = proxy.hold(HELD_AT);
    const child = start(store, ...words);
    await held;
    while (largestIn(folder) < HELD_AT - TALK) await host.clock.sleep(20);
    child.kill("SIGKILL");
    assert.equal((await child.ended).signal, "SIGKILL");
    proxy.cut();
  };
  /** The bytes that it moved. */
  const run = async (store: string, ...words: string[]): Promise<number> => {
    const before = proxy.bytes();
    assert.deepEqual(
      await start(store, ...words).ended,
      { exitCode: 0, signal: undefined },
      host.files.readText(at("errors")),
    );
    return proxy.bytes() - before;
  };

  const layer = fixtureLayer(await fixtureTar({ file: randomBytes(SIZE) }), "none");
  let digest: string;
  {
    using store = openStore(host, at("own/composefs"), { keepBlobs: true, create: true, access: "shared" });
    digest = (await addFixtureImage(store, [layer], name)).digest;
  }
  for (const [store, word, folder] of [
    ["own", "push", at("registry/data/uploads")],
    ["other", "pull", at("other/composefs/partial")],
  ] as const) {
    await runKilled(folder, store, word);
    const moved = await run(store, word);
    assert.ok(moved < SIZE - HELD_AT + 2 * TALK, `${word} moved ${moved} bytes more of ${SIZE}`);
  }
  using store = openStore(host, at("other/composefs"), { keepBlobs: true, create: false, access: "shared" });
  assert.equal(store.image(name)?.digest, digest);
  assert.equal(store.hasLayer(layer.diffId), true);
  assert.ok((await run("other", "pull")) < TALK);
});

/** Of the store's partial blobs (`<name>`) or the registry's uploads (`<id>/data`). */
function largestIn(folder: string): number {
  const paths = host.files.listIfAny(folder).flatMap((name) => [`${folder}/${name}`, `${folder}/${name}/data`]);
  return Math.max(0, ...paths.map((path) => host.files.stat(path)?.size ?? 0));
}
