/** Pushing blobs: every way in, in both algorithms, and what is refused. @see distribution-spec "Pushing blobs" */
import assert from "node:assert/strict";
import type { Answer, Client } from "./client.ts";
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
  OCTETS,
  pushBlob,
  withQuery,
} from "./expect.ts";

type Way = (client: Client, repository: string, bytes: Buffer, digest: string) => Promise<Answer>;

const start = async (client: Client, repository: string): Promise<string> =>
  locationOf(expectStatus(await client.call("POST", `/v2/${repository}/blobs/uploads/`), 202));

const WAYS: Readonly<Record<string, Way>> = {
  "a single POST": (client, repository, body, digest) =>
    client.call("POST", `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body, headers: OCTETS }),
  "POST and PUT": async (client, repository, body, digest) =>
    client.call("PUT", withQuery(await start(client, repository), `digest=${digest}`), { body, headers: OCTETS }),
  "a streamed PATCH": async (client, repository, bytes, digest) => {
    const half = Math.floor(bytes.length / 2);
    const body = [bytes.subarray(0, half), bytes.subarray(half)].filter((piece) => piece.length > 0);
    const patch = await client.call("PATCH", await start(client, repository), {
      body,
      headers: { ...OCTETS, "transfer-encoding": "chunked" },
    });
    expectStatus(patch, 202);
    return client.call("PUT", withQuery(locationOf(patch), `digest=${digest}`));
  },
  "chunks, the last in the PUT": async (client, repository, bytes, digest) => {
    let location = await start(client, repository);
    const third = Math.ceil(bytes.length / 3);
    for (const from of [0, third]) {
      const body = bytes.subarray(from, from + third);
      const headers = { ...OCTETS, "content-range": `${from}-${from + body.length - 1}` };
      const patch = expectStatus(await client.call("PATCH", location, { body, headers }), 202);
      expectHeader(patch, "range", `0-${from + body.length - 1}`);
      location = locationOf(patch);
    }
    const body = bytes.subarray(2 * third);
    const headers = { ...OCTETS, "content-range": `${2 * third}-${bytes.length - 1}` };
    return client.call("PUT", withQuery(location, `digest=${digest}`), { body, headers });
  },
};

function storing(name: string, way: Way, bytes: Buffer): Case[] {
  return ALGORITHMS.map((algorithm) => ({
    name: `${name} stores a blob of ${bytes.length} bytes by ${algorithm}`,
    async run(client) {
      const repository = client.repository();
      const digest = digestOf(bytes, algorithm);
      const done = expectStatus(await way(client, repository, bytes, digest), 201);
      expectHeader(done, "docker-content-digest", digest);
      await expectContent(client, locationOf(done), { bytes, digest });
      await expectContent(client, `/v2/${repository}/blobs/${digest}`, { bytes, digest });
    },
  }));
}

const refusing: Case[] = Object.entries(WAYS).flatMap(([name, way]) =>
  ALGORITHMS.map((algorithm) => ({
    name: `${name} with a wrong ${algorithm} digest gives 400 DIGEST_INVALID and no blob`,
    async run(client) {
      const repository = client.repository();
      const wrong = digestOf(contentOf("other", 10), algorithm);
      expectError(await way(client, repository, contentOf("bytes", 900), wrong), "DIGEST_INVALID", 400);
      expectStatus(await client.call("HEAD", `/v2/${repository}/blobs/${wrong}`), 404);
    },
  })),
);

const outOfOrder: Case[] = ["PATCH", "PUT"].map((method) => ({
  name: `a ${method} that does not go on where the upload is gives 416 with Location and Range, and the upload lives on`,
  async run(client) {
    const repository = client.repository();
    const bytes = contentOf("chunks", 1000);
    const digest = digestOf(bytes);
    const first = { ...OCTETS, "content-range": "0-599" };
    const patch = await client.call("PATCH", await start(client, repository), {
      body: bytes.subarray(0, 600),
      headers: first,
    });
    let location = locationOf(expectStatus(patch, 202));
    for (const range of ["700-999", "0-399", "599-998"]) {
      const [from = 0, to = 0] = range.split("-").map(Number);
      const target = method === "PUT" ? withQuery(location, `digest=${digest}`) : location;
      const refused = await client.call(method, target, {
        body: bytes.subarray(from, to + 1),
        headers: { ...OCTETS, "content-range": range },
      });
      expectStatus(refused, 416);
      expectHeader(refused, "range", "0-599");
      const status = expectStatus(await client.call("GET", locationOf(refused)), 204);
      expectHeader(status, "range", "0-599");
      location = locationOf(status);
    }
    const last = { ...OCTETS, "content-range": "600-999" };
    const target = withQuery(location, `digest=${digest}`);
    const done = await client.call("PUT", target, { body: bytes.subarray(600), headers: last });
    await expectContent(client, locationOf(expectStatus(done, 201)), { bytes, digest });
  },
}));

const mounting: Case[] = [
  ...ALGORITHMS.map((algorithm) => ({
    name: `a mount from another repository gives 201 by ${algorithm}`,
    async run(client: Client) {
      const [source, target] = [client.repository(), client.repository()];
      const bytes = contentOf("mounted", 700);
      const digest = await pushBlob(client, source, bytes, algorithm);
      const mount = `/v2/${target}/blobs/uploads/?mount=${digest}&from=${encodeURIComponent(source)}`;
      await expectContent(client, locationOf(expectStatus(await client.call("POST", mount), 201)), { bytes, digest });
    },
  })),
  {
    name: "a mount without from gives 201 when the registry has the blob",
    async run(client) {
      const [source, target] = [client.repository(), client.repository()];
      const bytes = contentOf("mounted without from", 700);
      const digest = await pushBlob(client, source, bytes);
      const done = await client.call("POST", `/v2/${target}/blobs/uploads/?mount=${digest}`);
      await expectContent(client, locationOf(expectStatus(done, 201)), { bytes, digest });
    },
  },
  {
    name: "a mount of a blob that is nowhere becomes an upload",
    async run(client) {
      const repository = client.repository();
      const bytes = contentOf("nowhere", 700);
      const digest = digestOf(bytes);
      for (const query of [`mount=${digest}&from=${client.repository()}`, `mount=${digest}`]) {
        const session = await client.call("POST", `/v2/${repository}/blobs/uploads/?${query}`);
        const target = withQuery(locationOf(expectStatus(session, 202)), `digest=${digest}`);
        expectStatus(await client.call("PUT", target, { body: bytes, headers: OCTETS }), 201);
        expectStatus(await client.call("DELETE", `/v2/${repository}/blobs/${digest}`), 202);
      }
    },
  },
];

const sessions: Case[] = [
  {
    name: "an upload can be cancelled, and is then unknown",
    async run(client) {
      const location = await start(client, client.repository());
      expectStatus(await client.call("DELETE", location), 204);
      expectError(await client.call("GET", location), "BLOB_UPLOAD_UNKNOWN", 404);
    },
  },
  {
    name: "an upload that was never started is unknown",
    async run(client) {
      const location = await start(client, client.repository());
      const other = location.replace(/[0-9a-f](?=[0-9a-f-]*$|[0-9a-f-]*\?)/, (digit) => (digit === "0" ? "1" : "0"));
      assert.notEqual(other, location);
      expectStatus(await client.call("GET", other), 404);
    },
  },
  {
    name: "a PUT with a malformed digest gives 400 DIGEST_INVALID",
    async run(client) {
      const target = withQuery(await start(client, client.repository()), "digest=sha256:baddigeststring");
      const answer = await client.call("PUT", target, { body: contentOf("x", 10), headers: OCTETS });
      expectError(answer, "DIGEST_INVALID", 400);
    },
  },
  {
    name: "OCI-Chunk-Min-Length, when it is there, is a number of bytes",
    async run(client) {
      const session = await client.call("POST", `/v2/${client.repository()}/blobs/uploads/`);
      const length = expectStatus(session, 202).headers["oci-chunk-min-length"];
      if (length !== undefined) assert.match(length, /^\d+$/);
    },
  },
  {
    name: "digest-algorithm at the start of an upload is taken",
    async run(client) {
      const repository = client.repository();
      const bytes = contentOf("algorithm", 800);
      for (const algorithm of ALGORITHMS) {
        const digest = digestOf(bytes, algorithm);
        const target = `/v2/${repository}/blobs/uploads/?digest-algorithm=${algorithm}`;
        const location = locationOf(expectStatus(await client.call("POST", target), 202));
        const put = withQuery(location, `digest=${digest}`);
        const done = expectStatus(await client.call("PUT", put, { body: bytes, headers: OCTETS }), 201);
        expectHeader(done, "docker-content-digest", digest);
      }
    },
  },
];

export const pushingBlobs: readonly Case[] = [
  ...Object.entries(WAYS).flatMap(([name, way]) => storing(name, way, contentOf("blob", 5000))),
  ...Object.entries(WAYS)
    .filter(([name]) => !name.startsWith("chunks"))
    .flatMap(([name, way]) => storing(name, way, Buffer.alloc(0))),
  ...refusing,
  ...outOfOrder,
  ...mounting,
  ...sessions,
];
