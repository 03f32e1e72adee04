import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import { streamOf } from "../core/bytes.ts";
import { Failure } from "../core/failure.ts";
import { createLinuxHost } from "../host/linux.ts";
import { SCRATCH } from "../host/scratch.ts";
import { filesDriver } from "./files-driver.ts";
import { blobUpload, openTestRegistry, type TestRegistry } from "./testing.ts";

const content = Buffer.from("0123456789".repeat(100));
const digest = digestOf(content);
const sha512 = digestOf(content, "sha512");
const uploads = "/v2/team/os/blobs/uploads/";

async function start(registry: TestRegistry): Promise<string> {
  const session = await registry.call("POST", uploads);
  assert.equal(session.status, 202);
  const location = session.headers.get("location") ?? "";
  assert.match(location, /^\/v2\/team\/os\/blobs\/uploads\/[0-9a-f]{32}$/);
  return location;
}

async function stored(registry: TestRegistry, name: string, bytes: Uint8Array = content): Promise<void> {
  const got = await registry.call("GET", `/v2/team/os/blobs/${name}`);
  assert.equal(got.status, 200);
  assert.deepEqual(Buffer.from(await got.arrayBuffer()), Buffer.from(bytes));
}

for (const name of [digest, sha512]) {
  const algorithm = name.slice(0, 6);
  test(`POST then PUT stores a blob by ${algorithm}`, async () => {
    using registry = openTestRegistry();
    const done = await registry.call("PUT", blobUpload(await start(registry), name), { body: content });
    assert.equal(done.status, 201);
    assert.equal(done.headers.get("docker-content-digest"), name);
    assert.equal(done.headers.get("location"), `/v2/team/os/blobs/${name}`);
    await stored(registry, name);
  });

  test(`a single POST with ?digest= stores a blob by ${algorithm}`, async () => {
    using registry = openTestRegistry();
    assert.equal((await registry.call("POST", `${uploads}?digest=${name}`, { body: content })).status, 201);
    await stored(registry, name);
  });

  test(`streaming PATCH then empty PUT stores a blob by ${algorithm}`, async () => {
    using registry = openTestRegistry();
    const location = await start(registry);
    const patched = await registry.call("PATCH", location, {
      body: streamOf(content.subarray(0, 600), content.subarray(600)),
    });
    assert.equal(patched.status, 202);
    assert.equal(patched.headers.get("range"), "0-999");
    assert.equal((await registry.call("PUT", blobUpload(location, name))).status, 201);
    await stored(registry, name);
  });

  test(`chunks with Content-Range, the last one in the PUT, store a blob by ${algorithm}`, async () => {
    using registry = openTestRegistry();
    const location = await start(registry);
    const first = { "content-range": "0-599" };
    assert.equal(
      (await registry.call("PATCH", location, { body: content.subarray(0, 600), headers: first })).status,
      202,
    );
    const status = await registry.call("GET", location);
    assert.equal(status.status, 204);
    assert.equal(status.headers.get("range"), "0-599");
    assert.equal(status.headers.get("location"), location);
    const last = { "content-range": "600-999" };
    const done = await registry.call("PUT", blobUpload(location, name), { body: content.subarray(600), headers: last });
    assert.equal(done.status, 201);
    await stored(registry, name);
  });
}

for (const range of ["1-1000", "600-1599", "x", "10-5", "bytes"]) {
  test(`a first chunk with Content-Range ${range} gives 416 with Location and Range, for PATCH and PUT`, async () => {
    using registry = openTestRegistry();
    const location = await start(registry);
    for (const [method, path] of [
      ["PATCH", location],
      ["PUT", blobUpload(location, digest)],
    ] as const) {
      const got = await registry.call(method, path, { body: content, headers: { "content-range": range } });
      assert.equal(got.status, 416);
      assert.equal(got.headers.get("location"), location);
      assert.equal(got.headers.get("range"), "0-0");
    }
    assert.equal((await registry.call("PUT", blobUpload(location, digest), { body: content })).status, 201);
  });
}

for (const [name, length] of [
  ["shorter", 900],
  ["longer", 1000],
] as const) {
  test(`a chunk ${name} than its Content-Range gives 400 SIZE_INVALID and takes nothing`, async () => {
    using registry = openTestRegistry();
    const location = await start(registry);
    const options = { body: streamOf(content.subarray(0, length)), headers: { "content-range": "0-949" } };
    assert.equal((await registry.call("PATCH", location, options)).status, 400);
    assert.equal((await registry.call("GET", location)).headers.get("range"), "0-0");
    assert.equal((await registry.call("PUT", blobUpload(location, digest), { body: content })).status, 201);
  });
}

test("bytes that do not hash to the digest give 400 DIGEST_INVALID on every way in, and leave no blob", async () => {
  using registry = openTestRegistry();
  const wrong = digestOf("something else");
  const post = await registry.call("POST", `${uploads}?digest=${wrong}`, { body: content });
  const put = await registry.call("PUT", blobUpload(await start(registry), wrong), { body: content });
  const location = await start(registry);
  await registry.call("PATCH", location, { body: content });
  const streamed = await registry.call("PUT", blobUpload(location, wrong));
  for (const response of [post, put, streamed]) {
    assert.equal(response.status, 400);
    assert.match(await response.text(), /DIGEST_INVALID/);
  }
  assert.equal((await registry.call("HEAD", `/v2/team/os/blobs/${wrong}`)).status, 404);
  assert.deepEqual(registry.host.files.listIfAny(`${registry.root}/data/uploads`), []);
});

test("a PUT without or with a malformed digest gives 400 and the session lives on", async () => {
  using registry = openTestRegistry();
  const location = await start(registry);
  for (const path of [location, blobUpload(location, "sha256:xyz")]) {
    assert.equal((await registry.call("PUT", path, { body: content })).status, 400);
  }
  assert.equal((await registry.call("PUT", blobUpload(location, digest), { body: content })).status, 201);
});

test("digest-algorithm chooses what is hashed while bytes flow; another digest at the end still works", async () => {
  using registry = openTestRegistry();
  for (const algorithm of ["sha256", "sha512"]) {
    for (const name of [digest, sha512]) {
      const session = await registry.call("POST", `${uploads}?digest-algorithm=${algorithm}`);
      assert.match(session.headers.get("oci-chunk-min-length") ?? "", /^\d+$/);
      const target = blobUpload(session.headers.get("location"), name);
      assert.equal((await registry.call("PUT", target, { body: content })).status, 201, `${algorithm} ${name}`);
      const wrong = await registry.call("POST", `${uploads}?digest-algorithm=${algorithm}`);
      const put = blobUpload(wrong.headers.get("location"), name);
      assert.equal((await registry.call("PUT", put, { body: "other" })).status, 400);
    }
  }
  const refused = await registry.call("POST", `${uploads}?digest-algorithm=md5`);
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /DIGEST_INVALID/);
});

test("DELETE ends a session; it is then unknown, as in another repository", async () => {
  using registry = openTestRegistry();
  const location = await start(registry);
  const elsewhere = location.replace("team/os", "team/other");
  assert.equal((await registry.call("GET", elsewhere)).status, 404);
  assert.equal((await registry.call("DELETE", location)).status, 204);
  for (const method of ["GET", "PATCH", "PUT", "DELETE"]) {
    const got = await registry.call(method, location);
    assert.equal(got.status, 404, method);
    assert.match(await got.text(), /BLOB_UPLOAD_UNKNOWN/);
  }
  assert.equal((await registry.call("GET", `${uploads}nonsense`)).status, 404);
});

test("a session survives a restart of the server, with its bytes", async () => {
  using registry = openTestRegistry();
  const location = await start(registry);
  await registry.call("PATCH", location, { body: content.subarray(0, 600) });
  const later = registry.restart();
  assert.equal((await later.call("GET", location)).headers.get("range"), "0-599");
  const headers = { "content-range": "600-999" };
  assert.equal(
    (await later.call("PUT", blobUpload(location, digest), { body: content.subarray(600), headers })).status,
    201,
  );
  await stored(later, digest);
});

test("what arrived before the client went away stays, and the client can go on", async () => {
  using registry = openTestRegistry();
  const location = await start(registry);
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield content.subarray(0, 300);
    throw new Error("connection reset");
  };
  const got = await registry.call("PATCH", location, { body: broken() });
  assert.equal(got.status, 400);
  assert.equal((await registry.call("GET", location)).headers.get("range"), "0-299");
  const headers = { "content-range": "300-999" };
  assert.equal((await registry.call("PATCH", location, { body: content.subarray(300), headers })).status, 202);
  assert.equal((await registry.call("PUT", blobUpload(location, digest))).status, 201);
});

test("a newer request to a session wins over one that hangs", async () => {
  using registry = openTestRegistry();
  const location = await start(registry);
  const gate = Promise.withResolvers<void>();
  const hanging = async function* (): AsyncGenerator<Uint8Array> {
    yield content.subarray(0, 10);
    await gate.promise;
    yield content.subarray(10);
  };
  const old = registry.call("PATCH", location, { body: hanging() });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const headers = { "content-range": "10-999" };
  assert.equal((await registry.call("PATCH", location, { body: content.subarray(10), headers })).status, 202);
  gate.resolve();
  assert.equal((await old).status, 409);
  assert.equal((await registry.call("PUT", blobUpload(location, digest))).status, 201);
  await stored(registry, digest);
});

test("nothing can be appended to an upload while it becomes a blob", async () => {
  using registry = openTestRegistry();
  const location = await start(registry);
  await registry.call("PATCH", location, { body: content });
  const [done, late] = await Promise.all([
    registry.call("PUT", blobUpload(location, digest)),
    registry.call("PATCH", location, { body: "late" }),
  ]);
  assert.equal(done.status, 201);
  assert.ok(late.status === 409 || late.status === 404, `${late.status}`);
  await stored(registry, digest);
});

test("a disk that loses a write while bytes arrive fails the upload at its end", async () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-lost-write-`);
  let syncs = 0;
  const syncInBackground = async (): Promise<void> => {
    syncs += 1;
    if (syncs === 1) throw new Failure("io", "Cannot sync: input/output error");
  };
  using registry = openTestRegistry({
    driver: filesDriver({ ...host, files: { ...host.files, syncInBackground } }, directory.path),
  });
  const large = Buffer.alloc(10_000_000, "large");
  const location = await start(registry);
  await registry.call("PATCH", location, { body: streamOf(large.subarray(0, 9_000_000), large.subarray(9_000_000)) });
  assert.equal((await registry.call("PUT", blobUpload(location, digestOf(large)))).status, 500);
  assert.equal((await registry.call("HEAD", `/v2/team/os/blobs/${digestOf(large)}`)).status, 404);
});

test("mount links a blob of another repository; a missing one becomes an upload", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("base/os", content);
  const missing = digestOf("missing");
  for (const query of [
    `mount=${missing}&from=base/os`,
    `mount=${digest}&from=no/such`,
    `mount=${digest}&from=..%2Fx`,
    "mount=bad",
  ]) {
    assert.equal((await registry.call("POST", `${uploads}?${query}`)).status, 202, query);
  }
  const mounted = await registry.call("POST", `${uploads}?mount=${digest}&from=base/os`);
  assert.equal(mounted.status, 201);
  assert.equal(mounted.headers.get("location"), `/v2/team/os/blobs/${digest}`);
  await stored(registry, digest);
  const anonymous = await registry.call("POST", `/v2/third/os/blobs/uploads/?mount=${digest}`);
  assert.equal(anonymous.status, 201);
});

test("a mount needs the right to read where the blob comes from", async () => {
  using registry = openTestRegistry({
    authenticate: async () => ({
      kind: "principal",
      principal: {
        user: "eve",
        may: (action, name) => name !== "secret/os" || action === "push",
        mayList: (name) => name !== "secret/os",
        mayEnter: () => true,
        challenge: () => undefined,
      },
    }),
  });
  await registry.pushBlob("secret/os", content);
  for (const query of [`mount=${digest}&from=secret/os`, `mount=${digest}`]) {
    assert.equal((await registry.call("POST", `${uploads}?${query}`)).status, 202, query);
  }
  assert.equal((await registry.call("GET", `/v2/secret/os/blobs/${digest}`)).status, 403);
  assert.deepEqual(await (await registry.call("GET", "/v2/_catalog")).json(), { repositories: [] });
});

test("expired sessions are dropped, fresh ones stay", async () => {
  using registry = openTestRegistry();
  const location = await start(registry);
  const driver = filesDriver(registry.host, `${registry.root}/data`);
  assert.equal(await driver.expireUploads(registry.host.clock.now() - 60_000), 0);
  assert.equal(await driver.expireUploads(registry.host.clock.now() + 60_000), 1);
  assert.equal((await registry.restart().call("GET", location)).status, 404);
});
