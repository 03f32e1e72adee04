import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import { CONFIG, DOCKER_MANIFEST, INDEX, LAYER_GZIP, MANIFEST } from "../oci/media-types.ts";
import { openTestRegistry, type TestRegistry } from "./testing.ts";

const config = "{}";
const configDescriptor = { mediaType: CONFIG, digest: digestOf(config), size: 2 };

function manifestText(extra: object = {}): string {
  return JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: configDescriptor, layers: [], ...extra });
}

async function put(
  registry: TestRegistry,
  reference: string,
  body: string | Buffer,
  type = MANIFEST,
): Promise<Response> {
  return registry.call("PUT", `/v2/team/os/manifests/${reference}`, { body, headers: { "content-type": type } });
}

test("a manifest is served with the bytes, type and length that were pushed, by tag and by digest", async () => {
  using registry = openTestRegistry();
  const { digest, bytes } = await registry.pushImage("team/os", "v1", { annotations: { "a.b": "c" }, unknown: [1] });
  for (const reference of ["v1", digest]) {
    const got = await registry.call("GET", `/v2/team/os/manifests/${reference}`);
    assert.equal(got.status, 200);
    assert.deepEqual(Buffer.from(await got.arrayBuffer()), bytes);
    const head = await registry.call("HEAD", `/v2/team/os/manifests/${reference}`);
    for (const { headers } of [got, head]) {
      assert.equal(headers.get("content-type"), MANIFEST);
      assert.equal(headers.get("content-length"), String(bytes.length));
      assert.equal(headers.get("docker-content-digest"), digest);
      assert.equal(headers.get("etag"), `"${digest}"`);
    }
  }
});

test("If-None-Match with the current digest gives 304 without a body", async () => {
  using registry = openTestRegistry();
  const { digest } = await registry.pushImage("team/os", "v1");
  const headers = { "if-none-match": `"${digest}"` };
  const same = await registry.call("GET", "/v2/team/os/manifests/v1", { headers });
  assert.equal(same.status, 304);
  assert.equal(same.body, null);
  await registry.pushImage("team/os", "v1", { annotations: { changed: "yes" } });
  assert.equal((await registry.call("GET", "/v2/team/os/manifests/v1", { headers })).status, 200);
});

test("a manifest by sha512 keeps its client's algorithm in every answer", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", config);
  const digest = digestOf(manifestText(), "sha512");
  const done = await put(registry, `${digest}?tag=a&tag=b`, manifestText());
  assert.equal(done.status, 201);
  assert.equal(done.headers.get("docker-content-digest"), digest);
  assert.equal(done.headers.get("oci-tag"), "a, b");
  assert.equal((await registry.call("HEAD", "/v2/team/os/manifests/b")).headers.get("docker-content-digest"), digest);
});

test("ten tags can be set with one push", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", config);
  const tags = Array.from({ length: 10 }, (_, i) => `t${i}`);
  const done = await put(
    registry,
    `${digestOf(manifestText())}?${tags.map((t) => `tag=${t}`).join("&")}`,
    manifestText(),
  );
  assert.equal(done.headers.get("oci-tag"), tags.join(", "));
  assert.deepEqual(await (await registry.call("GET", "/v2/team/os/tags/list")).json(), { name: "team/os", tags });
});

for (const [name, body, type, code] of [
  ["that is not JSON", "{", MANIFEST, "MANIFEST_INVALID"],
  ["that is not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), MANIFEST, "MANIFEST_INVALID"],
  ["that is an array", "[]", MANIFEST, "MANIFEST_INVALID"],
  ["of schema version 1", JSON.stringify({ schemaVersion: 1 }), MANIFEST, "MANIFEST_INVALID"],
  ["without a config", JSON.stringify({ schemaVersion: 2, layers: [] }), MANIFEST, "MANIFEST_INVALID"],
  [
    "with a malformed layer digest",
    manifestText({ layers: [{ mediaType: LAYER_GZIP, digest: "sha256:x", size: 1 }] }),
    MANIFEST,
    "MANIFEST_INVALID",
  ],
  [
    "with a negative size",
    manifestText({ layers: [{ mediaType: LAYER_GZIP, digest: digestOf("x"), size: -1 }] }),
    MANIFEST,
    "MANIFEST_INVALID",
  ],
  ["whose mediaType is not its Content-Type", manifestText(), DOCKER_MANIFEST, "MANIFEST_INVALID"],
  ["of an unknown type", JSON.stringify({ schemaVersion: 2 }), "text/plain", "MANIFEST_INVALID"],
  [
    "with an unknown layer",
    manifestText({ layers: [{ mediaType: LAYER_GZIP, digest: digestOf("nope"), size: 4 }] }),
    MANIFEST,
    "MANIFEST_BLOB_UNKNOWN",
  ],
] as const) {
  test(`a manifest ${name} gives ${code} and sets no tag`, async () => {
    using registry = openTestRegistry();
    await registry.pushBlob("team/os", config);
    const got = await put(registry, "v1", body, type);
    assert.ok(got.status === 400 || got.status === 404, String(got.status));
    assert.match(await got.text(), new RegExp(code));
    assert.equal((await registry.call("HEAD", "/v2/team/os/manifests/v1")).status, 404);
  });
}

test("each part whose size is another is one error with both sizes, in a manifest and in an index", async () => {
  using registry = openTestRegistry();
  const { digest, bytes } = await registry.pushImage("team/os", "v1");
  const foreign = await registry.pushBlob("team/os", "foreign");
  const layers = [
    { mediaType: LAYER_GZIP, digest: digestOf(config), size: 3 },
    { mediaType: LAYER_GZIP, digest: foreign, size: 1, urls: ["https://elsewhere.example/layer"] },
  ];
  const manifests = [{ mediaType: MANIFEST, digest, size: bytes.length + 1 }];
  const index = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests });
  const details: unknown[] = [];
  for (const [body, type] of [
    [manifestText({ layers }), MANIFEST],
    [index, INDEX],
  ] as const) {
    const got = await put(registry, "wrong", body, type);
    assert.equal(got.status, 400);
    const { errors } = (await got.json()) as { errors: { code: string; detail: unknown }[] };
    for (const { code, detail } of errors) {
      assert.equal(code, "SIZE_INVALID");
      details.push(detail);
    }
  }
  assert.deepEqual(details, [
    { digest: digestOf(config), size: 3, actual: 2 },
    { digest: foreign, size: 1, actual: 7 },
    { digest, size: bytes.length + 1, actual: bytes.length },
  ]);
  assert.equal((await registry.call("HEAD", "/v2/team/os/manifests/wrong")).status, 404);
});

test("each missing blob is one error with its digest", async () => {
  using registry = openTestRegistry();
  const got = await put(
    registry,
    "v1",
    manifestText({ layers: [{ mediaType: LAYER_GZIP, digest: digestOf("nope"), size: 4 }] }),
  );
  const { errors } = (await got.json()) as { errors: { detail: { digest: string } }[] };
  assert.deepEqual(
    errors.map((error) => error.detail.digest),
    [digestOf(config), digestOf("nope")],
  );
});

test("a push by a digest that is not the body's gives 400 DIGEST_INVALID", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", config);
  for (const reference of [digestOf("other"), "sha256:baddigeststring"]) {
    const got = await put(registry, reference, manifestText());
    assert.equal(got.status, 400);
    assert.match(await got.text(), /DIGEST_INVALID/);
  }
  assert.equal((await registry.call("GET", "/v2/team/os/manifests/sha256:baddigeststring")).status, 400);
});

test("a manifest of 4 MiB is taken, one above the limit gives 413", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", config);
  const large = manifestText({ annotations: { pad: "x".repeat(4 * 1024 * 1024) } });
  assert.equal((await put(registry, "large", large)).status, 201);
  assert.equal((await (await registry.call("GET", "/v2/team/os/manifests/large")).text()).length, large.length);
  const huge = manifestText({ annotations: { pad: "x".repeat(8 * 1024 * 1024) } });
  const refused = await put(registry, "huge", huge);
  assert.equal(refused.status, 413);
  assert.match(await refused.text(), /SIZE_INVALID/);
});

test("layers that are fetched elsewhere may be absent, as may a subject", async () => {
  using registry = openTestRegistry();
  await registry.pushBlob("team/os", config);
  const absent = { digest: digestOf("absent"), size: 6 };
  const layers = [
    { ...absent, mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" },
    { ...absent, mediaType: LAYER_GZIP, urls: ["https://example.com/layer"] },
  ];
  const subject = { mediaType: MANIFEST, digest: digestOf("later"), size: 5 };
  const done = await put(registry, "v1", manifestText({ layers, subject }));
  assert.equal(done.status, 201);
  assert.equal(done.headers.get("oci-subject"), subject.digest);
});

test("an index needs its manifests; empty and nested ones are taken", async () => {
  using registry = openTestRegistry();
  const { digest, bytes } = await registry.pushImage("team/os", "amd64");
  const index = (manifests: object[]): string => JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests });
  const child = { mediaType: MANIFEST, digest, size: bytes.length, platform: { architecture: "amd64", os: "linux" } };
  const inner = index([child]);
  assert.equal((await put(registry, "inner", inner, INDEX)).status, 201);
  const nested = index([{ mediaType: INDEX, digest: digestOf(inner), size: inner.length }]);
  assert.equal((await put(registry, "nested", nested, INDEX)).status, 201);
  assert.equal((await put(registry, "empty", index([]), INDEX)).status, 201);
  const broken = index([{ ...child, digest: digestOf("nope") }]);
  assert.equal((await put(registry, "broken", broken, INDEX)).status, 404);
});

test("deleting a tag keeps the manifest; deleting the manifest takes its tags; other repositories keep theirs", async () => {
  using registry = openTestRegistry();
  const { digest } = await registry.pushImage("team/os", "v1");
  await put(registry, "v2", await (await registry.call("GET", `/v2/team/os/manifests/${digest}`)).text());
  await registry.pushImage("team/os", "other", { annotations: { other: "1" } });
  assert.equal((await registry.call("DELETE", "/v2/team/os/manifests/v1")).status, 202);
  assert.equal((await registry.call("HEAD", "/v2/team/os/manifests/v1")).status, 404);
  assert.equal((await registry.call("HEAD", `/v2/team/os/manifests/${digest}`)).status, 200);
  assert.equal((await registry.call("DELETE", `/v2/team/os/manifests/${digest}`)).status, 202);
  for (const reference of [digest, "v2"]) {
    assert.equal((await registry.call("HEAD", `/v2/team/os/manifests/${reference}`)).status, 404);
    assert.equal((await registry.call("DELETE", `/v2/team/os/manifests/${reference}`)).status, 404);
  }
  assert.deepEqual(await (await registry.call("GET", "/v2/team/os/tags/list")).json(), {
    name: "team/os",
    tags: ["other"],
  });
});

test("what was pushed is there after a restart", async () => {
  using registry = openTestRegistry();
  const { bytes } = await registry.pushImage("team/os", "v1");
  const got = await registry.restart().call("GET", "/v2/team/os/manifests/v1");
  assert.deepEqual(Buffer.from(await got.arrayBuffer()), bytes);
});

for (const [name, body] of [
  ["a deep one", `{"schemaVersion":2,"config":${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
  ["one of a million values", `{"schemaVersion":2,"layers":[${"[],".repeat(1_000_000)}0]}`],
  ["one that ends early", manifestText().slice(0, -1)],
  ["one that is not UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])],
] as const) {
  test(`of malformed manifests, ${name} gives 400 MANIFEST_INVALID`, async () => {
    using registry = openTestRegistry();
    const got = await put(registry, "v1", body);
    assert.equal(got.status, 400);
    assert.match(await got.text(), /MANIFEST_INVALID/);
  });
}
