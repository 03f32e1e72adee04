/** Tags and the catalog: order, paging. @see distribution-spec "Listing Tags" */
import assert from "node:assert/strict";
import { type Answer, type Client, jsonOf } from "./client.ts";
import { type Case, expectHeader, expectStatus } from "./expect.ts";
import { imageDocument, pushManifest } from "./manifests.ts";

const TAGS = ["Upper", "_under", "a", "a.b", "latest", "v1", "v10", "v2"];

async function tagged(client: Client): Promise<string> {
  const place = { client, repository: client.repository(), algorithm: "sha256" } as const;
  const document = await imageDocument(place);
  for (const tag of TAGS.toReversed()) await pushManifest(place, document, tag);
  return `/v2/${place.repository}/tags/list`;
}

function tagsOf(answer: Answer): unknown {
  return jsonOf(expectStatus(answer, 200))["tags"];
}

/** What follows the Link headers from `target` on. */
async function allPages(client: Client, target: string, read: (answer: Answer) => unknown): Promise<unknown[]> {
  const found: unknown[] = [];
  let next: string | undefined = target;
  for (let pages = 0; next !== undefined; pages += 1) {
    assert.ok(pages < 1000, "the pages have no end");
    const answer: Answer = await client.call("GET", next);
    const page = read(answer);
    assert.ok(Array.isArray(page), `${answer.what}: no list`);
    found.push(...page);
    next = /^<([^>]+)>; ?rel="?next"?$/.exec(answer.headers["link"] ?? "")?.[1];
  }
  return found;
}

export const listing: readonly Case[] = [
  {
    name: "tags are listed in byte order",
    async run(client) {
      assert.deepEqual(tagsOf(await client.call("GET", await tagged(client))), TAGS);
    },
  },
  {
    name: "n cuts the list and gives a Link, which leads through all",
    async run(client) {
      const target = await tagged(client);
      const first = await client.call("GET", `${target}?n=3`);
      assert.deepEqual(tagsOf(first), TAGS.slice(0, 3));
      expectHeader(first, "link", /rel="?next"?/);
      assert.deepEqual(await allPages(client, `${target}?n=3`, tagsOf), TAGS);
    },
  },
  {
    name: "n of the whole list gives no Link",
    async run(client) {
      const answer = await client.call("GET", `${await tagged(client)}?n=${TAGS.length}`);
      assert.deepEqual(tagsOf(answer), TAGS);
      assert.equal(answer.headers["link"], undefined);
    },
  },
  {
    name: "last is exclusive, with and without n, also for a tag that is not there",
    async run(client) {
      const target = await tagged(client);
      assert.deepEqual(tagsOf(await client.call("GET", `${target}?last=latest`)), TAGS.slice(5));
      assert.deepEqual(tagsOf(await client.call("GET", `${target}?last=latest&n=2`)), TAGS.slice(5, 7));
      assert.deepEqual(tagsOf(await client.call("GET", `${target}?last=m`)), TAGS.slice(5));
    },
  },
  {
    name: "n=0 gives an empty list without Link",
    async run(client) {
      const answer = await client.call("GET", `${await tagged(client)}?n=0`);
      assert.deepEqual(tagsOf(answer), []);
      assert.equal(answer.headers["link"], undefined);
    },
  },
  {
    name: "the tags of an unknown repository are 404 or an empty list",
    async run(client) {
      expectStatus(await client.call("GET", `/v2/${client.repository()}/tags/list`), 404, 200);
    },
  },
  {
    name: "the catalog lists repositories, in pages",
    async run(client) {
      const names = [];
      for (let count = 0; count < 3; count += 1) names.push((await tagged(client)).slice(4, -"/tags/list".length));
      const read = (answer: Answer): unknown => jsonOf(expectStatus(answer, 200))["repositories"];
      const all = await allPages(client, "/v2/_catalog?n=2", read);
      for (const name of names) assert.equal(all.filter((entry) => entry === name).length, 1, name);
    },
  },
];
