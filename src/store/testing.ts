/** Small layers and images for the store's tests. */
import { createHash } from "node:crypto";
import type { TestContext } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { collectBytes, streamOf, textToByteName } from "../core/bytes.ts";
import type { Compression } from "../core/compress.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import type { TarInput } from "../format/tar/write.ts";
import { writeTar } from "../format/tar/write.ts";
import { createFakeHost } from "../host/fake.ts";
import type { Host } from "../host/host.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import type { ImageConfig } from "../oci/config.ts";
import type { Descriptor } from "../oci/manifest.ts";
import { CONFIG, LAYER, LAYER_GZIP, LAYER_ZSTD, MANIFEST } from "../oci/media-types.ts";
import { NO_XATTRS, type Stat } from "../tree/node.ts";
import { openStore } from "./open.ts";
import type { StoredImage, Store } from "./store.ts";

export interface FixtureLayer {
  readonly tar: Buffer;
  readonly blob: Buffer;
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
}

export const FIXTURE_STAT: Stat = {
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtimeSec: 1_700_000_000,
  mtimeNsec: 0,
  xattrs: NO_XATTRS,
};

export type FixtureEntries = Readonly<Record<string, string | Buffer | null | { readonly link: string }>>;

/** null is a directory, `{link}` a symlink; parents must be listed. */
export async function fixtureTar(entries: FixtureEntries): Promise<Buffer> {
  const inputs = Object.entries(entries).map(([name, value]): TarInput => {
    const path = textToByteName(name);
    if (value === null) return { member: { kind: "directory", path, stat: { ...FIXTURE_STAT, mode: 0o755 } } };
    if (typeof value === "object" && !Buffer.isBuffer(value)) {
      return { member: { kind: "symlink", path, stat: FIXTURE_STAT, target: textToByteName(value.link) } };
    }
    const content = Buffer.from(value);
    return { member: { kind: "file", path, stat: FIXTURE_STAT, size: content.length }, content };
  });
  return collectBytes(writeTar(inputs));
}

export function fixtureLayer(tar: Buffer, compression: Compression = "gzip"): FixtureLayer {
  const compress = { none: (bytes: Buffer) => bytes, gzip: gzipSync, zstd: zstdCompressSync }[compression];
  const blob = compress(tar);
  const mediaType = { none: LAYER, gzip: LAYER_GZIP, zstd: LAYER_ZSTD }[compression];
  return { tar, blob, descriptor: { mediaType, digest: digestOf(blob), size: blob.length }, diffId: digestOf(tar) };
}

/** Imports the layers and saves an image of them. */
export async function addFixtureImage(
  store: Store,
  layers: readonly FixtureLayer[],
  name?: string,
): Promise<StoredImage> {
  for (const { blob, descriptor, diffId } of layers) await store.importLayer(streamOf(blob), { descriptor, diffId });
  const image = store.saveImage(fixtureDocuments(layers));
  if (name !== undefined) store.tag(name, image.digest);
  return image;
}

export function fixtureDocuments(
  layers: readonly FixtureLayer[],
  created = "2026-01-01T00:00:00Z",
): { manifestBytes: Buffer; configBytes: Buffer } {
  const config: ImageConfig = {
    created,
    architecture: "amd64",
    os: "linux",
    config: { Cmd: ["/bin/sh"] },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: [],
  };
  const configBytes = Buffer.from(JSON.stringify(config));
  const descriptor = { mediaType: CONFIG, digest: digestOf(configBytes), size: configBytes.length };
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: descriptor,
    layers: layers.map((layer) => layer.descriptor),
  };
  return { manifestBytes: Buffer.from(JSON.stringify(manifest)), configBytes };
}

/** Bytes that do not compress and differ by `seed`. */
export function noise(sizeBytes: number, seed: string): Buffer {
  return createHash("shake256", { outputLength: sizeBytes }).update(seed).digest();
}

/** A root that all three image forms can be made of. */
export const ROOT: FixtureEntries = {
  "": null,
  boot: null,
  "boot/kernel": "kept only where the image does not boot",
  etc: null,
  "etc/motd": "welcome\n",
  run: null,
  "run/stale": "gone in an image",
  sysroot: null,
  usr: null,
  "usr/empty": "",
  "usr/exactly64": "x".repeat(64),
  "usr/exactly65": "y".repeat(65),
  "usr/large": noise(100_000, "large"),
  "usr/link": { link: "large" },
};

/** A layer, and one that changes it. */
export const base = fixtureLayer(await fixtureTar(ROOT));
export const upper = fixtureLayer(
  await fixtureTar({
    etc: null,
    "etc/.wh.motd": "",
    "etc/issue": "second\n",
    usr: null,
    "usr/added": noise(5000, "added"),
  }),
  "zstd",
);

/** Where a store can live. */
export interface World {
  readonly host: Host;
  readonly directory: string;
}

export const WORLDS: Readonly<Record<string, (t: TestContext) => World>> = {
  fake: (t) => ({ host: createFakeHost({ test: t }), directory: "/var/lib/store" }),
  "fake with verity": (t) => ({ host: createFakeHost({ test: t, verity: true }), directory: "/var/lib/store" }),
  linux: (t) => {
    const host = createLinuxHost();
    const scratch = host.files.temporaryDirectory(`${SCRATCH}/berth-store-`);
    t.after(() => scratch[Symbol.dispose]());
    return { host, directory: scratch.path };
  },
};

/** A store in the world, made if it is not there. */
export function open(
  world: World,
  options: { keepBlobs?: boolean; name?: string; algorithm?: "sha256" | "sha512" } = {},
): Store {
  const { name = "composefs", keepBlobs = true, ...rest } = options;
  return openStore(world.host, `${world.directory}/${name}`, { keepBlobs, create: true, access: "shared", ...rest });
}
