/**
 * A machine for tests, on the fake host: installed by installDeployment(), booted by a simulated firmware that follows the ESP as
 * systemd-boot and GRUB do, and that refuses what a real initramfs would refuse.
 */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { splitCommandLine, readComposefs } from "../boot/cmdline.ts";
import { type ByteName, textToByteName } from "../core/bytes.ts";
import { silent } from "../core/progress.ts";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { digestOf } from "../core/digest.ts";
import { Failure } from "../core/failure.ts";
import { readErofs } from "../format/erofs/read.ts";
import { type TarInput, writeTar } from "../format/tar/write.ts";
import { verityDigest } from "../format/verity/verity.ts";
import { createFakeHost, type FakeHost, type FakeHostOptions } from "../host/fake.ts";
import type { ImageConfig } from "../oci/config.ts";
import { formatImageConfig } from "../oci/config.ts";
import { formatManifest, type Manifest } from "../oci/manifest.ts";
import { CONFIG, LAYER, MANIFEST } from "../oci/media-types.ts";
import { openStore } from "../store/open.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { NO_XATTRS } from "../tree/node.ts";
import { lookup, walk } from "../tree/walk.ts";
import type { ImageSource } from "./image-source.ts";
import { describeFetch } from "./layer-diff.ts";
import type { PlannedLayer } from "../remote/layer-option.ts";
import { planPull } from "../remote/plan-pull.ts";
import { installDeployment } from "./install.ts";
import { etcPath, deploymentPath, MENU } from "./layout.ts";
import { type OpenMachine, openMachine } from "./machine.ts";
import { readMenu } from "./menu.ts";

const ROOT = "/disk/root";
const ESP = "/disk/esp";
export const REFERENCE = "registry.example.com:5000/os:1";

/** An image before it is in any store. */
export interface TestImage {
  readonly layers: readonly { readonly tar: Buffer; readonly diffId: ReturnType<typeof digestOf> }[];
  readonly manifest: Manifest;
  readonly manifestBytes: Buffer;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
}

/** Path to content; `->x` is a symlink, a trailing `/` a directory. */
export type TestFiles = Readonly<Record<string, string>>;

export interface TestImageOptions {
  readonly version: string;
  readonly id?: string;
  readonly kernel?: string;
  readonly files?: TestFiles;
  readonly labels?: Readonly<Record<string, string>>;
  readonly architecture?: string;
  readonly without?: readonly string[];
}

/** Two layers: what all versions share, and what is this version's own. */
export async function makeImage(options: TestImageOptions): Promise<TestImage> {
  const id = options.id ?? "debian";
  const base: Record<string, string> = {
    "usr/": "",
    "boot/": "",
    "dev/": "",
    "proc/": "",
    "sys/": "",
    "sysroot/": "",
    "run/": "",
    "var/": "",
    "var/log/": "",
    "usr/lib/": "",
    "usr/lib/modules/": "",
    "usr/lib/modules/6.12/": "",
    "etc/": "",
    "usr/lib/bootc/": "",
    "usr/lib/bootc/kargs.d/": "",
    "usr/lib/modules/6.12/vmlinuz": `kernel ${options.kernel ?? "one"} `.repeat(10),
    "usr/lib/modules/6.12/initramfs.img": `initramfs ${options.kernel ?? "one"} `.repeat(10),
    "usr/lib/big": "shared by all versions, longer than what is kept inline; ".repeat(4),
  };
  const own: Record<string, string> = {
    "usr/lib/os-release": `ID=${id}\nVERSION_ID=${options.version}\nPRETTY_NAME="Test ${options.version}"\n`,
    "usr/lib/own": `only in ${options.version}, and longer than what is kept inline; `.repeat(4),
    "etc/os-release": "->../usr/lib/os-release",
    "etc/hostname": "factory\n",
    "etc/motd": `welcome to ${options.version}\n`,
    ...options.files,
  };
  for (const path of options.without ?? []) {
    delete base[path];
    delete own[path];
  }
  const layers = await Promise.all([makeLayer(base), makeLayer(own)]);
  const config: ImageConfig = {
    created: "2026-01-02T03:04:05.678Z",
    architecture: options.architecture ?? "amd64",
    os: "linux",
    config: {
      Labels: options.labels ?? { "containers.bootc": "1", "org.opencontainers.image.version": options.version },
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: [],
  };
  const configBytes = Buffer.from(formatImageConfig(config));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, digest: digestOf(configBytes), size: configBytes.length },
    layers: layers.map(({ tar, diffId }) => ({ mediaType: LAYER, digest: diffId, size: tar.length })),
  };
  return { layers, manifest, manifestBytes: Buffer.from(formatManifest(manifest)), config, configBytes };
}

export function imageDigest(image: TestImage): ReturnType<typeof digestOf> {
  return digestOf(image.manifestBytes);
}

/** Imports what the store lacks; returns the bytes that a network would have carried. */
export async function importImage(store: Store, image: TestImage): Promise<{ stored: StoredImage; bytes: number }> {
  let bytes = 0;
  for (const [i, { tar, diffId }] of image.layers.entries()) {
    const descriptor = image.manifest.layers[i];
    if (descriptor === undefined || store.hasLayer(diffId)) continue;
    await store.importLayer(streamOf(tar), { descriptor, diffId });
    bytes += tar.length;
  }
  return { stored: store.saveImage({ manifestBytes: image.manifestBytes, configBytes: image.configBytes }), bytes };
}

/** A registry with one image for every reference; `images` may be changed while a test runs. */
export function createTestSource(images: Map<string, TestImage>): ImageSource {
  const find = (reference: string): TestImage => {
    const image = images.get(reference);
    if (image === undefined)
      throw new Failure("not-found", `Cannot find image "${reference}": the registry does not know it`);
    return image;
  };
  return {
    async offer(reference) {
      const image = find(reference);
      return { digest: imageDigest(image), manifest: image.manifest, config: image.config };
    },
    async plan({ manifest, config }, { store }) {
      const { present, missing } = planPull(store, manifest, config);
      const planned = missing.map((layer): PlannedLayer => {
        const bytes = layer.descriptor.size;
        const obtain = (): Promise<never> => Promise.reject(new Error("a test source fetches in its own way"));
        return { layer, options: [{ kind: "blob", bytes, requests: 0, spaceBytes: bytes, obtain }], askedBytes: 0 };
      });
      const total = missing.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
      return describeFetch({ present, missing: planned, bytes: total, restBytes: total, spaceBytes: total });
    },
    async fetch(reference, _offered, { store }) {
      const { stored, bytes } = await importImage(store, find(reference));
      return { image: stored, bytes };
    },
  };
}

export interface TestMachine {
  readonly host: FakeHost;
  readonly source: ImageSource;
  readonly images: Map<string, TestImage>;
  /** The deployment that runs. */
  readonly bootedId: () => string;
  open(): Promise<OpenMachine>;
  /** Power off and on; then the boot loader chooses. Asserts that what it chose boots. Returns the deployment's id. */
  boot(): string;
  /** The running system's /etc. */
  readonly etc: () => string;
}

export async function createTestMachine(installed: TestImage, options: FakeHostOptions = {}): Promise<TestMachine> {
  const host = createFakeHost({
    ...options,
    programs: { systemctl: () => undefined, lsblk: () => ({ stdout: LSBLK }), ...options.programs },
    mountContent: ({ type }) => ({ vfat: ESP, ext4: ROOT })[type] ?? "/",
  });
  const { files } = host;
  files.makeDirectory(ESP);
  files.makeDirectory("/sysroot");
  const id = await (async () => {
    using store = openStore(host, `${ROOT}/composefs`, { keepBlobs: false, access: "shared", create: true });
    const { stored } = await importImage(store, installed);
    return installDeployment(host, {
      store,
      image: stored,
      sysroot: ROOT,
      esp: ESP,
      rootKargs: ["root=UUID=1234", "rw"],
      kargs: ["console=ttyS0"],
      source: REFERENCE,
      architecture: "amd64",
    }).id;
  })();
  files.syncFileSystem("/");
  let bootedId = id;
  const boot = (): string => {
    host.reboot();
    bootedId = chooseDeployment(host);
    assertBootable(host, bootedId);
    host.mounts.mount({ type: "overlay", source: `composefs:${bootedId}`, target: "/", readOnly: false });
    host.mounts.mount({ type: "ext4", source: ROOT, target: "/sysroot", data: "rw", readOnly: true });
    return bootedId;
  };
  assert.equal(boot(), id);
  const images = new Map([[REFERENCE, installed]]);
  return {
    host,
    images,
    source: createTestSource(images),
    bootedId: () => bootedId,
    open: () => openMachine(host, { access: "write", progress: silent }),
    boot,
    etc: () => etcPath(ROOT, bootedId),
  };
}

/** What the two boot loaders start: they must agree. */
export function chooseDeployment(host: FakeHost): string {
  const { files } = host;
  const menu = readMenu(files, ESP, MENU);
  assert.deepEqual(menu.problems, []);
  const first = menu.entries[0];
  assert.ok(first, "the boot menu is empty");
  const grub = files.readText(`${ESP}/${MENU}/grub.cfg`);
  assert.match(grub, /^set default=0$/m);
  const line = /^ {2}linux '([^']+)' (.*)$/m.exec(grub);
  assert.equal(line?.[1], first.named.entry.linux, "GRUB and systemd-boot choose different kernels");
  const id = readComposefs(splitCommandLine((line?.[2] ?? "").replaceAll("'", "")))?.id;
  assert.equal(id, first.id, "GRUB and systemd-boot choose different deployments");
  return first.id;
}

/** Kernel and initrd are those of the image, the image and its objects hash to their names, /etc and /var are there. */
export function assertBootable(host: FakeHost, id: string): void {
  const { files } = host;
  const entry = readMenu(files, ESP, MENU).entries.find((one) => one.id === id);
  assert.ok(entry, "no boot entry");
  const object = (objectId: string): Buffer =>
    files.read(`${ROOT}/composefs/objects/${objectId.slice(0, 2)}/${objectId.slice(2)}`);
  const image = files.read(`${ROOT}/composefs/images/${id}`);
  assert.equal(verityDigest(image, "sha512"), id, "the image does not hash to its name");
  const tree = readErofs(image);
  for (const { path, node } of walk(tree)) {
    if (node.kind !== "file" || node.content.kind !== "external") continue;
    const { objectId } = node.content;
    assert.ok(objectId !== undefined);
    assert.equal(verityDigest(object(objectId), "sha512"), objectId, `the object of ${path} does not hash to its name`);
  }
  const boots = [
    [entry.named.entry.linux, "vmlinuz"],
    [entry.named.entry.initrd[0], "initramfs.img"],
  ] as const;
  for (const [path, name] of boots) {
    const leaf = lookup(tree, `usr/lib/modules/6.12/${name}`);
    assert.ok(leaf?.kind === "file");
    const content =
      leaf.content.kind === "inline" ? Buffer.from(leaf.content.bytes) : object(leaf.content.objectId ?? "");
    assert.deepEqual(files.read(`${ESP}${path ?? ""}`), content, `${path ?? "a file"} on the ESP is not the image's`);
  }
  assert.equal(files.readText(`${deploymentPath(ROOT, id)}/etc/motd`).startsWith("welcome to "), true);
  assert.equal(files.stat(`${deploymentPath(ROOT, id)}/var/log`)?.kind, "directory");
}

/** Everything below a path, as one hash: content, modes, links. */
export function fingerprint(host: FakeHost, path: string): string {
  const hash = createHash("sha256");
  const visit = (at: string): void => {
    const stat = host.files.lstat(at);
    if (stat === undefined) return;
    hash.update(`${at} ${stat.kind} ${stat.mode} ${stat.uid}\n`);
    if (stat.kind === "file") hash.update(host.files.read(at));
    if (stat.kind === "symlink") hash.update(host.files.readlink(at));
    if (stat.kind === "directory") for (const name of host.files.list(at)) visit(`${at}/${name}`);
  };
  visit(path);
  return hash.digest("hex");
}

const LSBLK = JSON.stringify({
  blockdevices: [
    {
      path: "/dev/vdb",
      "maj:min": "9:16",
      parttype: null,
      children: [{ path: "/dev/vdb1", "maj:min": "9:17", parttype: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" }],
    },
    {
      path: "/dev/vda",
      "maj:min": "9:0",
      parttype: null,
      children: [
        { path: "/dev/vda2", "maj:min": "9:2", parttype: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" },
        { path: ROOT, "maj:min": "9:3", parttype: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709" },
      ],
    },
  ],
});

async function makeLayer(content: TestFiles): Promise<{ tar: Buffer; diffId: ReturnType<typeof digestOf> }> {
  const inputs = Object.entries(content)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, text]): TarInput => {
      const stat = {
        mode: name.endsWith("/") ? 0o755 : 0o644,
        uid: 0,
        gid: 0,
        mtimeSec: 1_700_000_000,
        mtimeNsec: 0,
        xattrs: NO_XATTRS,
      };
      const path = textToByteName(name.replace(/\/$/, ""));
      if (name.endsWith("/")) return { member: { kind: "directory", path, stat } };
      if (text.startsWith("->")) return { member: { kind: "symlink", path, stat, target: text.slice(2) as ByteName } };
      const bytes = Buffer.from(text);
      return { member: { kind: "file", path, stat, size: bytes.length }, content: bytes };
    });
  const tar = await collectBytes(writeTar(inputs));
  return { tar, diffId: digestOf(tar) };
}
