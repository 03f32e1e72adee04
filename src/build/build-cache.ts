/**
 * BuildCache: results by key, in `cache` beside the store. A key is the digest of everything that a step's result depends on; an entry
 * whose layer has left the store is no entry.
 *
 *   cache/build/<2 hex>/<62 hex>.json   a step's layer, or a whole image
 *   cache/mounts/<id digest>/           what RUN --mount=type=cache keeps
 */
import { createHash } from "node:crypto";
import { byteNameToText } from "../core/bytes.ts";
import { type Digest, parseDigest } from "../core/digest.ts";
import type { Host } from "../host/host.ts";
import { asObject, asString, parseJsonObject } from "../core/json.ts";
import { type Descriptor, parseDescriptor } from "../oci/manifest.ts";
import type { Store } from "../store/store.ts";

export interface LayerResult {
  readonly diffId: Digest;
  readonly descriptor: Descriptor;
}

export interface StepResult {
  /** undefined: the step changed nothing. */
  readonly layer: LayerResult | undefined;
  /** RFC 3339. */
  readonly created: string;
}

export interface BuildCache {
  step(key: string): StepResult | undefined;
  putStep(key: string, result: StepResult): void;
  /** Manifest digest of an image that is still in the store. */
  image(key: string): Digest | undefined;
  putImage(key: string, digest: Digest): void;
  /** Id of the EROFS image that shows these layers merged, if it is still there. */
  tree(diffIds: readonly Digest[]): string | undefined;
  putTree(diffIds: readonly Digest[], imageId: string): void;
}

/** Changes when a key's meaning does. */
const VERSION = "berth-build-1";

/** The digest of a value: sha256 of its JSON, lower-case hex. */
export function cacheKey(material: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify([VERSION, material]))
    .digest("hex");
}

export function openBuildCache(host: Pick<Host, "files" | "random">, store: Store): BuildCache {
  const { files } = host;
  const unique = Buffer.from(host.random(8)).toString("hex");
  const directory = `${cacheRoot(store)}/build`;
  const fileOf = (key: string): string => `${directory}/${key.slice(0, 2)}/${key.slice(2)}.json`;
  const read = <T>(key: string, parse: (text: string) => T): T | undefined => {
    const text = files.readTextIfAny(fileOf(key));
    if (text === undefined) return undefined;
    try {
      return parse(text);
    } catch (error) {
      // A torn or foreign entry is a miss; the step that is run again writes it anew.
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  };
  const write = (key: string, value: unknown): void => {
    const path = fileOf(key);
    files.makeDirectory(path.slice(0, path.lastIndexOf("/")));
    files.write(`${path}.${unique}`, JSON.stringify(value));
    files.rename(`${path}.${unique}`, path);
  };
  return {
    step(key) {
      const result = read(key, parseStepResult);
      if (result?.layer === undefined) return result;
      return store.hasLayer(result.layer.diffId) && store.hasBlob(result.layer.descriptor.digest) ? result : undefined;
    },
    putStep: (key, result) => write(key, { created: result.created, layer: result.layer ?? null }),
    image(key) {
      const digest = read(key, (text) =>
        parseDigest(asString(parseJsonObject(text, "cache entry")["manifest"], "manifest")),
      );
      return digest !== undefined && store.image(digest) !== undefined ? digest : undefined;
    },
    putImage: (key, digest) => write(key, { manifest: digest }),
    tree(diffIds) {
      const id = read(treeKey(diffIds), (text) => asString(parseJsonObject(text, "cache entry")["image"], "image"));
      return id !== undefined && store.hasImage(id) ? id : undefined;
    },
    putTree: (diffIds, imageId) => write(treeKey(diffIds), { image: imageId }),
  };
}

/** All that builds keep between them; it may be deleted at any time. */
export function cacheRoot(store: Pick<Store, "path">): string {
  return `${store.path.slice(0, store.path.lastIndexOf("/"))}/cache`;
}

/** Where a cache mount of this id keeps its files. */
export function cacheMountPath(store: Pick<Store, "path">, id: string): string {
  return `${cacheRoot(store)}/mounts/${createHash("sha256").update(byteNameToText(id)).digest("hex").slice(0, 32)}`;
}

function treeKey(diffIds: readonly Digest[]): string {
  return cacheKey({ tree: diffIds });
}

function parseStepResult(text: string): StepResult {
  const object = parseJsonObject(text, "cache entry");
  const created = asString(object["created"], "created");
  if (object["layer"] === null) return { layer: undefined, created };
  const layer = asObject(object["layer"], "layer");
  return {
    created,
    layer: {
      diffId: parseDigest(asString(layer["diffId"], "diffId")),
      descriptor: parseDescriptor(layer["descriptor"], "descriptor"),
    },
  };
}
