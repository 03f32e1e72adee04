/**
 * What an update of a Debian 12 server moves (see _update-trees.ts), and what it costs to push in each encoding: berth's registry, berth's
 * client, bytes counted on the socket. The peer in the same run is skopeo compressing the same tar; SKOPEO names another one, e.g.
 * `chroot /some/root skopeo` (its files must be reachable under the same paths). With TRANSFER=kernels instead: deltas of Debian 13's
 * kernel, its modules compared packed and expanded.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { readLayers } from "../src/build/base/layer-files.ts";
import { digestOf } from "../src/core/digest.ts";
import { writeTar } from "../src/format/tar/write.ts";
import { createLinuxHost } from "../src/host/linux.ts";
import { CONFIG, LAYER, MANIFEST } from "../src/oci/media-types.ts";
import { openTestRegistry } from "../src/registry/testing.ts";
import { startCountingProxy } from "../test/support/counting-proxy.ts";
import { type TreeName, updateTree } from "./_update-trees.ts";

const SKOPEO = (process.env["SKOPEO"] ?? "skopeo").split(" ");
const ENCODINGS = ["gzip", "zstd", "zstd:chunked"] as const;
const EPOCH_SEC = 1_700_000_000;
const host = createLinuxHost();
const scratch = mkdtempSync("/var/tmp/berth-transfer-");
const at = (...names: readonly string[]): string => path.join(scratch, ...names);

interface Tar {
  readonly name: TreeName;
  readonly path: string;
  readonly diffId: string;
}

await using resources = new AsyncDisposableStack();
resources.defer(() => rmSync(scratch, { recursive: true }));
const registry = resources.use(openTestRegistry());
const server = resources.use(await host.network.serve(registry.handler, { host: "127.0.0.1", port: 0 }));
const proxy = resources.use(await startCountingProxy(server.port));

if (process.env["TRANSFER"] === "kernels") {
  const tars = [await makeTar("KERNEL-OLD"), await makeTar("KERNEL-NEW")] as const;
  for (const word of ["keep-xz", "expand-xz"]) await compareDeltas(tars, word);
} else {
  const tars = [await makeTar("OLD"), await makeTar("NEW"), await makeTar("FIX")] as const;
  await comparePushes(tars[0]);
  await compareUpdates(tars);
  await compareDeltas(tars);
}

/** One layer, in canonical order. */
async function makeTar(name: TreeName): Promise<Tar> {
  const layers = readLayers(host.files, updateTree(name), EPOCH_SEC);
  const file = at(`${name}.tar`);
  using out = host.files.open(file, "create");
  for await (const chunk of writeTar([...layers.packages, ...layers.kernel])) out.write(chunk);
  const { stdout } = await run(["sha256sum", file]);
  const diffId = `sha256:${stdout.slice(0, 64)}`;
  console.log(`${name}: tar of ${megabytes(statSync(file).size)}`);
  return { name, path: file, diffId };
}

/** CPU of making and pushing one layer, in each encoding, and the peer's. */
async function comparePushes(tar: Tar): Promise<void> {
  const seconds = new Map<string, number>();
  for (const encoding of ENCODINGS) {
    const result = await step("push", at("push", encoding, "composefs"), tar.path, reference("push", "1"), encoding);
    seconds.set(encoding, Number(result["cpuSeconds"]));
    console.log(
      `push ${encoding}: ${seconds.get(encoding)?.toFixed(1)} s CPU, ${megabytes(Number(result["layerBytes"]))}`,
    );
  }
  console.log(
    `push zstd:chunked / gzip: ${((seconds.get("zstd:chunked") ?? 0) / (seconds.get("gzip") ?? 1)).toFixed(2)}`,
  );
  const folder = writeImage(tar);
  const peer = new Map<string, number>();
  // By another address: at the same one skopeo takes the blob that it has pushed already.
  for (const [encoding, port] of [
    ["gzip", server.port],
    ["zstd:chunked", proxy.port],
  ] as const) {
    const flags = ["-q", "--dest-tls-verify=false", "--dest-compress-format", encoding];
    const argv = [...SKOPEO, "--insecure-policy", "copy", ...flags, `oci:${folder}:1`];
    const { ok, cpuSeconds, stderr } = await timed([...argv, `docker://127.0.0.1:${port}/peer/${port}:1`]);
    if (ok) peer.set(encoding, cpuSeconds);
    console.log(
      ok ? `skopeo ${encoding}: ${cpuSeconds.toFixed(1)} s CPU` : `skopeo ${encoding}: ${stderr.slice(-200)}`,
    );
  }
  const [gzip, chunked] = [peer.get("gzip"), peer.get("zstd:chunked")];
  if (gzip !== undefined && chunked !== undefined)
    console.log(`skopeo zstd:chunked / gzip: ${(chunked / gzip).toFixed(2)}`);
}

async function compareUpdates([old, ...next]: readonly [Tar, ...Tar[]]): Promise<void> {
  for (const [encoding, repository] of [
    ["zstd:chunked", "os"],
    ["gzip", "os-gzip"],
  ] as const) {
    for (const tar of [old, ...next])
      await step(
        "push",
        at(`builder-${repository}`, "composefs"),
        tar.path,
        reference(repository, tar.name.toLowerCase()),
        encoding,
      );
    for (const tar of next) {
      const machine = at(`${repository}-${tar.name}`, "composefs");
      await pull(machine, repository, old.name, "first install");
      const updated = await pull(machine, repository, tar.name, `OLD to ${tar.name}`);
      const whole = await pull(
        at(`${repository}-${tar.name}-whole`, "composefs"),
        repository,
        tar.name,
        `${tar.name} into an empty store`,
      );
      if (updated !== whole) throw new Error("the updated tree is not the tree of a whole pull");
    }
  }
}

/** A delta for each update: what it costs to make, and what it moves and costs to apply beside the whole gzip layer. */
async function compareDeltas([old, ...next]: readonly [Tar, ...Tar[]], word = ""): Promise<void> {
  const repository = `os-delta${word && `-${word}`}`;
  const store = at(`builder-${repository}`, "composefs");
  const digests = new Map<TreeName, string>();
  for (const tar of [old, ...next]) {
    const pushed = await step("push", store, tar.path, reference(repository, tar.name.toLowerCase()), "gzip");
    digests.set(tar.name, String(pushed["digest"]));
  }
  for (const { name } of next) {
    const whole = await pull(
      at(`${repository}-${name}-whole`, "composefs"),
      repository,
      name,
      `${name} into an empty store`,
    );
    const machine = at(`${repository}-${name}`, "composefs");
    await pull(machine, repository, old.name, "first install");
    const images = [digests.get(old.name) ?? "", digests.get(name) ?? ""];
    const made = await step("delta", store, ...images, reference(repository, name.toLowerCase()), word);
    const [bytes, wall, cpu, peak] = ["deltaBytes", "wallSeconds", "cpuSeconds", "peakMiB"].map((key) =>
      Number(made[key]),
    );
    console.log(
      `delta ${word} ${old.name} to ${name}: ${megabytes(bytes ?? 0)}, ${wall?.toFixed(1)} s (${cpu?.toFixed(1)} s CPU), ${peak?.toFixed(0)} MiB at the peak`,
    );
    const updated = await pull(machine, repository, name, `${old.name} to ${name} by delta`);
    if (updated !== whole) throw new Error("the updated tree is not the tree of a whole pull");
  }
}

/** Returns the id of the tree. */
async function pull(store: string, repository: string, name: TreeName, what: string): Promise<string> {
  const before = proxy.bytes();
  const result = await step("pull", store, `127.0.0.1:${proxy.port}/${repository}:${name.toLowerCase()}`);
  const moved = proxy.bytes() - before;
  const ways = (result["ways"] as { kind: string }[]).map(({ kind }) => kind).join(", ");
  const error = 100 * Math.abs(Number(result["plannedBytes"]) / moved - 1);
  console.log(
    `${repository} ${what}: moved ${megabytes(moved)} (${ways}; planned within ${error.toFixed(2)} %), ${Number(result["pullCpuSeconds"]).toFixed(1)} s CPU`,
  );
  return String(result["treeId"]);
}

function reference(repository: string, tag: string): string {
  return `127.0.0.1:${server.port}/${repository}:${tag}`;
}

async function step(...words: readonly string[]): Promise<Record<string, unknown>> {
  const [kind = "", store = ""] = words;
  mkdirSync(path.dirname(store), { recursive: true });
  const file = path.join(import.meta.dirname, "_transfer-step.ts");
  const { status, stdout, stderr } = await run([
    process.execPath,
    "--disable-warning=ExperimentalWarning",
    file,
    ...words,
  ]);
  if (status !== 0) throw new Error(`${kind}: ${stderr}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** The tar as an uncompressed OCI layout, for the peer. */
function writeImage(tar: Tar): string {
  const folder = at("oci");
  mkdirSync(path.join(folder, "blobs/sha256"), { recursive: true });
  const put = (bytes: string, mediaType: string): object => {
    const digest = digestOf(bytes);
    writeFileSync(path.join(folder, "blobs/sha256", digest.slice(7)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  host.files.link(tar.path, path.join(folder, "blobs/sha256", tar.diffId.slice(7)));
  const rootfs = { type: "layers", diff_ids: [tar.diffId] };
  const config = put(
    JSON.stringify({ architecture: host.architecture, os: "linux", config: {}, rootfs, history: [] }),
    CONFIG,
  );
  const layers = [{ mediaType: LAYER, digest: tar.diffId, size: statSync(tar.path).size }];
  const manifest = { schemaVersion: 2, mediaType: MANIFEST, config, layers };
  const annotations = { "org.opencontainers.image.ref.name": "1" };
  const index = { schemaVersion: 2, manifests: [{ ...put(JSON.stringify(manifest), MANIFEST), annotations }] };
  writeFileSync(path.join(folder, "index.json"), JSON.stringify(index));
  writeFileSync(path.join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  return folder;
}

/** bash counts what its children used. */
async function timed(argv: readonly string[]): Promise<{ ok: boolean; cpuSeconds: number; stderr: string }> {
  const { status, stderr } = await run(["bash", "-c", 'TIMEFORMAT="%U %S"; time "$@"', "time", ...argv]);
  const [user = 0, system = 0] = (stderr.trim().split("\n").at(-1) ?? "").split(" ").map(Number);
  return { ok: status === 0, cpuSeconds: user + system, stderr: stderr.trim().split("\n").slice(0, -1).join("\n") };
}

/** Not spawnSync: the registry runs in this process. */
function run(argv: readonly string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const [file = "", ...rest] = argv;
  const child = spawn(file, rest, { stdio: ["ignore", "pipe", "pipe"] });
  const out = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => void (out.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => void (out.stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, ...out }));
  });
}

function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
