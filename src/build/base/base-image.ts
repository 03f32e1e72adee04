/**
 * buildBase(): a bootable base image from Debian's packages, in the workstation's store. The same packages, berth and request
 * give the same manifest digest; what is there already from an earlier build is not made again.
 */
import { digestOf, type Digest } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import type { Progress } from "../../core/progress.ts";
import { formatDuration } from "../../core/units.ts";
import { writeTar, type TarInput } from "../../format/tar/write.ts";
import type { Host } from "../../host/host.ts";
import { programKey } from "../../host/program.ts";
import { formatImageConfig } from "../../oci/config.ts";
import type { Descriptor, Manifest } from "../../oci/manifest.ts";
import { CONFIG, MANIFEST } from "../../oci/media-types.ts";
import type { Store } from "../../store/store.ts";
import { type AptSettings, type Archive, chooseMirror, openArchive, readAptSettings } from "./archive.ts";
import { berthLayer } from "./berth-layer.ts";
import { bootstrap } from "./bootstrap.ts";
import { applyLayout } from "./image-layout.ts";
import { imageConfig } from "./image-config.ts";
import { installKernel } from "./kernel.ts";
import { writeKernelPackage } from "./kernel-package.ts";
import { readLayers } from "./layer-files.ts";
import { type LayerRecord, parseLayerRecord, readBerth } from "./parts.ts";
import { type KernelFlavour, packagesOf, type Suite } from "./suites.ts";
import { mountMemory, openWorkspace } from "./workspace.ts";

export interface BaseRequest {
  readonly suite: Suite;
  /** Full name, e.g. localhost/debian-bootc:12. */
  readonly name: string;
  readonly mirror?: string | undefined;
  readonly securityMirror?: string | undefined;
  /** Besides berth's own list. */
  readonly packages: readonly string[];
  readonly kernel: KernelFlavour;
  /** false: packages are installed anew. */
  readonly useCache: boolean;
}

export interface BuiltBase {
  readonly name: string;
  readonly digest: Digest;
  readonly version: string;
  readonly kernelVersion: string;
  /** Compressed bytes of all layers. */
  readonly sizeBytes: number;
  readonly layers: readonly {
    readonly name: string;
    readonly digest: Digest;
    readonly sizeBytes: number;
    readonly cached: boolean;
  }[];
}

export interface BaseContext {
  readonly host: Host;
  readonly store: Store;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

interface Inputs {
  readonly archive: Archive;
  readonly settings: AptSettings;
  readonly packages: readonly string[];
}

/** What makes the layers, for the cache's key. */
const MAKERS = ["src/build/base", "src/format/cpio", "src/format/elf", "src/format/tar"];
const NEEDED_BYTES = 3e9;
const TOOLS = ["mmdebstrap", "dpkg-deb", "apt-config"];

export async function buildBase(context: BaseContext, request: BaseRequest): Promise<BuiltBase> {
  const { host, store } = context;
  const work = `${store.path.slice(0, store.path.lastIndexOf("/"))}/cache/base`;
  checkHost(host);
  host.files.makeDirectory(work, { mode: 0o700 });
  using scratch = await openWorkspace(context, { work, suite: request.suite.name });

  const inputs = await phase(context, "Ask the mirror", async () => ({
    archive: await openArchive(host, {
      mirror: chooseMirror(host, request),
      suite: request.suite,
      scratch: scratch.path,
      signal: context.signal,
    }),
    settings: await readAptSettings(host),
    packages: packagesOf(request.suite, request.kernel, request.packages),
  }));
  const epochSec = inputs.archive.dateSec;
  const debian = await cached(
    context,
    request,
    { work, name: `${request.suite.name}-${debianKey(request, inputs)}` },
    () => buildDebian(context, request, { inputs, scratch: scratch.path, work }),
  );
  const berth = await phase(context, "Prepare berth", () => readBerth(host, context.signal));
  const own = await cached(
    context,
    request,
    { work, name: `berth-${berth.key.slice(0, 32)}-${epochSec}` },
    async () => ({
      kernelVersion: debian.record.kernelVersion,
      layers: [await addLayer(context, "berth", berthLayer(berth.files, epochSec))],
    }),
  );
  return saveBase(context, request, { debian, own, epochSec, archive: inputs.archive });
}

function checkHost(host: Host): void {
  if (host.architecture !== "amd64") {
    throw new Failure("unsupported", `Cannot build a base for ${host.architecture}: only amd64 is supported`);
  }
  const missing = TOOLS.filter((tool) => host.which(tool) === undefined);
  if (missing.length > 0) {
    throw new Failure("missing-tool", `Cannot build a base: ${missing.join(", ")} is not installed`, {
      hint: "install the packages mmdebstrap and dpkg",
    });
  }
}

/** The packages installed, laid out, and put into the store as two layers. */
async function buildDebian(
  context: BaseContext,
  request: BaseRequest,
  parts: { inputs: Inputs; scratch: string; work: string },
): Promise<LayerRecord> {
  const { host, signal } = context;
  const { files } = host;
  const { inputs, scratch, work } = parts;
  const epochSec = inputs.archive.dateSec;
  const { freeBytes } = host.files.space(work);
  if (freeBytes < NEEDED_BYTES) {
    throw new Failure(
      "no-space",
      `Cannot build a base in "${work}": ${Math.round(freeBytes / 1e6)} MB are free, wanted 3000 MB`,
      {
        hint: "BERTH_STORE can name a directory on a larger file system",
      },
    );
  }
  files.makeDirectory(`${scratch}/tree`);
  using _memory = mountMemory(host, `${scratch}/tree`, NEEDED_BYTES);
  const root = `${scratch}/tree/root`;

  await phase(context, `Install ${request.suite.name}'s packages`, async (advance) => {
    const ownSource = await writeKernelPackage(host, `${scratch}/packages`, { epochSec, signal });
    await bootstrap(host, {
      ...inputs,
      suite: request.suite,
      ownSource,
      root,
      cache: `${work}/packages-${request.suite.name}`,
      temporary: scratch,
      log: `${work}/${request.suite.name}.log`,
      epochSec,
      signal,
      onLine: (line) => {
        if (/^(?:Get:\d|Unpacking |Setting up )/.test(line)) advance(1);
      },
    });
  });
  const kernelVersion = await phase(context, "Lay out the image", async () => {
    const version = applyLayout(host.files, root, inputs);
    await applyPresets(host, root, signal);
    return version;
  });
  await phase(context, `Make the initramfs of ${kernelVersion}`, () =>
    installKernel(host, { root, version: kernelVersion, signal }),
  );
  const layers = readLayers(host.files, root, epochSec);
  return {
    kernelVersion,
    layers: [await addLayer(context, "packages", layers.packages), await addLayer(context, "kernel", layers.kernel)],
  };
}

/** What the image's own presets say about the units that its packages brought. */
async function applyPresets(
  host: Pick<Host, "exec" | "files">,
  root: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const preset = host.files.readText(`${root}/usr/lib/systemd/system-preset/50-image-mode.preset`);
  const units = [...preset.matchAll(/^(?:enable|disable)\s+(\S+)\s*$/gm)].map((match) => match[1] ?? "");
  const present = units.filter((unit) => host.files.exists(`${root}/usr/lib/systemd/system/${unit}`));
  await host.exec(["chroot", root, "/usr/bin/systemctl", "--root=/", "preset", ...present], {
    timeoutMs: 60_000,
    signal,
  });
}

function debianKey(request: BaseRequest, inputs: Inputs): string {
  const value = { maker: programKey(MAKERS), kernel: request.kernel, ...inputs };
  return digestOf(JSON.stringify(value)).slice("sha256:".length, "sha256:".length + 32);
}

/** The layers recorded under this name when the store still has them all; else made and recorded. */
async function cached(
  context: BaseContext,
  request: BaseRequest,
  entry: { work: string; name: string },
  make: () => Promise<LayerRecord>,
): Promise<{ record: LayerRecord; fromCache: boolean }> {
  const { files } = context.host;
  const path = `${entry.work}/${entry.name}.json`;
  const text = request.useCache ? files.readTextIfAny(path) : undefined;
  const known = text === undefined ? undefined : parseLayerRecord(text);
  if (
    known?.layers.every(
      (layer) => context.store.hasLayer(layer.diffId) && context.store.hasBlob(layer.descriptor.digest),
    ) === true
  ) {
    return { record: known, fromCache: true };
  }
  const record = await make();
  files.replace(path, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  return { record, fromCache: false };
}

async function addLayer(
  context: BaseContext,
  name: string,
  inputs: Iterable<TarInput>,
): Promise<LayerRecord["layers"][number]> {
  const added = await phase(context, `Store layer "${name}"`, () =>
    context.store.addLayer(writeTar(inputs), context.signal === undefined ? {} : { signal: context.signal }),
  );
  return { name, ...added };
}

function saveBase(
  context: BaseContext,
  request: BaseRequest,
  parts: {
    debian: { record: LayerRecord; fromCache: boolean };
    own: { record: LayerRecord; fromCache: boolean };
    epochSec: number;
    archive: Archive;
  },
): BuiltBase {
  const { debian, own } = parts;
  const layers = [...debian.record.layers, ...own.record.layers];
  const version = `${request.suite.version}.${new Date(parts.epochSec * 1000).toISOString().slice(0, 10).replaceAll("-", "")}.0`;
  const config = Buffer.from(
    formatImageConfig(imageConfig(layers, { version, suite: request.suite, epochSec: parts.epochSec })),
  );
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, digest: digestOf(config), size: config.length },
    layers: layers.map((layer): Descriptor => layer.descriptor),
  };
  const saved = context.store.saveImage({ manifestBytes: Buffer.from(JSON.stringify(manifest)), configBytes: config });
  context.store.tag(request.name, saved.digest);
  const fromCache = (record: LayerRecord): boolean => (record === debian.record ? debian.fromCache : own.fromCache);
  return {
    name: request.name,
    digest: saved.digest,
    version,
    kernelVersion: debian.record.kernelVersion,
    sizeBytes: layers.reduce((sum, layer) => sum + layer.descriptor.size, 0),
    layers: [debian.record, own.record].flatMap((record) =>
      record.layers.map((layer) => ({
        name: layer.name,
        digest: layer.descriptor.digest,
        sizeBytes: layer.descriptor.size,
        cached: fromCache(record),
      })),
    ),
  };
}

async function phase<Result>(
  context: BaseContext,
  label: string,
  work: (advance: (amount: number) => void) => Promise<Result>,
): Promise<Result> {
  context.signal?.throwIfAborted();
  const started = context.host.clock.elapsed();
  const task = context.progress.task(label, { unit: "steps" });
  const result = await work((amount) => task.advance(amount));
  task.done(formatDuration(context.host.clock.elapsed() - started));
  return result;
}
