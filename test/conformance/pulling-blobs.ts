/** Pulling blobs: whole, in ranges, conditionally, and what is not there. @see distribution-spec "Pulling blobs"; RFC 9110 14 */
import assert from "node:assert/strict";
import {
  ALGORITHMS,
  type Case,
  contentOf,
  digestOf,
  expectError,
  expectHeader,
  expectStatus,
  pushBlob,
} from "./expect.ts";

const SIZE = 5000;
const bytes = contentOf("ranges", SIZE);

const single: Case[] = [
  ["500-1499", 500, 1500],
  ["500-", 500, SIZE],
  ["-500", SIZE - 500, SIZE],
  ["2000-9000", 2000, SIZE],
  ["0-0", 0, 1],
].map(([spec, from, to]) => ({
  name: `Range bytes=${spec} gives 206 with exactly these bytes`,
  async run(client) {
    const repository = client.repository();
    const digest = await pushBlob(client, repository, bytes);
    const headers = { range: `bytes=${spec}` };
    const got = expectStatus(await client.call("GET", `/v2/${repository}/blobs/${digest}`, { headers }), 206);
    const wanted = bytes.subarray(Number(from), Number(to));
    expectHeader(got, "content-range", `bytes ${from}-${Number(to) - 1}/${SIZE}`);
    expectHeader(got, "content-length", String(wanted.length));
    assert.ok(got.body.equals(wanted), `${got.what}: other bytes`);
  },
}));

const unsatisfiable: Case[] = ["500-0", "5000-10000"].map((spec) => ({
  name: `Range bytes=${spec} gives 416`,
  async run(client) {
    const repository = client.repository();
    const digest = await pushBlob(client, repository, bytes);
    const headers = { range: `bytes=${spec}` };
    expectStatus(await client.call("GET", `/v2/${repository}/blobs/${digest}`, { headers }), 416);
    // The connection must still be good for another request.
    expectStatus(await client.call("GET", `/v2/${repository}/blobs/${digest}`), 200);
  },
}));

const several: Case = {
  name: "1024 ranges give multipart/byteranges with each part",
  async run(client) {
    const repository = client.repository();
    const digest = await pushBlob(client, repository, bytes);
    const starts = Array.from({ length: 1024 }, (_, index) => index * 4);
    const headers = { range: `bytes=${starts.map((from) => `${from}-${from + 1}`).join(",")}` };
    const got = expectStatus(await client.call("GET", `/v2/${repository}/blobs/${digest}`, { headers }), 206);
    const boundary = /^multipart\/byteranges; ?boundary="?([^"]+)"?$/.exec(got.headers["content-type"] ?? "")?.[1];
    assert.ok(boundary, `${got.what}: Content-Type ${got.headers["content-type"]}`);
    const parts = got.body.toString("latin1").split(`--${boundary}`).slice(1, -1);
    assert.equal(parts.length, starts.length);
    for (const [index, from] of starts.entries()) {
      const part = parts[index] ?? "";
      const head = part.indexOf("\r\n\r\n");
      assert.match(part.slice(0, head).toLowerCase(), new RegExp(`content-range: bytes ${from}-${from + 1}/${SIZE}`));
      assert.ok(
        Buffer.from(part.slice(head + 4, -2), "latin1").equals(bytes.subarray(from, from + 2)),
        `part ${index}`,
      );
    }
  },
};

const others: Case[] = [
  {
    name: "a blob has an ETag, and If-None-Match with it gives 304",
    async run(client) {
      const repository = client.repository();
      const target = `/v2/${repository}/blobs/${await pushBlob(client, repository, bytes)}`;
      const got = expectStatus(await client.call("GET", target), 200);
      expectHeader(got, "etag", /./);
      expectHeader(got, "accept-ranges", "bytes");
      const headers = { "if-none-match": got.headers["etag"] ?? "" };
      expectStatus(await client.call("GET", target, { headers }), 304);
    },
  },
  ...ALGORITHMS.map(
    (algorithm): Case => ({
      name: `a blob that is not there gives 404 BLOB_UNKNOWN by ${algorithm}`,
      async run(client) {
        const target = `/v2/${client.repository()}/blobs/${digestOf(contentOf("absent", 10), algorithm)}`;
        expectStatus(await client.call("HEAD", target), 404);
        expectError(await client.call("GET", target), "BLOB_UNKNOWN", 404);
      },
    }),
  ),
  {
    name: "a malformed digest gives 404 or 400, never 500",
    async run(client) {
      for (const digest of ["sha256:baddigeststring", "sha256:", "nonsense", "md5:d41d8cd98f00b204e9800998ecf8427e"])
        expectStatus(await client.call("GET", `/v2/${client.repository()}/blobs/${digest}`), 404, 400);
    },
  },
];

export const pullingBlobs: readonly Case[] = [...single, ...unsatisfiable, several, ...others];
