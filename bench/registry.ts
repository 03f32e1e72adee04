/**
 * Measures berth's registry beside Debian's docker-registry, both as processes in the same run and in turns: push and pull of an image of
 * 545 MB in ten layers, raw uploads, rates of small requests, a thousand clients at once, peak memory. Login is on for both, with the same
 * bcrypt cost. Both sync each blob to disk before they acknowledge it: docker-registry 2.8 syncs its upload files and has no switch for it;
 * berth syncs directories as well.
 *
 * ROUNDS (5), TLS (off; `on` for both), SCRATCH (a directory; a tmpfs takes the disk out of the figures). Ratios are medians of the rounds'
 * ratios. CPU is that of the server's process, of the client's for pull.
 */
import { createHash, randomBytes } from "node:crypto";
import * as http from "node:http";
import * as https from "node:https";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { median, run } from "./_run.ts";
import { CREDENTIALS, type Name, NAMES, type Server, startServer } from "./_registry-servers.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const TLS = process.env["TLS"] === "on";
const LAYERS = 10;
const LAYER_BYTES = 54_500_000;
const CLIENTS = 1000;
const AUTHORIZATION = `Basic ${btoa(`${CREDENTIALS.user}:${CREDENTIALS.password}`)}`;
const SKOPEO = ["skopeo", "copy", "-q"];
const BERTH = [
  process.execPath,
  "--disable-warning=ExperimentalWarning",
  join(import.meta.dirname, "../dist/berth.mjs"),
  "copy",
  "-q",
];
/** The client of who made the registry. */
const OWN_COPY: Readonly<Record<Name, readonly string[]>> = { berth: BERTH, "docker-registry": SKOPEO };
const KILOBYTE = Buffer.alloc(1024, "k");
const OCTETS = { "content-type": "application/octet-stream" };

interface Measure {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** What is measured, and what the table calls it. `rate`: a larger ratio is better. */
const FIGURES = {
  push: { label: "push by skopeo, to both", target: "≤ 0.75×" },
  berthPush: { label: "push by berth copy, to both", target: "≤ 0.75×" },
  ownPush: { label: "push from oci: — berth copy to berth, skopeo copy to docker-registry", target: "≤ 0.75×" },
  put: { label: "raw PUT, one connection", target: "≤ 0.5×" },
  pull: { label: "pull into dir: — berth copy from berth, skopeo copy from docker-registry", target: "≤ 0.6×" },
  manifest: { label: "GET manifest by tag, 16 connections", target: "≥ 15×" },
  blob: { label: "GET blob of 1 KB, 16 connections", target: "≥ 10×" },
} as const;
type Figure = keyof typeof FIGURES;

const scratch = mkdtempSync(join(process.env["SCRATCH"] ?? tmpdir(), "berth-registry-"));
const results = new Map<string, Measure[]>();
const peaks: Record<Name, number[]> = { berth: [], "docker-registry": [] };
const errors: Record<Name, number> = { berth: 0, "docker-registry": 0 };
try {
  await main();
} finally {
  rmSync(scratch, { recursive: true });
}

async function main(): Promise<void> {
  run([process.execPath, join(import.meta.dirname, "../tools/build-bundle.ts")]);
  const image = makeImage(join(scratch, "image"));
  for (let round = 0; round < ROUNDS; round += 1) {
    // Who goes first changes, so that neither always finds the disk quiet.
    for (const name of round % 2 === 0 ? NAMES : NAMES.toReversed()) {
      const directory = join(scratch, `${name}-${round}`);
      {
        await using server = await startServer(name, directory, TLS);
        await measureServer(server, image, directory);
      }
      rmSync(directory, { recursive: true });
      for (const figure of ["berthPush", "ownPush"] as const) {
        await using server = await startServer(name, directory, TLS);
        await measurePush(server, figure, figure === "ownPush" ? OWN_COPY[name] : BERTH, { image, directory });
        rmSync(directory, { recursive: true });
      }
    }
    console.error(`round ${round + 1} of ${ROUNDS}`);
  }
  printTable();
}

async function measureServer(server: Server, image: Image, directory: string): Promise<void> {
  const { name } = server;
  await measurePush(server, "push", SKOPEO, { image, directory });

  const pulled = join(directory, "pulled");
  mkdirSync(pulled);
  const pull = [
    ...OWN_COPY[name],
    `--src-authfile=${writeLogin(server, directory)}`,
    "--src-tls-verify=false",
    `docker://${target(server)}`,
    `dir:${pulled}`,
  ];
  const usage = childCpuMs();
  const wallMs = await wall(() => run(pull));
  note(name, "pull", { wallMs, cpuMs: childCpuMs() - usage });
  rmSync(pulled, { recursive: true });

  const client = createClient(server);
  await timed(server, "put", async () => {
    for (const layer of image.layers) await client.upload("bench/raw", layer.bytes, layer.digest);
  });
  client.close();
  const small = createClient(server);
  const digest = `sha256:${createHash("sha256").update(KILOBYTE).digest("hex")}`;
  await small.upload("bench/os", KILOBYTE, digest);
  small.close();
  rates(server, "manifest", "bench/os/manifests/v1");
  rates(server, "blob", `bench/os/blobs/${digest}`);
  errors[name] += await crowd(server, [`/v2/bench/os/manifests/v1`, `/v2/bench/os/blobs/${digest}`]);
}

/** To a registry that has nothing yet: a client remembers where it has seen a blob, and mounts it. */
async function measurePush(
  server: Server,
  figure: Figure,
  copy: readonly string[],
  { image, directory }: { image: Image; directory: string },
): Promise<void> {
  const login = [`--dest-authfile=${writeLogin(server, directory)}`, "--dest-tls-verify=false"];
  await timed(server, figure, () => run([...copy, ...login, `oci:${image.folder}:v1`, `docker://${target(server)}`]));
  peaks[server.name].push(server.peakMiB());
}

function target(server: Server): string {
  return `${server.url.replace(/^https?:\/\//, "")}/bench/os:v1`;
}

/** Returns the file's path. */
function writeLogin(server: Server, directory: string): string {
  const path = join(directory, "auth.json");
  const auth = btoa(`${CREDENTIALS.user}:${CREDENTIALS.password}`);
  writeFileSync(path, JSON.stringify({ auths: { [new URL(server.url).host]: { auth } } }));
  return path;
}

async function wall(work: () => unknown): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function timed(server: Server, figure: Figure, work: () => unknown): Promise<void> {
  run(["sync"]);
  const before = server.cpuMs();
  const wallMs = await wall(work);
  note(server.name, figure, { wallMs, cpuMs: server.cpuMs() - before });
}

/** Milliseconds a request once the server is warm, so that a rate's ratio is the inverse of the times'. */
function rates(server: Server, figure: Figure, path: string): void {
  const headers = ["-H", `Authorization: ${AUTHORIZATION}`, "-H", "Accept: application/vnd.oci.image.manifest.v1+json"];
  const load = (seconds: number): string =>
    run(["wrk", "-t1", "-c16", `-d${seconds}`, ...headers, `${server.url}/v2/${path}`]);
  load(3);
  const before = server.cpuMs();
  const text = load(4);
  if (/Non-2xx|Socket errors/.test(text)) throw new Error(`${server.name} ${path}: ${text}`);
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
  note(server.name, figure, { wallMs: 1000 / rate, cpuMs: (server.cpuMs() - before) / requests });
}

/** Requests of as many connections at the same time; returns how many got no 200. */
async function crowd(server: Server, paths: readonly string[]): Promise<number> {
  const agent = server.ca === "" ? new http.Agent({ keepAlive: false }) : new https.Agent({ ca: server.ca });
  const one = (path: string): Promise<boolean> =>
    new Promise((resolve) => {
      const headers = { authorization: AUTHORIZATION, accept: "application/vnd.oci.image.manifest.v1+json" };
      const request = (server.ca === "" ? http : https).get(`${server.url}${path}`, { agent, headers }, (response) => {
        response
          .resume()
          .once("end", () => resolve(response.statusCode === 200))
          .once("error", () => resolve(false));
      });
      request.once("error", () => resolve(false));
    });
  const answers = await Promise.all(
    Array.from({ length: CLIENTS }, (_, index) => one(paths[index % paths.length] ?? "")),
  );
  return answers.filter((good) => !good).length;
}

interface UploadClient {
  upload(repository: string, bytes: Buffer, digest: string): Promise<void>;
  close(): void;
}

/** POST and PUT over one connection. */
function createClient(server: Server): UploadClient {
  const options = { keepAlive: true, maxSockets: 1 };
  const agent = server.ca === "" ? new http.Agent(options) : new https.Agent({ ...options, ca: server.ca });
  const call = (method: string, url: URL, body: Buffer): Promise<http.IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = { ...OCTETS, authorization: AUTHORIZATION, "content-length": body.length };
      const request = (server.ca === "" ? http : https).request(url, { method, agent, headers });
      request.once("error", reject);
      request.once("response", (response) => response.resume().once("end", () => resolve(response)));
      request.end(body);
    });
  return {
    async upload(repository, bytes, digest) {
      const session = await call("POST", new URL(`/v2/${repository}/blobs/uploads/`, server.url), Buffer.alloc(0));
      const location = new URL(session.headers.location ?? "", server.url);
      location.searchParams.set("digest", digest);
      const done = await call("PUT", location, bytes);
      if (done.statusCode !== 201) throw new Error(`PUT to ${server.name}: ${done.statusCode}`);
    },
    close: () => agent.destroy(),
  };
}

interface Image {
  readonly folder: string;
  readonly layers: readonly { readonly bytes: Buffer; readonly digest: string }[];
}

/** Layers that do not compress, so that nobody tries. */
function makeImage(folder: string): Image {
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  const put = (bytes: Buffer): string => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(folder, "blobs/sha256", hex), bytes);
    return `sha256:${hex}`;
  };
  const type = (name: string): string => `application/vnd.oci.image.${name}`;
  const layers = Array.from({ length: LAYERS }, () => {
    const bytes = gzipSync(randomBytes(LAYER_BYTES), { level: 0 });
    return { bytes, digest: put(bytes) };
  });
  const described = (bytes: Buffer, mediaType: string) => ({ mediaType, digest: put(bytes), size: bytes.length });
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
  const config = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", rootfs }));
  const manifest = {
    schemaVersion: 2,
    mediaType: type("manifest.v1+json"),
    config: described(config, type("config.v1+json")),
    layers: layers.map(({ bytes, digest }) => ({ mediaType: type("layer.v1.tar+gzip"), digest, size: bytes.length })),
  };
  const entry = described(Buffer.from(JSON.stringify(manifest)), manifest.mediaType);
  const annotations = { "org.opencontainers.image.ref.name": "v1" };
  writeFileSync(
    join(folder, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...entry, annotations }] }),
  );
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  return { folder, layers };
}

function note(name: Name, figure: Figure, measure: Measure): void {
  const key = `${name} ${figure}`;
  results.set(key, [...(results.get(key) ?? []), measure]);
}

function printTable(): void {
  console.log(`TLS ${TLS ? "on" : "off"}, login and fsync on, ${ROUNDS} rounds, medians\n`);
  console.log(
    "| | berth | docker-registry | ratio, wall | ratio, CPU | target |\n| --- | --- | --- | --- | --- | --- |",
  );
  for (const figure of Object.keys(FIGURES) as Figure[]) {
    const { label, target } = FIGURES[figure];
    const isRate = target.startsWith("≥");
    const of = (name: Name): Measure[] => results.get(`${name} ${figure}`) ?? [];
    const cell = (name: Name): string => {
      const wallMs = median(of(name).map((m) => m.wallMs));
      const cpuMs = median(of(name).map((m) => m.cpuMs));
      return isRate
        ? `${(1000 / wallMs).toFixed(0)}/s (${(cpuMs * 1000).toFixed(0)} µs CPU each)`
        : `${(wallMs / 1000).toFixed(2)} s (${(cpuMs / 1000).toFixed(2)} s CPU)`;
    };
    const ratio = (key: keyof Measure): string => {
      const ratios = of("berth").map((own, i) => own[key] / (of("docker-registry")[i]?.[key] ?? Number.NaN));
      return `${(isRate ? 1 / median(ratios) : median(ratios)).toFixed(2)}×`;
    };
    console.log(
      `| ${label} | ${cell("berth")} | ${cell("docker-registry")} | ${ratio("wallMs")} | ${ratio("cpuMs")} | ${target} |`,
    );
  }
  const peak = (name: Name): string => `${Math.max(...peaks[name]).toFixed(0)} MiB`;
  console.log(`| peak memory (VmHWM) in a push | ${peak("berth")} | ${peak("docker-registry")} | | | ≤ 128 MiB |`);
  const failed = (name: Name): string => `${errors[name]} errors`;
  console.log(`| ${CLIENTS} clients at once | ${failed("berth")} | ${failed("docker-registry")} | | | 0 errors |`);
}

/** User and system time of the processes that this one has waited for. */
function childCpuMs(): number {
  const fields = readFileSync("/proc/self/stat", "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[13]) + Number(fields[14])) * 10;
}
