/** The manifests that cases push: every shape that the image specification allows and registries have stumbled over. */
import { type Client } from "./client.ts";
import { type Algorithm, contentOf, digestOf, expectStatus, pushBlob } from "./expect.ts";

export const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const INDEX = "application/vnd.oci.image.index.v1+json";
export const CONFIG = "application/vnd.oci.image.config.v1+json";
export const LAYER = "application/vnd.oci.image.layer.v1.tar+gzip";
const EMPTY = "application/vnd.oci.empty.v1+json";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly [more: string]: unknown;
}

export interface Document {
  readonly mediaType: string;
  readonly subject?: Descriptor;
  readonly [key: string]: unknown;
}

export interface Pushed extends Descriptor {
  readonly bytes: Buffer;
}

export interface Place {
  readonly client: Client;
  readonly repository: string;
  readonly algorithm: Algorithm;
}

/** Pushes `document` by `reference`, or by its digest. */
export async function pushManifest(place: Place, document: Document, reference?: string): Promise<Pushed> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...document }));
  const { client, repository, algorithm } = place;
  const digest = digestOf(bytes, reference === undefined ? algorithm : "sha256");
  const answer = await client.call("PUT", `/v2/${repository}/manifests/${reference ?? digest}`, {
    body: bytes,
    headers: { "content-type": document.mediaType },
  });
  expectStatus(answer, 201);
  return { mediaType: document.mediaType, digest, size: bytes.length, bytes };
}

export async function pushDescribed(place: Place, bytes: Buffer, mediaType: string): Promise<Descriptor> {
  const digest = await pushBlob(place.client, place.repository, bytes, place.algorithm);
  return { mediaType, digest, size: bytes.length };
}

/** Config and two layers pushed; the document is not. */
export async function imageDocument(place: Place, seed = "image"): Promise<Document & { readonly config: Descriptor }> {
  const config = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", seed }));
  return {
    mediaType: MANIFEST,
    config: await pushDescribed(place, config, CONFIG),
    layers: [
      await pushDescribed(place, contentOf(`${seed}/1`, 3000), LAYER),
      await pushDescribed(place, contentOf(`${seed}/2`, 200), LAYER),
    ],
  };
}

export async function artifactDocument(place: Place, artifactType: string, subject?: Descriptor): Promise<Document> {
  const empty = await pushDescribed(place, Buffer.from("{}"), EMPTY);
  return {
    mediaType: MANIFEST,
    artifactType,
    config: empty,
    layers: [empty],
    annotations: { "org.example.kind": artifactType },
    ...(subject && { subject: plain(subject) }),
  };
}

/** Only what a descriptor must have. */
export function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

/** By name: what makes the document, after pushing what it names. */
export const SHAPES: Readonly<Record<string, (place: Place) => Promise<Document>>> = {
  "an image": (place) => imageDocument(place),
  "an image without layers": async (place) => ({ ...(await imageDocument(place)), layers: [] }),
  "an image with a zero-byte layer": async (place) => ({
    ...(await imageDocument(place)),
    layers: [await pushDescribed(place, Buffer.alloc(0), LAYER)],
  }),
  "an image with unknown fields": async (place) => ({
    ...(await imageDocument(place)),
    "org.example.field": { nested: [1, "two", null] },
  }),
  "an image with a data field": async (place) => {
    const image = await imageDocument(place);
    const data = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", seed: "image" })).toString("base64");
    return { ...image, config: { ...image.config, data } };
  },
  "layers that are fetched elsewhere": async (place) => ({
    ...(await imageDocument(place)),
    layers: ["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", LAYER].map((mediaType) => ({
      mediaType,
      digest: digestOf(contentOf("elsewhere", 100), place.algorithm),
      size: 100,
      urls: ["https://layers.example.com/layer"],
    })),
  }),
  "an index": async (place) => ({
    mediaType: INDEX,
    manifests: [plain(await pushManifest(place, await imageDocument(place, "child")))],
  }),
  "an empty index": async () => ({ mediaType: INDEX, manifests: [] }),
  "an index of an index": async (place) => {
    const inner = await pushManifest(place, { mediaType: INDEX, manifests: [] });
    return { mediaType: INDEX, manifests: [plain(inner)] };
  },
  "an artifact": (place) => artifactDocument(place, "application/vnd.example.thing"),
  "an artifact index": async (place) => ({
    mediaType: INDEX,
    artifactType: "application/vnd.example.list",
    manifests: [plain(await pushManifest(place, await artifactDocument(place, "application/vnd.example.thing")))],
  }),
  "a manifest of 3.9 MB": async (place) => ({
    ...(await imageDocument(place)),
    annotations: { "org.example.padding": "x".repeat(3_900_000) },
  }),
};
