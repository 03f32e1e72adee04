/**
 * An image as `docker save` writes it (`docker-archive:`). The format has no manifest of its image: it holds the config and the layers
 * as plain tars. So the config's digest (the image's id) and the layers' diff ids stay, and the manifest does not: reading gives an OCI
 * manifest with uncompressed layers, writing decompresses them.
 *
 * @see docker-archive in containers-transports(5); moby image specification v1.2, "Combined Image JSON + Filesystem Changeset Format"
 */
import { counted } from "../../core/counted.ts";
import { collectBytes } from "../../core/bytes.ts";
import { decompress, sniffCompression } from "../../core/compress.ts";
import { createDigester, type Digest, digestHex, digestOf } from "../../core/digest.ts";
import { Failure } from "../../core/failure.ts";
import { asArray, asObject, asString, optional } from "../../core/json.ts";
import { verified } from "../../core/verified.ts";
import { parseImageConfig } from "../../oci/config.ts";
import { type Descriptor, formatManifest } from "../../oci/manifest.ts";
import { CONFIG, LAYER, LAYER_GZIP, LAYER_ZSTD, layerCompression, MANIFEST } from "../../oci/media-types.ts";
import { readSmallFile, toDocument, understand } from "./documents.ts";
import type { FileReader } from "./file-set.ts";
import type { ImageSink, ImageSource } from "./image-io.ts";
import type { NamedImage } from "./layout-image.ts";
import type { TarWriter } from "./tar-archive.ts";

const MANIFEST_FILE = "manifest.json";
const LAYER_TYPES = { none: LAYER, gzip: LAYER_GZIP, zstd: LAYER_ZSTD } as const;

interface SavedImage {
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

/** Failure "not-found", "bad-input". */
export async function readDockerArchiveImage(files: FileReader, { name, ref }: NamedImage): Promise<ImageSource> {
  const text = await readSmallFile(files, MANIFEST_FILE, name);
  const image = chooseSaved(
    understand(name, () => parseSaved(text.toString("utf8"))),
    ref,
    name,
  );
  const configBytes = await readSmallFile(files, image.config, name);
  const { rootfs } = understand(name, () => parseImageConfig(configBytes.toString("utf8")));
  if (rootfs.diff_ids.length !== image.layers.length) {
    throw new Failure(
      "bad-input",
      `Cannot read image "${name}": its config names ${rootfs.diff_ids.length} layers, its manifest ${image.layers.length}`,
    );
  }
  const config: Descriptor = { mediaType: CONFIG, digest: digestOf(configBytes), size: configBytes.length };
  const members = new Map<Digest, string>([[config.digest, image.config]]);
  const layers: Descriptor[] = [];
  for (const [i, member] of image.layers.entries()) {
    const layer = await describeLayer(files, member, rootfs.diff_ids[i], name);
    members.set(layer.digest, member);
    layers.push(layer);
  }
  const bytes = Buffer.from(formatManifest({ schemaVersion: 2, mediaType: MANIFEST, config, layers }));
  return {
    name,
    manifest: async () => toDocument(bytes, name),
    blob: (blob, from) => files.read(members.get(blob.digest) ?? "", from),
    requireTrust: async () => {},
    [Symbol.asyncDispose]: async () => files[Symbol.dispose](),
  };
}

export function writeDockerArchiveImage(files: TarWriter, { name, ref }: NamedImage): ImageSink {
  const layerFile = (diffId: Digest): string => `${digestHex(diffId)}.tar`;
  let diffIds: readonly Digest[] = [];
  let config: Digest | undefined;
  return {
    name,
    takesIndex: false,
    rewrites: "layers are decompressed, and the format has no place for the manifest",
    begin() {},
    hasBlob: async () => false,
    async putBlob({ blob, role, diffId, open, onBytes }) {
      if (role === "config") {
        const bytes = await collectBytes(verified(open(0), blob));
        config = blob.digest;
        diffIds = understand(name, () => parseImageConfig(bytes.toString("utf8"))).rootfs.diff_ids;
        files.putBytes(`${digestHex(blob.digest)}.json`, bytes);
        return undefined;
      }
      const compression = layerCompression(blob.mediaType);
      if (diffId === undefined || compression === undefined) throw notAnImage(name);
      await files.putStream(
        layerFile(diffId),
        plainLayer(counted(verified(open(0), blob), onBytes), compression, diffId),
      );
      return undefined;
    },
    putManifest: async () => {},
    async finish() {
      if (config === undefined) throw notAnImage(name);
      const entry = {
        Config: `${digestHex(config)}.json`,
        RepoTags: ref === undefined ? [] : [ref],
        Layers: diffIds.map(layerFile),
      };
      files.putBytes(MANIFEST_FILE, JSON.stringify([entry]));
      files.finish();
    },
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  };
}

async function* plainLayer(
  source: AsyncIterable<Uint8Array>,
  compression: NonNullable<ReturnType<typeof layerCompression>>,
  diffId: Digest,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digester = createDigester();
  for await (const chunk of decompress(source, compression)) {
    digester.update(chunk);
    yield chunk;
  }
  const actual = digester.digest();
  if (actual !== diffId)
    throw new Failure(
      "digest-mismatch",
      `Cannot accept a layer: its tar hashes to ${actual}, wanted ${diffId} as the image's config says`,
    );
}

/** A plain tar is named by its diff id; a compressed one, which some writers make, must be hashed. */
async function describeLayer(
  files: FileReader,
  member: string,
  diffId: Digest | undefined,
  name: string,
): Promise<Descriptor> {
  const size = files.size(member);
  if (size === undefined || diffId === undefined)
    throw new Failure("not-found", `Cannot read image "${name}": it has no ${member}`);
  const compression = sniffCompression(await collectBytes(files.read(member, 0, Math.min(size, 8))));
  if (compression === "none") return { mediaType: LAYER, digest: diffId, size };
  const digester = createDigester();
  for await (const chunk of files.read(member)) digester.update(chunk);
  return { mediaType: LAYER_TYPES[compression], digest: digester.digest(), size };
}

/** Throws SyntaxError. */
function parseSaved(text: string): readonly SavedImage[] {
  return asArray(JSON.parse(text), MANIFEST_FILE).map((value, i) => {
    const what = `${MANIFEST_FILE}[${i}]`;
    const object = asObject(value, what);
    const tags = optional(object["RepoTags"], `${what}.RepoTags`, asArray) ?? [];
    return {
      config: asString(object["Config"], `${what}.Config`),
      tags: tags.map((tag) => asString(tag, `${what}.RepoTags`)),
      layers: asArray(object["Layers"], `${what}.Layers`).map((layer) => asString(layer, `${what}.Layers`)),
    };
  });
}

function chooseSaved(images: readonly SavedImage[], ref: string | undefined, name: string): SavedImage {
  const fitting = images.filter(({ tags }) => ref === undefined || tags.includes(ref));
  const [first] = fitting;
  const tags = images.flatMap((image) => image.tags).join(", ") || "none with a name";
  if (first === undefined) throw new Failure("not-found", `Cannot find image "${name}": there is ${tags}`);
  if (fitting.length === 1) return first;
  throw new Failure(
    "bad-input",
    `Cannot choose an image of "${name}": there are ${fitting.length}, wanted one of ${tags}`,
  );
}

function notAnImage(name: string): Failure {
  return new Failure(
    "unsupported",
    `Cannot write "${name}": a docker-archive holds images only, this is another artifact`,
  );
}
