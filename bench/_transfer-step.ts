/**
 * One step of bench/transfer.ts in a process of its own, so that its CPU time is its own:
 *
 *   push STORE TAR REF ENCODING   a tar becomes a layer of an image, which is pushed
 *   pull STORE REF                an image into a machine's store
 *
 * Prints one line of JSON: CPU seconds, bytes received, how the layers came, and the id of the image's tree.
 */
import { createReadStream } from "node:fs";
import { digestOf } from "../src/core/digest.ts";
import { silent } from "../src/core/progress.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { CONFIG, MANIFEST } from "../src/oci/media-types.ts";
import { parseImageRef } from "../src/oci/reference.ts";
import type { RemoteContext } from "../src/remote/context.ts";
import { pullImage } from "../src/remote/pull.ts";
import { pushImage } from "../src/remote/push.ts";
import { sumByKind, type TransferSum } from "../src/remote/transfer-plan.ts";
import { toEncoding } from "../src/store/layer-encoding.ts";
import { openStore } from "../src/store/open.ts";
import type { Store } from "../src/store/store.ts";

const host = createLinuxHost();
const context: RemoteContext = { host: { ...host, env: {} }, progress: silent, tlsVerify: false };
const [step = "", path = "", ...rest] = process.argv.slice(2);

async function main(): Promise<object> {
  using store = openStore(host, path, { keepBlobs: step === "push", create: true, access: "shared" });
  return step === "push" ? push(store, rest) : pull(store, rest);
}

async function push(store: Store, [tar = "", ref = "", encoding = ""]: readonly string[]): Promise<object> {
  const { descriptor, diffId } = await store.addLayer(createReadStream(tar, { highWaterMark: 1 << 20 }), {
    encoding: toEncoding(encoding),
  });
  const rootfs = { type: "layers", diff_ids: [diffId] };
  const config = { architecture: host.architecture, os: "linux", config: {}, rootfs, history: [] };
  const configBytes = Buffer.from(JSON.stringify(config));
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, digest: digestOf(configBytes), size: configBytes.length },
    layers: [descriptor],
  };
  const image = store.saveImage({ manifestBytes: Buffer.from(JSON.stringify(manifest)), configBytes });
  await pushImage(context, store, image, parseImageRef(ref));
  return { layerBytes: descriptor.size };
}

async function pull(store: Store, [ref = ""]: readonly string[]): Promise<object> {
  let plannedBytes = 0;
  let ways: readonly TransferSum[] = [];
  const image = await pullImage(context, store, parseImageRef(ref), {
    onPlan: (plan) => {
      plannedBytes = plan.bytes;
      ways = sumByKind(plan);
    },
  });
  const { user, system } = process.cpuUsage();
  return { pullCpuSeconds: (user + system) / 1e6, plannedBytes, ways, treeId: store.imageId(image, "raw") };
}

main()
  .then((result) => {
    const { user, system } = process.cpuUsage();
    console.log(JSON.stringify({ cpuSeconds: (user + system) / 1e6, ...result }));
  })
  .catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
