import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import { openTestRegistry } from "./testing.ts";

const content = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251));
const digest = digestOf(content);
const path = `/v2/team/os/blobs/${digest}`;

async function errorCode(response: Response): Promise<string> {
  return ((await response.json()) as { errors: { code: string }[] }).errors[0]?.code ?? "";
}

test("GET and HEAD of a blob give length, digest, ETag and cache headers", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", content);
  const got = await registry.call("GET", path);
  assert.equal(got.status, 200);
  assert.deepEqual(Buffer.from(await got.arrayBuffer()), content);
  for (const method of ["GET", "HEAD"]) {
    const { headers } = await registry.call(method, path);
    assert.equal(headers.get("content-length"), "5000");
    assert.equal(headers.get("docker-content-digest"), digest);
    assert.equal(headers.get("etag"), `"${digest}"`);
    assert.equal(headers.get("accept-ranges"), "bytes");
    assert.match(headers.get("cache-control") ?? "", /immutable/);
  }
  assert.equal((await (await registry.call("HEAD", path)).arrayBuffer()).byteLength, 0);
});

test("If-None-Match with the blob's ETag gives 304, with another one the blob", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", content);
  for (const tag of [`"${digest}"`, `W/"${digest}"`, "*", `"other", "${digest}"`]) {
    assert.equal((await registry.call("GET", path, { headers: { "if-none-match": tag } })).status, 304, tag);
  }
  assert.equal((await registry.call("GET", path, { headers: { "if-none-match": '"other"' } })).status, 200);
});

for (const [range, start, end] of [
  ["bytes=500-1499", 500, 1500],
  ["bytes=500-", 500, 5000],
  ["bytes=-500", 4500, 5000],
  ["bytes=2000-9000", 2000, 5000],
  ["bytes=-9000", 0, 5000],
  ["bytes=0-0", 0, 1],
  ["bytes=4990-99999999999999999999", 4990, 5000],
  ["bytes=0-1,,", 0, 2],
] as const) {
  test(`Range ${range} gives 206 with exactly these bytes`, async () => {
    using registry = openTestRegistry();
    await registry.pushBlob("team/os", content);
    const got = await registry.call("GET", path, { headers: { range } });
    assert.equal(got.status, 206);
    assert.equal(got.headers.get("content-range"), `bytes ${start}-${end - 1}/5000`);
    assert.equal(got.headers.get("content-length"), String(end - start));
    assert.deepEqual(Buffer.from(await got.arrayBuffer()), content.subarray(start, end));
  });
}

for (const range of ["bytes=500-0", "bytes=5000-10000", "bytes=-0", "bytes=x-y", "bytes=", "bytes=1-2,zzz"]) {
  test(`Range ${range} gives 416 with the size`, async () => {
    using registry = openTestRegistry();
    await registry.pushBlob("team/os", content);
    const got = await registry.call("GET", path, { headers: { range } });
    assert.equal(got.status, 416);
    assert.equal(got.headers.get("content-range"), "bytes */5000");
  });
}

test("a range of an empty blob gives 416, the empty blob itself 200", async () => {
  using registry = openTestRegistry();
  const empty = await registry.pushBlob("team/os", "");
  assert.equal((await registry.call("GET", `/v2/team/os/blobs/${empty}`)).status, 200);
  assert.equal(
    (await registry.call("GET", `/v2/team/os/blobs/${empty}`, { headers: { range: "bytes=0-1" } })).status,
    416,
  );
});

test("If-Range with another version gives the whole blob, another unit too", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", content);
  for (const headers of [{ range: "bytes=0-9", "if-range": '"other"' }, { range: "lines=0-9" }]) {
    assert.equal((await registry.call("GET", path, { headers: { ...headers } })).status, 200);
  }
  const same = { range: "bytes=0-9", "if-range": `"${digest}"` };
  assert.equal((await registry.call("GET", path, { headers: same })).status, 206);
});

test("1024 ranges give multipart/byteranges with every part, of the stated length", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", content);
  const starts = Array.from({ length: 1024 }, (_, i) => i * 4);
  const got = await registry.call("GET", path, {
    headers: { range: `bytes=${starts.map((s) => `${s}-${s + 1}`).join(",")}` },
  });
  assert.equal(got.status, 206);
  const body = Buffer.from(await got.arrayBuffer());
  assert.equal(got.headers.get("content-length"), String(body.length));
  const boundary = /^multipart\/byteranges; boundary=([0-9a-f]+)$/.exec(got.headers.get("content-type") ?? "")?.[1];
  const parts = body.toString("latin1").split(`\r\n--${boundary}`);
  assert.equal(parts.length, 1026);
  for (const [i, start] of starts.entries()) {
    const [head, data] = (parts[i + 1] ?? "").split("\r\n\r\n", 2);
    assert.match(head ?? "", new RegExp(`content-range: bytes ${start}-${start + 1}/5000`));
    assert.deepEqual(Buffer.from(data ?? "", "latin1"), content.subarray(start, start + 2));
  }
});

test("overlapping ranges that ask for more than the blob get the blob once", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", content);
  const got = await registry.call("GET", path, { headers: { range: `bytes=${"0-,".repeat(200)}0-` } });
  assert.equal(got.status, 200);
  assert.equal((await got.arrayBuffer()).byteLength, 5000);
});

test("an unknown blob gives 404 BLOB_UNKNOWN, a malformed digest 400 DIGEST_INVALID", async () => {
  using registry = openTestRegistry();
  const missing = await registry.call("GET", path);
  assert.equal(missing.status, 404);
  assert.equal(await errorCode(missing), "BLOB_UNKNOWN");
  for (const bad of ["sha256:baddigeststring", "md5:00", "sha256:", `sha256:${"A".repeat(64)}`]) {
    const got = await registry.call("GET", `/v2/team/os/blobs/${bad}`);
    assert.equal(got.status, 400, bad);
    assert.equal(await errorCode(got), "DIGEST_INVALID");
  }
});

test("a blob of one repository is unknown in another, and deleting it in one leaves the other", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", content);
  assert.equal((await registry.call("HEAD", `/v2/other/os/blobs/${digest}`)).status, 404);
  await registry.pushBlob("other/os", content);
  assert.equal((await registry.call("DELETE", path)).status, 202);
  assert.equal((await registry.call("HEAD", path)).status, 404);
  assert.equal((await registry.call("DELETE", path)).status, 404);
  assert.equal((await registry.call("HEAD", `/v2/other/os/blobs/${digest}`)).status, 200);
});

test("a large blob streams from the file, whole and in part", async () => {
  using registry = openTestRegistry();
  const large = Buffer.alloc(5 * 1024 * 1024, "0123456789");
  const name = await registry.pushBlob("team/os", large);
  const whole = await registry.call("GET", `/v2/team/os/blobs/${name}`);
  assert.equal(digestOf(Buffer.from(await whole.arrayBuffer())), name);
  const part = await registry.call("GET", `/v2/team/os/blobs/${name}`, { headers: { range: "bytes=1000000-4000000" } });
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), large.subarray(1_000_000, 4_000_001));
});
