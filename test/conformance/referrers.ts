/** Subjects and the referrers API. @see distribution-spec "Listing Referrers", "Pushing manifests with subject" */
import assert from "node:assert/strict";
import { type Answer, jsonOf } from "./client.ts";
import { ALGORITHMS, type Algorithm, type Case, contentOf, digestOf, expectHeader, expectStatus } from "./expect.ts";
import {
  artifactDocument,
  CONFIG,
  type Descriptor,
  type Document,
  imageDocument,
  INDEX,
  MANIFEST,
  type Place,
  plain,
  pushManifest,
} from "./manifests.ts";

const SBOM = "application/vnd.example.sbom";
const SIGNATURE = "application/vnd.example.signature";

function manifestsOf(answer: Answer): readonly Descriptor[] {
  expectStatus(answer, 200);
  expectHeader(answer, "content-type", INDEX);
  const { mediaType, manifests, schemaVersion } = jsonOf(answer);
  assert.equal(mediaType, INDEX);
  assert.equal(schemaVersion, 2);
  assert.ok(Array.isArray(manifests));
  return manifests as Descriptor[];
}

async function put(place: Place, document: Document): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...document }));
  const digest = digestOf(bytes, place.algorithm);
  const { mediaType } = document;
  const target = `/v2/${place.repository}/manifests/${digest}`;
  const done = await place.client.call("PUT", target, { body: bytes, headers: { "content-type": mediaType } });
  expectStatus(done, 201);
  if (document.subject !== undefined) expectHeader(done, "oci-subject", document.subject.digest);
  return { mediaType, digest, size: bytes.length };
}

const byDigest = (left: Descriptor, right: Descriptor): number => (left.digest < right.digest ? -1 : 1);

function cases(algorithm: Algorithm): Case[] {
  return [
    {
      name: `referrers of an unknown subject in an unknown repository are an empty index (${algorithm})`,
      async run(client) {
        const subject = digestOf(contentOf("no subject", 5), algorithm);
        const answer = await client.call("GET", `/v2/${client.repository()}/referrers/${subject}`);
        assert.deepEqual(manifestsOf(answer), []);
      },
    },
    {
      name: `manifests with a subject answer OCI-Subject and are listed with type and annotations (${algorithm})`,
      async run(client) {
        const place = { client, repository: client.repository(), algorithm };
        const subject = plain(await pushManifest(place, await imageDocument(place)));
        const sbom = await put(place, await artifactDocument(place, SBOM, subject));
        const image = await put(place, { ...(await imageDocument(place, "referring")), subject });
        const list = { mediaType: INDEX, manifests: [], subject, annotations: { a: "b" } };
        const index = await put(place, list);
        const target = `/v2/${place.repository}/referrers/${subject.digest}`;
        const annotations = { "org.example.kind": SBOM };
        assert.deepEqual(
          manifestsOf(await client.call("GET", target)).toSorted(byDigest),
          [
            { ...sbom, artifactType: SBOM, annotations },
            { ...image, artifactType: CONFIG },
            { ...index, annotations: { a: "b" } },
          ].toSorted(byDigest),
        );
      },
    },
    {
      name: `the referrers filter gives only that type and says so (${algorithm})`,
      async run(client) {
        const place = { client, repository: client.repository(), algorithm };
        const subject = plain(await pushManifest(place, await imageDocument(place)));
        await put(place, await artifactDocument(place, SBOM, subject));
        const signature = await put(place, await artifactDocument(place, SIGNATURE, subject));
        const query = `artifactType=${encodeURIComponent(SIGNATURE)}`;
        const answer = await client.call("GET", `/v2/${place.repository}/referrers/${subject.digest}?${query}`);
        assert.deepEqual(
          manifestsOf(answer).map(({ digest }) => digest),
          [signature.digest],
        );
        expectHeader(answer, "oci-filters-applied", "artifactType");
      },
    },
    {
      name: `a subject that is not there is accepted, and its referrers are listed (${algorithm})`,
      async run(client) {
        const place = { client, repository: client.repository(), algorithm };
        const digest = digestOf(contentOf("later", 5), algorithm);
        const referrer = await put(
          place,
          await artifactDocument(place, SBOM, { mediaType: MANIFEST, digest, size: 5 }),
        );
        const answer = await client.call("GET", `/v2/${place.repository}/referrers/${digest}`);
        assert.deepEqual(
          manifestsOf(answer).map((entry) => entry.digest),
          [referrer.digest],
        );
      },
    },
    {
      name: `a deleted manifest is no referrer any more (${algorithm})`,
      async run(client) {
        const place = { client, repository: client.repository(), algorithm };
        const subject = plain(await pushManifest(place, await imageDocument(place)));
        const { digest } = await put(place, await artifactDocument(place, SBOM, subject));
        expectStatus(await client.call("DELETE", `/v2/${place.repository}/manifests/${digest}`), 202);
        const answer = await client.call("GET", `/v2/${place.repository}/referrers/${subject.digest}`);
        assert.deepEqual(manifestsOf(answer), []);
      },
    },
  ];
}

export const referrers: readonly Case[] = ALGORITHMS.flatMap(cases);
