/** Deleting tags, manifests and blobs: gone at once, and only there. @see distribution-spec "Content Management" */
import { ALGORITHMS, type Case, contentOf, expectContent, expectStatus, pushBlob } from "./expect.ts";
import { imageDocument, MANIFEST, pushManifest } from "./manifests.ts";

const accept = { headers: { accept: MANIFEST } };

export const deleting: readonly Case[] = [
  {
    name: "a deleted tag is gone at once, its manifest and other tags stay",
    async run(client) {
      const place = { client, repository: client.repository(), algorithm: "sha256" } as const;
      const document = await imageDocument(place);
      const { digest } = await pushManifest(place, document, "v1");
      await pushManifest(place, document, "v2");
      const at = (reference: string): string => `/v2/${place.repository}/manifests/${reference}`;
      expectStatus(await client.call("DELETE", at("v1")), 202);
      expectStatus(await client.call("HEAD", at("v1"), accept), 404);
      expectStatus(await client.call("DELETE", at("v1")), 404);
      for (const reference of ["v2", digest]) expectStatus(await client.call("HEAD", at(reference), accept), 200);
    },
  },
  ...ALGORITHMS.map(
    (algorithm): Case => ({
      name: `a manifest deleted by ${algorithm} is gone at once with its tags, and stays in another repository`,
      async run(client) {
        const place = { client, repository: client.repository(), algorithm };
        const other = { client, repository: client.repository(), algorithm };
        for (const each of [place, other]) {
          const document = await imageDocument(each);
          await pushManifest(each, document, algorithm === "sha256" ? "v1" : undefined);
        }
        const { digest } = await pushManifest(place, await imageDocument(place));
        expectStatus(await client.call("DELETE", `/v2/${place.repository}/manifests/${digest}`), 202);
        for (const reference of algorithm === "sha256" ? [digest, "v1"] : [digest]) {
          expectStatus(await client.call("HEAD", `/v2/${place.repository}/manifests/${reference}`, accept), 404);
          expectStatus(await client.call("HEAD", `/v2/${other.repository}/manifests/${reference}`, accept), 200);
        }
      },
    }),
  ),
  ...ALGORITHMS.map(
    (algorithm): Case => ({
      name: `a blob deleted by ${algorithm} is gone at once, and stays in another repository`,
      async run(client) {
        const [one, two] = [client.repository(), client.repository()];
        const bytes = contentOf("deleted", 400);
        const digest = await pushBlob(client, one, bytes, algorithm);
        await pushBlob(client, two, bytes, algorithm);
        expectStatus(await client.call("DELETE", `/v2/${one}/blobs/${digest}`), 202);
        expectStatus(await client.call("HEAD", `/v2/${one}/blobs/${digest}`), 404);
        expectStatus(await client.call("DELETE", `/v2/${one}/blobs/${digest}`), 404);
        await expectContent(client, `/v2/${two}/blobs/${digest}`, { bytes, digest });
      },
    }),
  ),
];
