/**
 * copyImage(): an image from a source to a sink, exactly as it is. planCopy() reads manifests only and says which blobs would move;
 * applyCopy() moves them, several at a time, the image's own manifest last, so that a copy that fails leaves no image behind.
 */
import { collectBytes } from "../../core/bytes.ts";
import { mapConcurrent } from "../../core/concurrency.ts";
import { type Digest, digestHex } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { verified } from "../../core/verified.ts";
import { parseImageConfig } from "../../oci/config.ts";
import { type Descriptor, type Index, parseIndex, parseManifest, type Platform } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { understand } from "./documents.ts";
import type { CopyContext, ImageSink, ImageSource, ManifestDocument } from "./image-io.ts";

export interface CopySelection {
  /** The whole index with every image in it; else the one image for `platform`. */
  readonly all: boolean;
  readonly platform: Platform;
}

export interface PlannedBlob {
  readonly blob: Descriptor;
  readonly role: "config" | "layer";
  readonly diffId: Digest | undefined;
  readonly isThere: boolean;
}

export interface CopyPlan {
  /** Those that `top` names, inner first. */
  readonly manifests: readonly ManifestDocument[];
  readonly top: ManifestDocument;
  readonly platform: Platform | undefined;
  readonly blobs: readonly PlannedBlob[];
}

export interface CopyResult {
  readonly digest: Digest;
  readonly movedBytes: number;
  readonly reusedBytes: number;
}

const PARALLEL_BLOBS = 4;
const INDEX_DEPTH_MAX = 3;
const CONFIG_BYTES_MAX = 16 * 1024 * 1024;

/** Failure "not-found", "bad-input", "denied", "unsupported". */
export async function planCopy(source: ImageSource, sink: ImageSink, selection: CopySelection): Promise<CopyPlan> {
  const found = await selectTop(source, selection);
  await source.requireTrust([found.top.digest, ...found.indexes]);
  const manifests = isIndexType(found.top.mediaType) ? await Array.fromAsync(readBelow(source, found.top, 0)) : [];
  if (manifests.length > 0 && !sink.takesIndex) {
    throw new Failure(
      "unsupported",
      `Cannot copy all of "${source.name}" to "${sink.name}": it holds single images only`,
      {
        hint: "leave out --all",
      },
    );
  }
  const blobs = new Map<Digest, PlannedBlob>();
  let platform: Platform | undefined;
  for (const document of [...manifests, found.top]) {
    if (isIndexType(document.mediaType)) continue;
    const image = await readImage(source, document);
    if (document === found.top) platform = image.platform;
    for (const part of image.parts) {
      if (!blobs.has(part.blob.digest)) blobs.set(part.blob.digest, { ...part, isThere: await sink.hasBlob(part) });
    }
  }
  return { manifests, top: found.top, platform, blobs: [...blobs.values()] };
}

export async function applyCopy(
  context: CopyContext,
  source: ImageSource,
  sink: ImageSink,
  plan: CopyPlan,
): Promise<CopyResult> {
  const { progress, signal } = context;
  sink.begin();
  let movedBytes = 0;
  let reusedBytes = 0;
  const copyOne = async ({ blob, role, diffId, isThere }: PlannedBlob): Promise<void> => {
    const label = `Copying ${role === "config" ? "config" : "blob"} ${digestHex(blob.digest).slice(0, 12)}`;
    const task = progress.task(label, { total: blob.size, unit: "bytes" });
    const open = (from: number): AsyncIterable<Uint8Array> => source.blob(blob, from);
    const onBytes = (count: number): void => task.advance(count);
    const note = isThere ? "skipped: already exists" : await sink.putBlob({ blob, role, diffId, open, onBytes });
    if (note === undefined) movedBytes += blob.size;
    else reusedBytes += blob.size;
    task.done(note);
  };
  // Configs first: they say what the layers are.
  for (const blob of plan.blobs.filter(({ role }) => role === "config")) await copyOne(blob);
  const layers = plan.blobs.filter(({ role }) => role === "layer");
  await mapConcurrent(layers, { limit: PARALLEL_BLOBS, ...(signal && { signal }) }, copyOne);
  progress.say("Writing manifest to image destination");
  for (const manifest of plan.manifests) await sink.putManifest(manifest);
  await sink.finish(plan.top, plan.platform);
  return { digest: plan.top.digest, movedBytes, reusedBytes };
}

/** `os/architecture[/variant]`. Throws SyntaxError. */
export function parsePlatform(text: string): Platform {
  const [, os, architecture, variant] = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9]+))?$/.exec(text) ?? [];
  if (os === undefined || architecture === undefined)
    throw new SyntaxError(
      `Cannot read platform ${JSON.stringify(text)}: wanted OS/ARCHITECTURE[/VARIANT], e.g. linux/arm64`,
    );
  return { os, architecture, ...(variant !== undefined && { variant }) };
}

async function selectTop(
  source: ImageSource,
  selection: CopySelection,
): Promise<{ top: ManifestDocument; indexes: readonly Digest[] }> {
  let top = await source.manifest();
  const indexes: Digest[] = [];
  while (!selection.all && isIndexType(top.mediaType)) {
    if (indexes.length >= INDEX_DEPTH_MAX) throw tooDeep(source);
    indexes.unshift(top.digest);
    const { bytes, mediaType } = top;
    const child = choose(
      understand(source.name, () => parseIndex(bytes.toString("utf8"), mediaType)),
      selection.platform,
      source,
    );
    top = await source.manifest(child.digest);
  }
  return { top, indexes };
}

function choose(index: Index, wanted: Platform, source: ImageSource): Descriptor {
  const fits = index.manifests.find(
    ({ platform }) =>
      platform?.os === wanted.os &&
      platform.architecture === wanted.architecture &&
      (wanted.variant === undefined || platform.variant === wanted.variant),
  );
  const only =
    index.manifests.length === 1 ? index.manifests.find(({ platform }) => platform === undefined) : undefined;
  const child = fits ?? only;
  if (child !== undefined) return child;
  const there = index.manifests.map(({ platform }) => (platform ? formatPlatform(platform) : "unknown")).join(", ");
  throw new Failure(
    "not-found",
    `Cannot use image "${source.name}": it has no variant for ${formatPlatform(wanted)}, there is: ${there}`,
  );
}

/** Every manifest below an index, inner first. */
async function* readBelow(source: ImageSource, top: ManifestDocument, depth: number): AsyncGenerator<ManifestDocument> {
  if (depth >= INDEX_DEPTH_MAX) throw tooDeep(source);
  const index = understand(source.name, () => parseIndex(top.bytes.toString("utf8"), top.mediaType));
  for (const { digest } of index.manifests) {
    const child = await source.manifest(digest);
    if (isIndexType(child.mediaType)) yield* readBelow(source, child, depth + 1);
    yield child;
  }
}

interface ImageParts {
  readonly parts: readonly Omit<PlannedBlob, "isThere">[];
  readonly platform: Platform | undefined;
}

async function readImage(source: ImageSource, document: ManifestDocument): Promise<ImageParts> {
  const { config, layers } = understand(source.name, () =>
    parseManifest(document.bytes.toString("utf8"), document.mediaType),
  );
  const image = /\.image\.(?:config\.)?v1\+json$/.test(config.mediaType) ? await readConfig(source, config) : undefined;
  if (image !== undefined && image.rootfs.diff_ids.length !== layers.length) {
    throw new Failure(
      "bad-input",
      `Cannot use image "${source.name}": its config names ${image.rootfs.diff_ids.length} layers, its manifest ${layers.length}`,
    );
  }
  const parts = layers.map((blob, i) => ({ blob, role: "layer" as const, diffId: image?.rootfs.diff_ids[i] }));
  return {
    parts: [{ blob: config, role: "config", diffId: undefined }, ...parts],
    platform: image && {
      os: image.os,
      architecture: image.architecture,
      ...(image.variant && { variant: image.variant }),
    },
  };
}

async function readConfig(source: ImageSource, config: Descriptor): Promise<ReturnType<typeof parseImageConfig>> {
  if (config.size > CONFIG_BYTES_MAX) {
    throw new Failure(
      "bad-input",
      `Cannot use image "${source.name}": its config has ${config.size} bytes, wanted at most ${CONFIG_BYTES_MAX}`,
    );
  }
  const bytes = await collectBytes(verified(source.blob(config, 0), config));
  return understand(source.name, () => parseImageConfig(bytes.toString("utf8")));
}

function formatPlatform({ os, architecture, variant }: Platform): string {
  return `${os}/${architecture}${variant === undefined ? "" : `/${variant}`}`;
}

function tooDeep(source: ImageSource): Failure {
  return new Failure("bad-input", `Cannot use image "${source.name}": its indexes are nested too deep`);
}
