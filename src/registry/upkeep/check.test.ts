import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../core/digest.ts";
import { INDEX, MANIFEST } from "../../oci/media-types.ts";
import { openTestRegistry } from "../testing.ts";
import { checkStorage } from "./check.ts";

test("checkStorage() finds nothing in a whole registry", async () => {
  for (const storage of ["files", "s3"] as const) {
    using registry = openTestRegistry({ storage });
    const { digest, bytes } = await registry.pushImage("os", "v1");
    await registry.pushImage("os", "sig", { subject: { mediaType: "application/x", digest, size: bytes.length } });
    const report = await checkStorage(registry.driver, { repair: false });
    assert.deepEqual(report.problems, []);
    assert.deepEqual([report.blobs, report.repositories], [5, 1]);
  }
});

test("checkStorage() finds each kind of damage, and puts damaged blobs aside", async () => {
  using registry = openTestRegistry();
  const { driver } = registry;
  const { digest } = await registry.pushImage("os", "v1");
  const lost = await registry.pushBlob("os", "lost");
  await driver.deleteBlob(lost);
  await driver.putRecord("repositories/os/tags/none", digestOf("none"));
  await driver.putRecord(`repositories/os/referrers/sha256-${digest.slice(7)}/sha256-${digest.slice(7)}`, "{}");
  const flipped = await registry.pushBlob("os", "good");
  const hex = flipped.slice(7);
  registry.host.files.write(`${registry.root}/data/blobs/sha256/${hex.slice(0, 2)}/${hex}`, "bad!");

  const found = await checkStorage(driver, { repair: false });
  assert.deepEqual(
    found.problems.map(({ kind, digest: what, tag }) => [kind, tag ?? what]),
    [
      ["damaged-blob", flipped],
      ["missing-blob", lost],
      ["dangling-tag", "none"],
      ["dangling-referrer", digest],
    ],
  );
  assert.equal(
    (await registry.call("HEAD", `/v2/os/blobs/${flipped}`)).status,
    200,
    "without --repair nothing changes",
  );
  assert.equal((await registry.call("GET", `/v2/os/blobs/${flipped}`)).status, 500, "damaged bytes are not served");
  await checkStorage(driver, { repair: true });
  assert.equal((await registry.call("HEAD", `/v2/os/blobs/${flipped}`)).status, 404);
  assert.equal(registry.host.files.readText(`${registry.root}/data/quarantine/sha256-${hex}`), "bad!");
  await registry.pushBlob("os", "good");
  assert.equal(await (await registry.call("GET", `/v2/os/blobs/${flipped}`)).text(), "good");
});

test("checkStorage() finds what a repository has lost while another still holds its bytes", async () => {
  using registry = openTestRegistry();
  const { digest, bytes } = await registry.pushImage("os", "v1");
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [{ mediaType: MANIFEST, digest, size: bytes.length }],
  });
  await registry.call("PUT", "/v2/os/manifests/all", { body: index, headers: { "content-type": INDEX } });
  const layer = await registry.pushBlob("other", "layer of os:v1");
  await registry.call("DELETE", `/v2/os/blobs/${layer}`);
  const lost = async (): Promise<unknown[]> => {
    const { problems } = await checkStorage(registry.driver, { repair: false });
    return problems.map(({ kind, repository, digest: what }) => [kind, repository, what]);
  };
  assert.deepEqual(await lost(), [["missing-blob", "os", layer]]);
  await registry.call("DELETE", `/v2/os/manifests/${digest}`);
  assert.deepEqual(await lost(), [["missing-manifest", "os", digest]]);
});

test("checkStorage() names a manifest whose content is gone", async () => {
  using registry = openTestRegistry({ storage: "s3" });
  const { digest } = await registry.pushImage("os", "v1");
  await registry.driver.deleteBlob(digest);
  const { problems } = await checkStorage(registry.driver, { repair: false });
  assert.deepEqual(problems, [{ kind: "damaged-manifest", repository: "os", digest }]);
});

test("checkStorage() finds a missing layer, unless the repository may be sparse", async () => {
  using registry = openTestRegistry();
  await registry.pushImage("mirror/os", "v1");
  const layer = digestOf("layer of mirror/os:v1");
  await registry.call("DELETE", `/v2/mirror/os/blobs/${layer}`);
  await registry.driver.deleteBlob(layer);
  const { problems } = await checkStorage(registry.driver, { repair: false });
  assert.deepEqual(problems, [{ kind: "missing-blob", repository: "mirror/os", digest: layer }]);
  assert.deepEqual((await checkStorage(registry.driver, { repair: false, sparse: ["mirror/**"] })).problems, []);
});

test("checkStorage() names tags and manifests whose records are damaged, and a push makes them whole", async () => {
  using registry = openTestRegistry();
  const { driver } = registry;
  const { digest } = await registry.pushImage("os", "v1");
  await driver.putRecord("repositories/os/tags/v1", "");
  await driver.putRecord("repositories/os/tags/v2", "sha256:0");
  await driver.putRecord(`repositories/os/manifests/${digest.replace(":", "-")}`, "{");
  const found = await checkStorage(driver, { repair: false });
  assert.deepEqual(
    found.problems.map(({ kind, repository, digest: what, tag }) => [kind, repository, tag ?? what]),
    [
      ["damaged-manifest", "os", digest],
      ["dangling-tag", "os", "v1"],
      ["dangling-tag", "os", "v2"],
    ],
  );
  assert.equal((await registry.call("GET", "/v2/os/manifests/v1")).status, 500);
  assert.equal((await registry.call("DELETE", "/v2/os/manifests/v2")).status, 202);
  await registry.pushImage("os", "v1");
  assert.deepEqual((await checkStorage(driver, { repair: false })).problems, []);
});
