/** Debian's skopeo unpacks a zstd:chunked layer as an ordinary zstd one, and finds the diff id that the config names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import { createLinuxHost } from "../host/linux.ts";
import { encodingOf } from "./layer-encoding.ts";
import { exportLayout } from "./oci-layout.ts";
import { openStore } from "./open.ts";
import { fixtureDocuments, fixtureTar, noise, ROOT } from "./testing.ts";

test("skopeo copies a zstd:chunked image into containers-storage, which verifies its diff ids", async () => {
  const host = createLinuxHost();
  using scratch = host.files.temporaryDirectory("/tmp/berth-chunked-");
  const at = (name: string): string => `${scratch.path}/${name}`;
  const tar = await fixtureTar({ ...ROOT, "usr/chunks": Buffer.alloc(9_000_000, noise(70_001, "chunks")) });
  {
    using store = openStore(host, at("store/composefs"), { keepBlobs: true, create: true, access: "shared" });
    const layer = await store.addLayer(streamOf(tar));
    assert.equal(encodingOf(layer.descriptor), "zstd:chunked");
    const image = store.saveImage(fixtureDocuments([{ ...layer, tar, blob: Buffer.alloc(0) }]));
    await exportLayout(host, store, image, { directory: at("out"), name: "1" });
  }
  const storage = `containers-storage:[vfs@${at("graph")}+${at("run")}]localhost/chunked:1`;
  const run = async (...argv: string[]): Promise<string> =>
    (await host.exec(["skopeo", ...argv], { timeoutMs: 120_000 })).stdout.toString();
  await run("--insecure-policy", "copy", "-q", `oci:${at("out")}:1`, storage);
  const config = JSON.parse(await run("inspect", "--config", storage)) as { rootfs: { diff_ids: string[] } };
  assert.deepEqual(config.rootfs.diff_ids, [digestOf(tar)]);
  const layers = host.files.list(at("graph/vfs/dir"));
  assert.deepEqual(
    layers.map((name) => host.files.stat(at(`graph/vfs/dir/${name}/usr/chunks`))?.size),
    [9_000_000],
  );
});
