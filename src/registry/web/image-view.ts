/**
 * ImageView: an image as the page shows it, read from the registry's own storage. A configuration, a list of packages or a
 * referrer that is missing or malformed leaves its part out; the rest is shown.
 */
import { collectBytes } from "../../core/bytes.ts";
import type { Digest } from "../../core/digest.ts";
import { type HistoryEntry, type ImageConfig, parseImageConfig } from "../../oci/config.ts";
import { type Descriptor, type Manifest, MANIFEST_BYTES_MAX, parseIndex, parseManifest } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import type { Driver } from "../driver.ts";
import { checkJsonShape } from "../json-limits.ts";
import type { Repository } from "../repository.ts";
import type { Reference } from "../route.ts";
import { isSbomType, type Packages, parsePackages, sbomLayer } from "./sbom.ts";

export interface ImageView {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Entries of an index; empty for an image. */
  readonly variants: readonly Descriptor[];
  readonly layers: readonly LayerView[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly platform: string | undefined;
  readonly created: string | undefined;
  /** undefined when no SBOM is attached, or none that can be read. */
  readonly packages: Packages | undefined;
  readonly referrers: readonly Descriptor[];
  /** Of manifest, configuration and all layers; of an index alone. */
  readonly totalBytes: number;
}

export interface LayerView extends Descriptor {
  /** From the configuration's history; undefined when that does not tell. */
  readonly instruction: string | undefined;
}

const CONFIG_BYTES_MAX = 4 * 1024 * 1024;
const SBOM_BYTES_MAX = 8 * 1024 * 1024;
const REFERRERS_READ_MAX = 100;
/** The first that can be read is shown; one that cannot costs as much to find out. */
const SBOMS_TRIED_MAX = 3;
const PACKAGES_KEPT_MAX = 16;

export interface ImageSources {
  readonly driver: Driver;
  /** By the SBOM's digest, undefined for one that cannot be read: parsing megabytes at each visit would keep others waiting. */
  readonly packages: Map<Digest, Packages | undefined>;
}

/** Manifest and configuration only: for lists. undefined when the repository has no such image. */
export async function readImageSummary(
  { driver }: ImageSources,
  repository: Repository,
  reference: Reference,
): Promise<ImageView | undefined> {
  const record = await repository.findManifest(reference);
  const bytes = record && (await readBlob(driver, record.digest, MANIFEST_BYTES_MAX));
  if (record === undefined || bytes === undefined) return undefined;
  const text = bytes.toString("utf8");
  const common = { digest: record.digest, mediaType: record.mediaType, packages: undefined, referrers: [] };
  if (isIndexType(record.mediaType)) {
    const { manifests, annotations = {} } = parseIndex(text, record.mediaType);
    const rest = {
      layers: [],
      labels: {},
      annotations,
      platform: undefined,
      created: undefined,
      totalBytes: bytes.length,
    };
    return { ...common, ...rest, variants: manifests };
  }
  const manifest = parseManifest(text, record.mediaType);
  const config = await readConfig(driver, repository, manifest);
  return {
    ...common,
    variants: [],
    layers: withInstructions(manifest.layers, config?.history ?? []),
    labels: config?.config.Labels ?? {},
    annotations: manifest.annotations ?? {},
    platform: config && [config.os, config.architecture, config.variant].filter((part) => part !== undefined).join("/"),
    created: config?.created,
    totalBytes: manifest.layers.reduce((sum, layer) => sum + layer.size, bytes.length + manifest.config.size),
  };
}

/** With packages and referrers. */
export async function readImage(
  sources: ImageSources,
  repository: Repository,
  reference: Reference,
): Promise<ImageView | undefined> {
  const summary = await readImageSummary(sources, repository, reference);
  if (summary === undefined) return undefined;
  const referrers = await repository.referrers(summary.digest);
  let packages: Packages | undefined;
  let tried = 0;
  const sboms = referrers.filter(({ artifactType }) => isSbomType(artifactType)).slice(0, REFERRERS_READ_MAX);
  for (const referrer of sboms) {
    if (packages !== undefined || tried >= SBOMS_TRIED_MAX) break;
    const artifact = await readArtifact(sources.driver, referrer);
    if (artifact === undefined) continue;
    tried += 1;
    packages = await readPackages(sources, repository, artifact);
  }
  return { ...summary, packages, referrers };
}

/** The k-th layer was made by the k-th entry of the history that is not empty, if there are as many of one as of the other. */
export function withInstructions(layers: readonly Descriptor[], history: readonly HistoryEntry[]): LayerView[] {
  const makers = history.filter((entry) => entry.empty_layer !== true);
  const isAligned = makers.length === layers.length;
  return layers.map((layer, i) => ({ ...layer, instruction: isAligned ? instructionOf(makers[i]) : undefined }));
}

/** As it stood in the Containerfile: without the shell that docker and BuildKit put around it. */
function instructionOf(entry: HistoryEntry | undefined): string | undefined {
  const text = (entry?.created_by ?? entry?.comment ?? "").trim();
  const bare = text
    .replace(/^\/bin\/sh -c #\(nop\)\s+/, "")
    .replace(/^(?:\|\d+ .*?)?\/bin\/sh -c /, "RUN ")
    .replace(/\s+# buildkit$/, "");
  return bare === "" ? undefined : bare;
}

async function readConfig(
  driver: Driver,
  repository: Repository,
  { config }: Manifest,
): Promise<ImageConfig | undefined> {
  if (!(await repository.hasBlob(config.digest))) return undefined;
  const bytes = await readBlob(driver, config.digest, CONFIG_BYTES_MAX);
  if (bytes === undefined) return undefined;
  return parsedOrNone(() => {
    checkJsonShape(bytes, "image configuration");
    return parseImageConfig(bytes.toString("utf8"));
  });
}

async function readArtifact(driver: Driver, referrer: Descriptor): Promise<Manifest | undefined> {
  const bytes = await readBlob(driver, referrer.digest, MANIFEST_BYTES_MAX);
  return bytes && parsedOrNone(() => parseManifest(bytes.toString("utf8"), referrer.mediaType));
}

/** Only a blob that this repository holds: a manifest may name others, which its readers may not see. */
async function readPackages(
  { driver, packages }: ImageSources,
  repository: Repository,
  artifact: Manifest,
): Promise<Packages | undefined> {
  const digest = sbomLayer(artifact.layers)?.digest;
  if (digest === undefined || !(await repository.hasBlob(digest))) return undefined;
  if (packages.has(digest)) return packages.get(digest);
  const bytes = await readBlob(driver, digest, SBOM_BYTES_MAX);
  const read = bytes && parsedOrNone(() => parsePackages(bytes));
  if (packages.size >= PACKAGES_KEPT_MAX) packages.clear();
  packages.set(digest, read);
  return read;
}

/** undefined when it is not here or larger than `limit` bytes. */
async function readBlob(driver: Driver, digest: Digest, limit: number): Promise<Buffer | undefined> {
  const size = await driver.blobSize(digest);
  if (size === undefined || size > limit) return undefined;
  return collectBytes(driver.readBlob(digest, { start: 0, end: size }));
}

function parsedOrNone<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
