/** Repositories through a folder and an archive into another registry; Debian's skopeo reads the folder. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { parseJsonObject } from "../core/json.ts";
import { silent } from "../core/progress.ts";
import { createLinuxHost } from "../host/linux.ts";
import { type Descriptor, parseIndex, parseManifest } from "../oci/manifest.ts";
import { INDEX, MANIFEST } from "../oci/media-types.ts";
import { parseImageRef } from "../oci/reference.ts";
import { openTestRegistry } from "../registry/testing.ts";
import type { CopyContext } from "./copy/image-io.ts";
import { openPlace } from "./sync/open-place.ts";
import { applySync, planSync, type SyncResult } from "./sync/sync.ts";
import { globToPattern } from "./sync/sync-place.ts";
import { pushImage } from "./push.ts";
import { createMemoryStore, createTestClient, makeImage } from "./testing.ts";
import { SIMPLE_SIGNING } from "./trust/signatures.ts";

const host = createLinuxHost();
const FROM = "from.test:5000";
const TO = "to.test:5000";
const image = makeImage(["base", "one"]);

interface World extends Disposable {
  readonly at: (name: string) => string;
  readonly requests: string[];
  readonly from: ReturnType<typeof openTestRegistry>;
  readonly to: ReturnType<typeof openTestRegistry>;
  /** From now on, by the policy of this machine. */
  rejectAll(): void;
  sync(source: string, destination: string, options?: { tag?: string; delete?: boolean }): Promise<SyncResult>;
}

/** `from` has team/os:v1 and v2 (one image), team/app:v1, and a signature of that image with a signature of its own. */
async function openWorld(): Promise<World> {
  const from = openTestRegistry();
  const to = openTestRegistry();
  const home = `${from.root}/home`;
  const client = createTestClient({ [FROM]: from.handler, [TO]: to.handler }, { env: { HOME: home } });
  const context: CopyContext = { ...client.context, host: { ...host, ...client.context.host }, progress: silent };
  const store = createMemoryStore(`${from.root}/store`);
  const stored = store.add(image, "localhost/x:1");
  for (const name of ["team/os:v1", "team/os:v2", "team/app:v1"])
    await pushImage(client.context, store, stored, parseImageRef(`${FROM}/${name}`));
  let subject = { mediaType: MANIFEST, digest: image.digest, size: image.manifestBytes.length };
  for (const kind of ["application/x-signature", "application/x-of-signature"]) {
    const empty = Buffer.from("{}");
    await from.pushBlob("team/os", empty);
    const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(empty), size: 2 };
    const bytes = JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      artifactType: kind,
      config,
      layers: [config],
      subject,
    });
    const digest = digestOf(bytes);
    const path = `/v2/team/os/manifests/${digest}`;
    assert.equal((await from.call("PUT", path, { body: bytes, headers: { "content-type": MANIFEST } })).status, 201);
    subject = { mediaType: MANIFEST, digest, size: bytes.length };
  }
  client.requests.length = 0;
  return {
    at: (name) => `${from.root}/${name}`,
    requests: client.requests,
    from,
    to,
    rejectAll() {
      host.files.makeDirectory(`${home}/.config/containers`);
      host.files.write(`${home}/.config/containers/policy.json`, '{"default":[{"type":"reject"}]}');
    },
    async sync(source, destination, { tag = "*", delete: deletes = false } = {}) {
      const tags = globToPattern(tag);
      await using left = await openPlace(context, source, { side: "source", tags });
      await using right = await openPlace(context, destination, { side: "destination", tags });
      return applySync(context, left, right, await planSync(left, right, { delete: deletes }));
    },
    [Symbol.dispose]() {
      from[Symbol.dispose]();
      to[Symbol.dispose]();
    },
  };
}

const tagsOf = async (registry: World["to"], repository: string): Promise<unknown> => {
  const answer = await registry.call("GET", `/v2/${repository}/tags/list`);
  return parseJsonObject(await answer.text(), "tags")["tags"];
};

const referrersOf = async (registry: World["to"], repository: string, digest: string): Promise<Digest[]> => {
  const answer = await registry.call("GET", `/v2/${repository}/referrers/${digest}`);
  return parseIndex(await answer.text()).manifests.map((entry) => entry.digest);
};

for (const [form, place] of [
  ["a folder", "oci:DIR/air"],
  ["an archive", "oci-archive:DIR/air.tar"],
] as const) {
  test(`a registry goes through ${form} into another with tags, digests and referrers; again moves nothing`, async () => {
    using world = await openWorld();
    const name = place.replace("DIR", world.at("").replace(/\/$/, ""));
    const first = await world.sync(FROM, name);
    assert.deepEqual([first.copied, first.unchanged], [3, 0]);
    const { stdout } = await host.exec(["skopeo", "inspect", `${name}:team/os:v1`], { timeoutMs: 30_000 });
    assert.equal(JSON.parse(stdout.toString()).Digest, image.digest);

    const again = await world.sync(FROM, name);
    assert.deepEqual([again.copied, again.unchanged, again.movedBytes], [0, 3, 0]);

    await world.sync(name, TO);
    assert.deepEqual(await tagsOf(world.to, "team/os"), ["v1", "v2"]);
    assert.deepEqual(await tagsOf(world.to, "team/app"), ["v1"]);
    const [signature = ""] = await referrersOf(world.to, "team/os", image.digest);
    assert.deepEqual([signature], await referrersOf(world.from, "team/os", image.digest));
    assert.deepEqual(
      await referrersOf(world.to, "team/os", signature),
      await referrersOf(world.from, "team/os", signature),
    );
    const last = await world.sync(name, TO);
    assert.deepEqual([last.copied, last.unchanged], [0, 3]);
  });
}

for (const place of ["oci:DIR/air", "oci-archive:DIR/air.tar"]) {
  test(`what is attached to an image in one repository does not reach another through ${place}`, async () => {
    using world = await openWorld();
    const name = place.replace("DIR/", world.at(""));
    // The same image as team/os:v1, to which a signature is attached.
    assert.deepEqual(await referrersOf(world.from, "team/app", image.digest), []);
    await world.sync(`${FROM}/team/app`, name);
    await world.sync(FROM, name);
    await world.sync(FROM, name);
    await world.sync(name, `${TO}/below`);
    assert.deepEqual(await referrersOf(world.to, "below/team/app", image.digest), []);
    assert.equal((await referrersOf(world.to, "below/team/os", image.digest)).length, 1);
  });

  test(`what is attached in two repositories reaches both through ${place}`, async () => {
    using world = await openWorld();
    const name = place.replace("DIR/", world.at(""));
    await world.sync(`${FROM}/team/os`, `${FROM}/copy`);
    await world.sync(FROM, name);
    await world.sync(name, TO);
    for (const repository of ["team/os", "copy/team/os"])
      assert.equal((await referrersOf(world.to, repository, image.digest)).length, 1);
  });
}

test("one repository, chosen tags, a prefix at the destination", async () => {
  using world = await openWorld();
  const result = await world.sync(`${FROM}/team/os`, `${TO}/mirror`, { tag: "v[1]*" });
  assert.equal(result.copied, 0, "no shell classes");
  assert.equal((await world.sync(`${FROM}/team/os`, `${TO}/mirror`, { tag: "?1" })).copied, 1);
  assert.deepEqual(await tagsOf(world.to, "mirror/team/os"), ["v1"]);
});

const imageManifest = parseManifest(String(image.manifestBytes));
const indexOf = (entry: Descriptor): object => ({ schemaVersion: 2, mediaType: INDEX, manifests: [entry] });
const imageEntry = { mediaType: MANIFEST, digest: image.digest, size: image.manifestBytes.length };
const signature = {
  ...imageManifest,
  layers: imageManifest.layers.map((each) => ({ ...each, mediaType: SIMPLE_SIGNING })),
};
const artifact = {
  ...imageManifest,
  config: { ...imageManifest.config, mediaType: "application/vnd.oci.empty.v1+json" },
};

/** Under a tag that is a companion's, with a policy that rejects every image. */
for (const [what, ending, parts, isImage] of [
  ["an image", ".sig", [imageManifest], true],
  ["an image with a subject", "", [{ ...imageManifest, subject: imageEntry }], true],
  [
    "an image with a layer that is a signature",
    ".att",
    [{ ...signature, layers: [...signature.layers.slice(1), ...imageManifest.layers.slice(0, 1)] }],
    true,
  ],
  ["a list with an image", "", [imageManifest, "list"], true],
  ["a list with a list", "", [artifact, "list", "list"], true],
  ["a signature", ".sig", [signature], false],
  ["a list of referrers", "", [artifact, "list"], false],
] as const) {
  test(`${what} under a companion's tag ${isImage ? "is held against" : "passes"} the policy`, async () => {
    using world = await openWorld();
    const tag = `sha256-${"a".repeat(64)}${ending}`;
    for (const blob of [image.configBytes, ...image.layers]) await world.from.pushBlob("team/odd", blob);
    let entry = imageEntry;
    for (const [i, part] of parts.entries()) {
      const mediaType = part === "list" ? INDEX : MANIFEST;
      const body = JSON.stringify(part === "list" ? indexOf(entry) : part);
      entry = { mediaType, digest: digestOf(body), size: Buffer.byteLength(body) };
      const path = `/v2/team/odd/manifests/${i === parts.length - 1 ? tag : entry.digest}`;
      const put = await world.from.call("PUT", path, { body, headers: { "content-type": mediaType } });
      assert.equal(put.status, 201);
    }
    world.rejectAll();
    const run = world.sync(`${FROM}/team/odd`, TO);
    if (isImage) await assert.rejects(run, (error) => isFailure(error, "denied") && /rejects it/.test(error.message));
    else assert.equal((await run).copied, 1);
    const there = await world.to.call("GET", `/v2/team/odd/manifests/${tag}`);
    assert.equal(there.status, isImage ? 404 : 200);
  });
}

test("--delete takes tags away that the source does not have, in these repositories only", async () => {
  using world = await openWorld();
  await world.sync(FROM, TO);
  for (const path of ["team/os/manifests/old", "other/os/manifests/kept"]) {
    const repository = path.replace(/\/manifests.*/, "");
    for (const blob of [image.configBytes, ...image.layers]) await world.to.pushBlob(repository, blob);
    await world.to.call("PUT", `/v2/${path}`, { body: image.manifestBytes, headers: { "content-type": MANIFEST } });
  }
  assert.equal((await world.sync(FROM, TO)).deleted, 0);
  assert.equal((await world.sync(FROM, TO, { delete: true })).deleted, 1);
  assert.deepEqual(await tagsOf(world.to, "team/os"), ["v1", "v2"]);
  assert.deepEqual(await tagsOf(world.to, "other/os"), ["kept"]);
});

for (const [name, text] of [
  ["a tag", `${FROM}/team/os:v1`],
  ["no host", "team"],
  ["an empty folder name", "oci:"],
] as const) {
  test(`a place with ${name} is refused`, async () => {
    using world = await openWorld();
    await assert.rejects(world.sync(text, TO), (error) => isFailure(error, "usage"));
  });
}
