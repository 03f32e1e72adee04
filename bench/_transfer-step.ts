/**
 * One step of bench/transfer.ts in a process of its own, so that its CPU time is its own:
 *
 *   push STORE TAR REF ENCODING   a tar becomes a layer of an image, which is pushed
 *   pull STORE REF                an image into a machine's store
 *   delta STORE OLD NEW REF WORD  a delta between two images of the store, by digest, which is pushed; WORD may be keep-xz
 *
 * Prints one line of JSON: CPU seconds (those of programs included), peak memory, bytes received, how the layers came, and the id of the image's tree.
 */
import { createReadStream, readFileSync } from "node:fs";
import { digestOf } from "../src/core/digest.ts";
import { silent } from "../src/core/progress.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { CONFIG, MANIFEST } from "../src/oci/media-types.ts";
import { parseImageRef } from "../src/oci/reference.ts";
import type { RemoteContext } from "../src/remote/context.ts";
import { pushDelta } from "../src/remote/delta-artifact.ts";
import { pullImage } from "../src/remote/pull.ts";
import { pushImage } from "../src/remote/push.ts";
import { pushEndpoint, readRegistriesConf } from "../src/remote/registries-conf.ts";
import { openSession } from "../src/remote/session.ts";
import { sumByKind, type TransferSum } from "../src/remote/transfer-plan.ts";
import { toEncoding } from "../src/store/layer-encoding.ts";
import { openStore } from "../src/store/open.ts";
import type { Store } from "../src/store/store.ts";

const host = createLinuxHost();
const context: RemoteContext = { host: { ...host, env: {} }, progress: silent, tlsVerify: false };
const [step = "", path = "", ...rest] = process.argv.slice(2);

async function main(): Promise<object> {
  using store = openStore(host, path, { keepBlobs: step !== "pull", create: true, access: "shared" });
  if (step === "delta") return delta(store, rest);
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
  return { layerBytes: descriptor.size, digest: image.digest };
}

async function delta(store: Store, [old = "", next = "", text = "", word = ""]: readonly string[]): Promise<object> {
  const [from, to] = [store.image(old), store.image(next)];
  if (from === undefined || to === undefined) throw new Error("an image is not in the store");
  const started = performance.now();
  const made = await store.createDelta(from, to, { keepXz: word === "keep-xz" });
  const wallSeconds = (performance.now() - started) / 1000;
  const ref = parseImageRef(text);
  const session = await openSession(context, pushEndpoint(readRegistriesConf(context.host), ref), {
    access: "pull,push",
  });
  await pushDelta(context, session, { delta: made, next: to });
  return { deltaBytes: made.bytes, wallSeconds };
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
  return { pullCpuSeconds: cpuSeconds(), plannedBytes, ways, treeId: store.imageId(image, "raw") };
}

/** Of this process and of the programs that it ran. */
function cpuSeconds(): number {
  const [, fields = ""] = readFileSync("/proc/self/stat", "utf8").split(") ");
  // utime, stime, cutime and cstime, in ticks of 10 ms.
  const ticks = fields.split(" ").slice(11, 15).map(Number);
  return ticks.reduce((sum, count) => sum + count, 0) / 100;
}

function peakMiB(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
}

main()
  .then((result) => {
    console.log(JSON.stringify({ cpuSeconds: cpuSeconds(), peakMiB: peakMiB(), ...result }));
  })
  .catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
