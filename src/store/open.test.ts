import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import { open } from "./testing.ts";
import { openStore } from "./open.ts";
import { requireSpace } from "./space.ts";
import { openWorkstationStore } from "./workstation.ts";

const BAD_META: readonly (readonly [what: string, meta: string])[] = [
  ["no JSON", "{"],
  ["another version", '{"version":2,"algorithm":"fsverity-sha512-12"}'],
  ["another algorithm", '{"version":1,"algorithm":"fsverity-md5-12"}'],
  ["an unknown feature", '{"version":1,"algorithm":"fsverity-sha512-12","features":{"incompatible":["x"]}}'],
  [
    "an unknown read-only feature",
    '{"version":1,"algorithm":"fsverity-sha512-12","features":{"read-only-compatible":["x"]}}',
  ],
];
for (const [what, meta] of BAD_META) {
  test(`openStore() refuses a meta.json with ${what}`, () => {
    const host = createFakeHost({ files: { "/d/composefs/meta.json": meta } });
    assert.throws(
      () => open({ host, directory: "/d" }),
      (error) => isFailure(error, "unsupported"),
    );
  });
}

test("openStore() refuses a directory without a repository", () => {
  const host = createFakeHost({ files: { "/d/composefs": { directory: true } } });
  assert.throws(
    () => openStore(host, "/d/composefs", { keepBlobs: false, access: "shared" }),
    (error) => isFailure(error, "not-found"),
  );
});

test("openStore() writes the meta.json that composefs-rs expects", () => {
  const host = createFakeHost();
  using store = open({ host, directory: "/d" });
  assert.deepEqual(JSON.parse(host.files.readText(`${store.path}/meta.json`)), {
    version: 1,
    algorithm: "fsverity-sha512-12",
    features: { compatible: [], "read-only-compatible": ["v1_erofs"], incompatible: [] },
    erofs_formats: { default: 1 },
  });
});

test("openWorkstationStore() follows BERTH_STORE and says what is wrong with it", () => {
  const host = createFakeHost({ env: { BERTH_STORE: "/srv/images/" } });
  using store = openWorkstationStore(host);
  assert.equal(store.path, "/srv/images/composefs");
  assert.ok(store.keepsBlobs && host.files.exists("/srv/images/blobs"));
  assert.throws(
    () => openWorkstationStore(createFakeHost({ env: { BERTH_STORE: "relative" } })),
    (error) => isFailure(error, "usage"),
  );
});

test("requireSpace() names what is there and what is wanted", () => {
  const host = createFakeHost({ totalBytes: 1_000_000 });
  requireSpace(host, "/", 10, "pull x");
  assert.throws(
    () => requireSpace(host, "/", 5_000_000_000, "pull x"),
    (error) => isFailure(error, "no-space") && /^Cannot pull x: "\/" has .* free, wanted /.test(error.message),
  );
  assert.throws(
    () => requireSpace(host, "/new/folder", 5_000_000_000, "pull x"),
    (error) => isFailure(error, "no-space") && error.message.startsWith(`Cannot pull x: "/new/folder" has `),
  );
  assert.equal(host.files.exists("/new"), false);
});
