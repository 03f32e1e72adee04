/** What `berth copy` and `berth registry sync` print: plans that change nothing, and data. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestHex, digestOf } from "../../core/digest.ts";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { MANIFEST } from "../../oci/media-types.ts";
import { openTestRegistry, type TestRegistry } from "../../registry/testing.ts";
import { makeImage } from "../../remote/testing.ts";
import { type Printed, runWords } from "../testing.ts";
import { copyCommand } from "./copy.ts";
import { registrySyncCommand } from "./registry-sync.ts";

const image = makeImage(["one", "two"]);
const blobs = [image.configBytes, ...image.layers];
const sizeBytes = blobs.reduce((total, { length }) => total + length, 0);
const FROM = "from.test:5000";
const TO = "to.test:5000";
const REACH = ["--src-tls-verify=false", "--dest-tls-verify=false"];

const berth = (host: FakeHost, ...words: string[]): Promise<Printed> =>
  runWords(host, [copyCommand, registrySyncCommand], words);

/** With the image as dir:/seed. */
function hostWithImage(): FakeHost {
  return createFakeHost({
    files: {
      "/seed/version": "Directory Transport Version: 1.1\n",
      "/seed/manifest.json": image.manifestBytes,
      ...Object.fromEntries(blobs.map((blob) => [`/seed/${digestHex(digestOf(blob))}`, blob])),
    },
  });
}

test("copy --dry-run prints what would move and what is there, and writes nothing", async () => {
  const host = hostWithImage();
  const { out, status } = await berth(host, "copy", "--dry-run", "dir:/seed", "oci:/out:1");
  assert.equal(status, 0);
  assert.deepEqual(out.split("\n"), [
    ...blobs.map((blob) => `copy   ${digestOf(blob)}  ${blob.length} B`),
    `${image.digest}: ${sizeBytes} B to copy, 0 B already there`,
    "",
  ]);
  assert.deepEqual(host.calls, []);
});

test("copy --json gives the digest and the bytes moved and reused; with --dry-run, each blob", async () => {
  const host = hostWithImage();
  const common = { source: "dir:/seed", destination: "oci:/out:1", digest: image.digest };
  const copied = await berth(host, "copy", "--json", "dir:/seed", "oci:/out:1");
  assert.deepEqual(JSON.parse(copied.out), { ...common, movedBytes: sizeBytes, reusedBytes: 0, isDryRun: false });
  const planned = await berth(host, "copy", "--json", "--dry-run", "dir:/seed", "oci:/out:1");
  assert.deepEqual(JSON.parse(planned.out), {
    ...common,
    movedBytes: 0,
    reusedBytes: sizeBytes,
    blobs: blobs.map((blob) => ({ digest: digestOf(blob), size: blob.length, isThere: true })),
    isDryRun: true,
  });
  assert.equal((await berth(host, "copy", "--quiet", "dir:/seed", "oci:/out:2")).out, `${image.digest}\n`);
});

for (const [words, status, message] of [
  [["copy", "--all", "--platform=linux/arm64", "dir:/seed", "oci:/x"], 2, /--all and --platform are both given/],
  [["copy", "--platform=linux", "dir:/seed", "oci:/x"], 2, /platform/],
  [["copy", "docker:x", "oci:/x"], 2, /wanted docker:\/\/HOST\/NAME/],
  [["copy", "dir:/none", "oci:/x"], 1, /"dir:\/none"/],
  [
    ["registry", "sync", "oci:/none", "oci:/x"],
    1,
    /Cannot sync from "oci:\/none": it has no index.json, wanted an OCI layout/,
  ],
  [["registry", "sync", "oci:/seed", "oci:/x"], 1, /"oci:\/seed": it has no index.json/],
  [["registry", "sync", "oci-archive:/none", "oci:/x"], 1, /"\/none"/],
] as const) {
  test(`berth ${words.join(" ")} ends with one clear line and changes nothing`, async () => {
    const host = hostWithImage();
    const result = await berth(host, ...words);
    assert.equal(result.status, status, result.err);
    assert.match(result.err, message);
    assert.equal(host.files.exists("/x"), false);
  });
}

interface Registries extends Disposable {
  readonly host: FakeHost;
  readonly from: TestRegistry;
  readonly to: TestRegistry;
  /** Methods that change something, at the destination. */
  readonly written: () => string[];
}

/** team/os:v1 at FROM; team/os:old at TO. */
async function openRegistries(): Promise<Registries> {
  const [from, to] = [openTestRegistry(), openTestRegistry()];
  for (const blob of blobs) await from.pushBlob("team/os", blob);
  const headers = { "content-type": MANIFEST };
  await from.call("PUT", "/v2/team/os/manifests/v1", { body: image.manifestBytes, headers });
  await to.pushImage("team/os", "old");
  const before = to.log.length;
  const host = createFakeHost({
    network: {
      respond: async (request) => {
        const registry = { [FROM]: from, [TO]: to }[new URL(request.url).host];
        return request.url.startsWith("https:") ? undefined : registry?.handler(request);
      },
    },
  });
  return {
    host,
    from,
    to,
    written: () => to.log.slice(before).flatMap(({ method }) => (/GET|HEAD/.test(method) ? [] : [method])),
    [Symbol.dispose]() {
      from[Symbol.dispose]();
      to[Symbol.dispose]();
    },
  };
}

test("registry sync --dry-run prints the steps, and changes nothing", async () => {
  using world = await openRegistries();
  const { host } = world;
  const sync = ["registry", "sync", ...REACH, "--delete", "--dry-run"];
  const { out, err, status } = await berth(host, ...sync, FROM, TO);
  assert.equal(status, 0, err);
  assert.equal(out, "copy      team/os:v1\ndelete    team/os:old\n");
  const json = JSON.parse((await berth(host, ...sync, "--json", FROM, TO)).out);
  assert.equal(json.unchanged, 0);
  assert.deepEqual(json.steps[0], { what: "copy", name: "team/os:v1", digest: image.digest, referrers: 0 });
  assert.deepEqual(
    json.steps.map(({ what }: { what: string }) => what),
    ["copy", "delete"],
  );
  assert.deepEqual(world.written(), []);
});

test("registry sync --json gives what was done, and again that nothing was", async () => {
  using world = await openRegistries();
  const sync = ["registry", "sync", ...REACH, "--delete"];
  const done = JSON.parse((await berth(world.host, ...sync, "--json", FROM, TO)).out);
  assert.deepEqual(done, { copied: 1, deleted: 1, unchanged: 0, movedBytes: sizeBytes });
  const again = await berth(world.host, ...sync, FROM, TO);
  assert.deepEqual([again.out, again.status], ["", 0]);
  assert.match(again.err, /^Synced 0 images \(0 B\), deleted 0 tags, 1 unchanged$/m);
});
