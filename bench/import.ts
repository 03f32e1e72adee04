/**
 * Times the import of an image of about 450 MB and 15,000 files from an `oci:` folder, EROFS image included, beside what Debian's tools
 * take to make files of the same image: `skopeo copy oci: dir:` plus GNU tar. Both as processes, start-up included, in turns.
 *
 * The image is made of this machine's /usr; OCI_FOLDER names another. ROUNDS (5) is how often each is run. Nothing is deleted
 * before the end: ext4 is slow for some seconds where many files were just deleted.
 */
import { spawnSync } from "node:child_process";
import { hash } from "node:crypto";
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { median, run } from "./_run.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const BYTES_MAX = 450_000_000;
const ENTRIES_MAX = 15_000;
const FOLDERS = [
  "bin",
  "sbin",
  "lib/systemd",
  "lib/git-core",
  "share/perl",
  "share/zoneinfo",
  "share/doc",
  "share/locale",
  "share/man",
  "include",
];

const scratch = mkdtempSync(join(tmpdir(), "berth-import-"));
try {
  await main();
} finally {
  rmSync(scratch, { recursive: true });
}

interface Source {
  readonly name: string;
  readonly folder: string;
  readonly layers: readonly string[];
}

async function main(): Promise<void> {
  const program = await bundle();
  for (const source of makeSources()) {
    const ratios: number[] = [];
    const own: number[] = [];
    const peer: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const base = join(scratch, `${source.name}-${round}`);
      mkdirSync(join(base, "tree"), { recursive: true });
      mkdirSync(join(base, "store"));
      const theirs = () => {
        const copy = time(["skopeo", "copy", "-q", `oci:${source.folder}`, `dir:${join(base, "dir")}`]);
        const unpack = source.layers.map((layer) => time(["tar", "-C", join(base, "tree"), "-xf", layer]));
        return [copy, ...unpack].reduce((sum, run) => sum + run.ms, 0);
      };
      const ours = () => {
        const run = time([process.execPath, program, join(base, "store"), source.folder]);
        console.log(`${source.name} round ${round}: ${run.stdout.trim()}`);
        return run.ms;
      };
      // Who goes first changes, so that neither always finds the disk quiet.
      const order = round % 2 === 0;
      const first = order ? theirs() : ours();
      const second = order ? ours() : theirs();
      own.push(order ? second : first);
      peer.push(order ? first : second);
      ratios.push((own.at(-1) ?? 0) / (peer.at(-1) ?? 1));
    }
    console.log(
      `${source.name}: berth ${median(own).toFixed(0)} ms, skopeo + tar ${median(peer).toFixed(0)} ms, ratio ${median(ratios).toFixed(2)}`,
    );
  }
}

/** As users have it: one file and its worker, no type stripping at start. */
async function bundle(): Promise<string> {
  const common = {
    bundle: true,
    platform: "node",
    target: "node26",
    format: "cjs",
    logLevel: "warning",
    define: { "import.meta.url": "__url" },
    banner: { js: 'const __url = require("node:url").pathToFileURL(__filename).href;' },
  } as const;
  const here = import.meta.dirname;
  const outfile = join(scratch, "dist/import.cjs");
  await build({ ...common, entryPoints: [join(here, "_import-once.ts")], outfile });
  const worker = join(here, "../src/store/object.worker.ts");
  await build({ ...common, entryPoints: [worker], outfile: join(scratch, "dist/workers/store/object.worker.cjs") });
  return outfile;
}

function makeSources(): Source[] {
  const given = process.env["OCI_FOLDER"];
  if (given !== undefined) return [{ name: "given", folder: given, layers: layersOf(given) }];
  const list = join(scratch, "list");
  const tar = join(scratch, "layer.tar");
  writeFileSync(list, chooseEntries().join("\n"));
  run(["tar", "-C", "/", "--no-recursion", "--numeric-owner", "-cf", tar, "-T", list]);
  return (["gzip", "zstd"] as const).map((kind) => {
    const folder = join(scratch, kind);
    const blob = `${tar}.${kind}`;
    run(kind === "gzip" ? ["sh", "-c", `gzip -6 -n -c ${tar} > ${blob}`] : ["zstd", "-q", "-3", tar, "-o", blob]);
    writeFolder(folder, { tar: readFileSync(tar), blob: readFileSync(blob), kind });
    return { name: kind, folder, layers: layersOf(folder) };
  });
}

function chooseEntries(): string[] {
  const entries: string[] = ["usr", "usr/lib", "usr/share"];
  let bytes = 0;
  const visit = (path: string): void => {
    if (bytes >= BYTES_MAX || entries.length >= ENTRIES_MAX) return;
    const stat = lstatSync(`/${path}`, { throwIfNoEntry: false });
    if (stat === undefined || path.includes("\n")) return;
    entries.push(path);
    if (stat.isFile()) bytes += stat.size;
    else if (stat.isDirectory()) for (const name of readdirSync(`/${path}`).sort()) visit(`${path}/${name}`);
  };
  for (const folder of FOLDERS) visit(`usr/${folder}`);
  return entries;
}

function writeFolder(folder: string, layer: { tar: Buffer; blob: Buffer; kind: string }): void {
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  const put = (bytes: Buffer | string, mediaType: string) => {
    const hex = hash("sha256", bytes);
    writeFileSync(join(folder, "blobs/sha256", hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const diffIds = [`sha256:${hash("sha256", layer.tar)}`];
  const type = (name: string) => `application/vnd.oci.image.${name}`;
  const architecture = { x64: "amd64" }[process.arch as string] ?? process.arch;
  const config = { architecture, os: "linux", config: {}, rootfs: { type: "layers", diff_ids: diffIds }, history: [] };
  const manifest = {
    schemaVersion: 2,
    mediaType: type("manifest.v1+json"),
    config: put(JSON.stringify(config), type("config.v1+json")),
    layers: [put(layer.blob, type(`layer.v1.tar+${layer.kind}`))],
  };
  const index = { schemaVersion: 2, manifests: [put(JSON.stringify(manifest), manifest.mediaType)] };
  writeFileSync(join(folder, "index.json"), JSON.stringify(index));
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
}

/** Paths of the layers' blobs: all blobs that tar can list. */
function layersOf(folder: string): string[] {
  return readdirSync(join(folder, "blobs/sha256"))
    .map((name) => join(folder, "blobs/sha256", name))
    .filter((path) => spawnSync("tar", ["-tf", path], { stdio: "ignore" }).status === 0);
}

function time(argv: readonly string[]): { ms: number; stdout: string } {
  run(["sync"]);
  const started = performance.now();
  const stdout = run(argv);
  return { ms: performance.now() - started, stdout };
}
