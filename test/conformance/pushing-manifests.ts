/** Manifests: every shape by tag and by digest, and what is refused. @see distribution-spec "Pushing manifests" */
import assert from "node:assert/strict";
import type { Client } from "./client.ts";
import {
  ALGORITHMS,
  type Case,
  contentOf,
  digestOf,
  expectContent,
  expectError,
  expectHeader,
  expectStatus,
  locationOf,
} from "./expect.ts";
import {
  artifactDocument,
  CONFIG,
  imageDocument,
  LAYER,
  MANIFEST,
  type Place,
  pushManifest,
  SHAPES,
} from "./manifests.ts";

const shapes: Case[] = Object.entries(SHAPES).flatMap(([name, make]) =>
  ALGORITHMS.flatMap((algorithm) =>
    (algorithm === "sha256" ? ["by tag", "by digest"] : ["by digest"]).map((how) => ({
      name: `${name} is pushed ${how}, its parts by ${algorithm}, and pulled unchanged`,
      async run(client: Client) {
        const place = { client, repository: client.repository(), algorithm };
        const document = { schemaVersion: 2, ...(await make(place)) };
        const bytes = Buffer.from(JSON.stringify(document, null, 1));
        const digest = digestOf(bytes, algorithm);
        const { mediaType } = document;
        const target = `/v2/${place.repository}/manifests/${how === "by tag" ? "v1" : digest}`;
        const headers = { "content-type": mediaType };
        const done = expectStatus(await client.call("PUT", target, { body: bytes, headers }), 201);
        expectHeader(done, "docker-content-digest", digest);
        await expectContent(client, locationOf(done), { bytes, digest, mediaType });
        await expectContent(client, target, { bytes, digest, mediaType });
        await expectContent(client, `/v2/${place.repository}/manifests/${digest}`, { bytes, digest, mediaType });
      },
    })),
  ),
);

async function put(place: Place, document: unknown, reference = "v1") {
  const body = typeof document === "string" ? Buffer.from(document) : Buffer.from(JSON.stringify(document));
  const target = `/v2/${place.repository}/manifests/${reference}`;
  return place.client.call("PUT", target, { body, headers: { "content-type": MANIFEST } });
}

const refused: Case[] = [
  ...ALGORITHMS.map(
    (algorithm): Case => ({
      name: `a manifest under another ${algorithm} digest gives 400 DIGEST_INVALID`,
      async run(client) {
        const place = { client, repository: client.repository(), algorithm } as const;
        const wrong = digestOf(contentOf("another", 5), algorithm);
        const document = { schemaVersion: 2, ...(await imageDocument(place)) };
        expectError(await put(place, document, wrong), "DIGEST_INVALID", 400);
        expectStatus(await client.call("GET", `/v2/${place.repository}/manifests/${wrong}`), 404);
      },
    }),
  ),
  {
    name: "a manifest whose blobs are missing gives MANIFEST_BLOB_UNKNOWN",
    async run(client) {
      const place = { client, repository: client.repository(), algorithm: "sha256" } as const;
      const missing = { mediaType: LAYER, digest: digestOf(contentOf("missing", 5)), size: 5 };
      const document = { schemaVersion: 2, ...(await imageDocument(place)), layers: [missing] };
      expectError(await put(place, document), "MANIFEST_BLOB_UNKNOWN", 404, 400);
      expectStatus(await client.call("GET", `/v2/${place.repository}/manifests/v1`), 404);
    },
  },
  ...Object.entries({
    "that is no JSON": "not JSON",
    "that is an array": "[]",
    "without a config": { schemaVersion: 2, mediaType: MANIFEST, layers: [] },
    "whose layers are no list": {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, digest: digestOf(Buffer.from("{}")), size: 2 },
      layers: {},
    },
  }).map(
    ([what, document]): Case => ({
      name: `a manifest ${what} gives 400 MANIFEST_INVALID`,
      async run(client) {
        const place = { client, repository: client.repository(), algorithm: "sha256" } as const;
        expectError(await put(place, document), "MANIFEST_INVALID", 400);
      },
    }),
  ),
  {
    name: "a manifest that is too large gives 413",
    async run(client) {
      const place = { client, repository: client.repository(), algorithm: "sha256" } as const;
      const document = {
        schemaVersion: 2,
        ...(await imageDocument(place)),
        annotations: { x: "x".repeat(40_000_000) },
      };
      expectStatus(await put(place, document), 413);
    },
  },
  {
    name: "a manifest that is not there gives 404 MANIFEST_UNKNOWN, by tag and by digest",
    async run(client) {
      for (const reference of ["absent", ...ALGORITHMS.map((a) => digestOf(contentOf("absent", 5), a))]) {
        const target = `/v2/${client.repository()}/manifests/${reference}`;
        expectError(await client.call("GET", target, { headers: { accept: MANIFEST } }), "MANIFEST_UNKNOWN", 404);
        expectStatus(await client.call("HEAD", target, { headers: { accept: MANIFEST } }), 404);
      }
    },
  },
  {
    name: "a malformed digest or tag of a manifest gives 404 or 400, never 500",
    async run(client) {
      for (const reference of ["sha256:baddigeststring", "sha512:00", "-tag", `t${"x".repeat(128)}`])
        expectStatus(await client.call("GET", `/v2/${client.repository()}/manifests/${reference}`), 404, 400);
    },
  },
];

const conditional: Case = {
  name: "a manifest has an ETag that changes with the tag, and If-None-Match gives 304",
  async run(client) {
    const place = { client, repository: client.repository(), algorithm: "sha256" } as const;
    const target = `/v2/${place.repository}/manifests/v1`;
    await pushManifest(place, await imageDocument(place, "one"), "v1");
    const accept = { accept: MANIFEST };
    const etag = expectStatus(await client.call("HEAD", target, { headers: accept }), 200).headers["etag"] ?? "";
    assert.notEqual(etag, "");
    for (const method of ["GET", "HEAD"]) {
      const unchanged = await client.call(method, target, { headers: { ...accept, "if-none-match": etag } });
      assert.equal(expectStatus(unchanged, 304).body.length, 0);
    }
    await pushManifest(place, await imageDocument(place, "two"), "v1");
    expectStatus(await client.call("GET", target, { headers: { ...accept, "if-none-match": etag } }), 200);
  },
};

const manyTags: Case = {
  name: "a manifest pushed by digest with ?tag= gets every tag, and OCI-Tag names them",
  async run(client) {
    for (const algorithm of ALGORITHMS) {
      const place = { client, repository: client.repository(), algorithm };
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...(await artifactDocument(place, "a/b")) }));
      const digest = digestOf(bytes, algorithm);
      const tags = Array.from({ length: 12 }, (_, index) => `tag-${index}`);
      const query = tags.map((tag) => `tag=${tag}`).join("&");
      const done = await client.call("PUT", `/v2/${place.repository}/manifests/${digest}?${query}`, {
        body: bytes,
        headers: { "content-type": MANIFEST },
      });
      expectStatus(done, 201);
      assert.deepEqual((done.headers["oci-tag"] ?? "").split(/, ?/).toSorted(), tags.toSorted());
      for (const tag of tags) {
        const target = `/v2/${place.repository}/manifests/${tag}`;
        await expectContent(client, target, { bytes, digest, mediaType: MANIFEST });
      }
    }
  },
};

export const pushingManifests: readonly Case[] = [...shapes, ...refused, conditional, manyTags];
