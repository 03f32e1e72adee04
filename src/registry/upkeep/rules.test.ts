/** Immutable tags, quotas and retention. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../core/digest.ts";
import { createFakeBucket } from "../../host/fake-bucket.ts";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { INDEX, MANIFEST } from "../../oci/media-types.ts";
import { retentionSection } from "../config/rules.ts";
import type { RegistryOptions } from "../handler.ts";
import { openRepository } from "../repository.ts";
import { s3Driver } from "../s3-driver.ts";
import { blobUpload, openTestRegistry, type TestRegistry } from "../testing.ts";
import { applyRetention, planRetention } from "./retention.ts";
import { compileTagGlob } from "./tag-glob.ts";

const DAY_MS = 86_400_000;
const headers = { "content-type": MANIFEST };

type Rules = Pick<RegistryOptions, "quotas" | "immutableTags">;

function open(rules: Rules = {}): { host: FakeHost; registry: TestRegistry } {
  const host = createFakeHost();
  const driver = s3Driver(host, createFakeBucket({ now: () => host.clock.now() }), { prefix: "", redirect: false });
  return { host, registry: openTestRegistry({ driver, clock: host.clock, rules }) };
}

test("compileTagGlob() covers the whole tag, and rejects what no tag has", () => {
  for (const [glob, tag, matches] of [
    ["v*", "v1.2", true],
    ["v*", "xv1", false],
    ["v1.2", "v1x2", false],
    ["*", "A_b-c", true],
  ] as const) {
    assert.equal(compileTagGlob(glob).test(tag), matches, `${glob} ${tag}`);
  }
  for (const bad of ["", "a/b", "a b", "[ab]"]) assert.throws(() => compileTagGlob(bad), SyntaxError);
});

test("an immutable tag is set once: another manifest and a deletion are denied, the same again is fine", async () => {
  const { registry } = open({ immutableTags: ["v*"] });
  using _ = registry;
  const { bytes, digest } = await registry.pushImage("os", "v1");
  const again = await registry.call("PUT", "/v2/os/manifests/v1", { body: bytes, headers });
  assert.equal(again.status, 201);
  const other = await registry.pushImage("os", "latest", { annotations: { a: "other" } });
  const moved = await registry.call("PUT", "/v2/os/manifests/v1", { body: other.bytes, headers });
  assert.equal(moved.status, 403);
  assert.match(await moved.text(), /"DENIED".*tag \\"v1\\" is immutable/);
  assert.equal((await registry.call("DELETE", "/v2/os/manifests/v1")).status, 403);
  assert.equal((await registry.call("DELETE", `/v2/os/manifests/${digest}`)).status, 403);
  const extra = await registry.call("PUT", "/v2/os/manifests/new?tag=v1", { body: other.bytes, headers });
  assert.equal(extra.status, 403);
  assert.equal((await registry.call("HEAD", "/v2/os/manifests/new")).status, 404, "nothing of a denied push is done");
  assert.equal((await registry.call("DELETE", `/v2/os/manifests/${other.digest}`)).status, 202);
});

test("of two pushes of one immutable tag at once, one wins", async () => {
  using registry = openTestRegistry({ storage: "s3", rules: { immutableTags: ["*"] } });
  const images = [await registry.pushImage("os", "a"), await registry.pushImage("os", "b")];
  const answers = await Promise.all(
    images.map(({ bytes }) => registry.call("PUT", "/v2/os/manifests/v1", { body: bytes, headers })),
  );
  assert.deepEqual(
    answers.map(({ status }) => status).sort((a, b) => a - b),
    [201, 403],
  );
});

test("a quota refuses bytes before they are stored, whichever way they come", async () => {
  const { registry } = open({ quotas: [{ repositories: "team/**", size: 1000 }] });
  using _ = registry;
  const big = Buffer.alloc(1001, 1);
  const session = (await registry.call("POST", "/v2/team/a/blobs/uploads/")).headers.get("location") ?? "";
  const length = { "content-length": String(big.length) };
  const refused = await registry.call("PATCH", session, { body: big, headers: length });
  assert.equal(refused.status, 403);
  assert.deepEqual(await refused.json(), {
    errors: [{ code: "DENIED", message: 'quota of "team/**" is exceeded: it is 1 kB', detail: { quota: 1000 } }],
  });
  assert.equal((await registry.call("GET", session)).status, 404, "the upload has ended");
  const other = (await registry.call("POST", "/v2/team/a/blobs/uploads/")).headers.get("location") ?? "";
  const parts = [big.subarray(0, 500), big.subarray(500)];
  assert.equal((await registry.call("PATCH", other, { body: ReadableStream.from(parts) })).status, 403);
  assert.equal((await registry.call("GET", other)).status, 404);
  const whole = await registry.call("POST", `/v2/team/a/blobs/uploads/?digest=${digestOf(big)}`, { body: big });
  assert.equal(whole.status, 403);

  await registry.pushBlob("other", big);
  const mount = await registry.call("POST", `/v2/team/b/blobs/uploads/?mount=${digestOf(big)}&from=other`);
  assert.equal(mount.status, 403);
  await registry.pushBlob("team/a", big.subarray(0, 600));
  await assert.rejects(registry.pushBlob("team/b", big.subarray(0, 500)), /403/);
  await registry.pushBlob("team/b", big.subarray(0, 400));
});

test("uploads that have not ended count: many at once pass no quota, before and after a restart", async () => {
  for (const restarts of [false, true]) {
    const { host, registry: first } = open({ quotas: [{ repositories: "team/**", size: 1000 }] });
    using _ = first;
    const registry = (): TestRegistry => (restarts ? first.restart() : first);
    const bytes = [1, 2, 3].map((fill) => Buffer.alloc(900, fill));
    const sessions: string[] = [];
    const statuses: number[] = [];
    for (const body of bytes) {
      const session = await registry().call("POST", "/v2/team/a/blobs/uploads/");
      sessions.push(session.headers.get("location") ?? "");
      statuses.push((await registry().call("PATCH", sessions.at(-1) ?? "", { body })).status);
    }
    assert.deepEqual(statuses, [202, 403, 403]);
    const finished: number[] = [];
    for (const [index, session] of sessions.entries()) {
      const done = await registry().call("PUT", blobUpload(session, digestOf(bytes[index] ?? "")));
      finished.push(done.status);
    }
    assert.deepEqual(finished, [201, 404, 404]);
    await assert.rejects(registry().pushBlob("team/b", "x".repeat(101)), /403/, "a finished upload counts as its blob");
    await registry().pushBlob("team/b", "x".repeat(100));
    host.clock.advance(60_000);
    await assert.rejects(registry().pushBlob("team/b", "y"), /403/, "counted anew it is the same");
  }
});

test("uploads at the same moment pass no quota together; what is cancelled counts no more", async () => {
  const { registry } = open({ quotas: [{ repositories: "team/**", size: 1000 }] });
  using _ = registry;
  const locations: string[] = [];
  for (let count = 0; count < 4; count += 1) {
    locations.push((await registry.call("POST", "/v2/team/a/blobs/uploads/")).headers.get("location") ?? "");
  }
  const answers = await Promise.all(
    locations.map((location) => {
      const body = ReadableStream.from(Array.from({ length: 6 }, () => Buffer.alloc(100, 1)));
      return registry.call("PATCH", location, { body });
    }),
  );
  const taken = locations.filter((_location, index) => answers[index]?.status === 202);
  assert.ok(taken.length <= 1, answers.map(({ status }) => status).join());
  for (const location of taken) await registry.call("DELETE", location);
  await registry.pushBlob("team/a", Buffer.alloc(1000, 2));
});

test("of what two replicas took at the same moment, the end of an upload takes no more than the quota", async () => {
  const { host, registry } = open({ quotas: [{ repositories: "team/**", size: 1000 }] });
  using _ = registry;
  const replicas = [registry, registry.restart()];
  const uploads: { readonly replica: TestRegistry; readonly location: string; readonly bytes: Buffer }[] = [];
  for (const replica of replicas) {
    const session = await replica.call("POST", "/v2/team/a/blobs/uploads/");
    uploads.push({
      replica,
      location: session.headers.get("location") ?? "",
      bytes: Buffer.alloc(600, uploads.length),
    });
  }
  for (const { replica, location, bytes } of uploads)
    assert.equal((await replica.call("PATCH", location, { body: bytes })).status, 202);
  host.clock.advance(60_000);
  const ends: number[] = [];
  for (const { replica, location, bytes } of uploads)
    ends.push((await replica.call("PUT", blobUpload(location, digestOf(bytes)))).status);
  assert.deepEqual(ends, [403, 201]);
});

test("content that repositories of a quota share counts once; what is deleted counts no more", async () => {
  const { host, registry } = open({ quotas: [{ repositories: "team/**", size: 1000 }] });
  using _ = registry;
  const shared = Buffer.alloc(600, 1);
  await registry.pushBlob("team/a", shared);
  host.clock.advance(60_000);
  await registry.call("DELETE", `/v2/team/a/blobs/${digestOf(shared)}`);
  host.clock.advance(60_000);
  await registry.pushBlob("team/b", Buffer.alloc(900, 2));
});

async function retained(registry: TestRegistry, host: FakeHost, rule: object): Promise<string[]> {
  const rules = retentionSection.read([rule], "retention");
  const steps = await planRetention(registry.driver, rules, host.clock.now());
  await applyRetention(host, registry.driver, { steps, graceMs: DAY_MS });
  return steps.map((step) => (step.kind === "delete-tag" ? step.tag : step.digest));
}

test("retention keeps the last tags of a glob, and takes only what is old enough", async () => {
  for (const [rule, taken] of [
    [{ "keep-last": 2 }, ["v3", "v2", "v1", "nightly"]],
    [{ "keep-last": 2, tags: "v*" }, ["v3", "v2", "v1"]],
    [{ "older-than": "3d" }, ["v2", "v1", "nightly"]],
    [{ "keep-last": 1, "older-than": "4d", tags: "v*" }, ["v1"]],
    [{ "keep-last": 1, repositories: "other/**" }, []],
    [{}, []],
  ] as const) {
    const { host, registry } = open();
    using _ = registry;
    for (const tag of ["nightly", "v1", "v2", "v3", "v4", "v5"]) {
      await registry.pushImage("os", tag);
      host.clock.advance(DAY_MS);
    }
    assert.deepEqual(await retained(registry, host, rule), taken, JSON.stringify(rule));
    const left = (await (await registry.call("GET", "/v2/os/tags/list")).json()) as { tags: string[] };
    assert.equal(left.tags.length, 6 - taken.length);
  }
});

test("a manifest is untagged from when it lost its last tag, however that came and however old it is", async () => {
  const losses: Record<string, (registry: TestRegistry, host: FakeHost) => Promise<unknown>> = {
    "the tag moved": (registry) => registry.pushImage("os", "v1", { annotations: { a: "newer" } }),
    "the tag was deleted": (registry) => registry.call("DELETE", "/v2/os/manifests/v1"),
    "retention took the tag": async (registry, host) => {
      await registry.pushImage("os", "v2");
      assert.deepEqual(await retained(registry, host, { "keep-last": 1, untagged: "14d" }), ["v1"]);
    },
  };
  for (const [name, lose] of Object.entries(losses)) {
    const { host, registry } = open();
    using _ = registry;
    const old = await registry.pushImage("os", "v1");
    host.clock.advance(30 * DAY_MS);
    await lose(registry, host);
    const rule = { untagged: "14d" };
    host.clock.advance(13 * DAY_MS);
    assert.deepEqual(await retained(registry, host, rule), [], name);
    host.clock.advance(2 * DAY_MS);
    assert.deepEqual(await retained(registry, host, rule), [old.digest], name);
    assert.deepEqual(await registry.driver.listRecords("repositories/os/untagged"), [], name);
  }
});

test("the same digest pushed to its tag again loses nothing, and a deleted manifest leaves no mark", async () => {
  using registry = openTestRegistry();
  const { digest, bytes } = await registry.pushImage("os", "v1");
  await registry.call("PUT", "/v2/os/manifests/v1?tag=v2", { body: bytes, headers });
  assert.deepEqual(await registry.driver.listRecords("repositories/os/untagged"), []);
  await registry.call("DELETE", "/v2/os/manifests/v1");
  assert.equal((await registry.driver.listRecords("repositories/os/untagged")).length, 1);
  await registry.call("DELETE", `/v2/os/manifests/${digest}`);
  assert.deepEqual(await registry.driver.listRecords("repositories/os/untagged"), []);
});

test("retention deletes untagged manifests, but no child of an index and no referrer of what stays", async () => {
  const { host, registry } = open();
  using _ = registry;
  const child = await registry.pushImage("os", "child");
  const loose = await registry.pushImage("os", "loose");
  const index = indexOf(child);
  const put = await registry.call("PUT", "/v2/os/manifests/v1", { body: index, headers: { "content-type": INDEX } });
  assert.equal(put.status, 201);
  const subject = { mediaType: INDEX, digest: digestOf(index), size: index.length };
  const referrer = await registry.pushImage("os", "referrer", { subject });
  const gone = { mediaType: INDEX, digest: digestOf("gone"), size: 4 };
  const orphan = await registry.pushImage("os", "orphan", { subject: gone });
  for (const tag of ["child", "loose", "referrer", "orphan"]) await registry.call("DELETE", `/v2/os/manifests/${tag}`);
  assert.deepEqual(await retained(registry, host, { untagged: "7d" }), []);
  host.clock.advance(8 * DAY_MS);
  assert.deepEqual((await retained(registry, host, { untagged: "7d" })).sort(), [loose.digest, orphan.digest].sort());
  for (const { digest } of [child, referrer]) {
    assert.equal((await registry.call("HEAD", `/v2/os/manifests/${digest}`)).status, 200);
  }
});

test("retention takes an index, its children and their referrers in one run", async () => {
  const { host, registry } = open();
  using _ = registry;
  const child = await registry.pushImage("os", "child");
  const index = indexOf(child);
  await registry.call("PUT", "/v2/os/manifests/all", { body: index, headers: { "content-type": INDEX } });
  const subject = { mediaType: MANIFEST, digest: child.digest, size: child.bytes.length };
  await registry.pushImage("os", "signature", { subject });
  for (const tag of ["child", "all", "signature"]) await registry.call("DELETE", `/v2/os/manifests/${tag}`);
  host.clock.advance(8 * DAY_MS);
  assert.equal((await retained(registry, host, { untagged: "7d" })).length, 3);
  assert.deepEqual(await openRepository(registry.driver, "os").manifests(), []);
});

test("retention leaves a manifest that something began to use after the plan", async () => {
  const headersOf = (type: string): object => ({ headers: { "content-type": type } });
  const uses: Record<string, (world: Using) => Promise<Response>> = {
    "an index lists it": ({ registry, manifest }) =>
      registry.call("PUT", "/v2/os/manifests/v1", { body: indexOf(manifest), ...headersOf(INDEX) }),
    "its subject came": ({ registry, subject }) =>
      registry.call("PUT", "/v2/os/manifests/v1", { body: subject.bytes, ...headersOf(MANIFEST) }),
    "it has a tag": ({ registry, manifest }) =>
      registry.call("PUT", "/v2/os/manifests/v1", { body: manifest.bytes, ...headersOf(MANIFEST) }),
    "a push was told of it": ({ registry, manifest }) =>
      registry.call("PUT", `/v2/os/manifests/${manifest.digest}`, { body: manifest.bytes, ...headersOf(MANIFEST) }),
  };
  for (const [name, use] of Object.entries(uses)) {
    const { host, registry } = open();
    using _ = registry;
    const subject = await registry.pushImage("os", "subject");
    await registry.call("DELETE", `/v2/os/manifests/${subject.digest}`);
    const descriptor = { mediaType: MANIFEST, digest: subject.digest, size: subject.bytes.length };
    const manifest = await registry.pushImage("os", "loose", { subject: descriptor });
    await registry.call("DELETE", "/v2/os/manifests/loose");
    host.clock.advance(8 * DAY_MS);
    const rules = retentionSection.read([{ untagged: "7d" }], "retention");
    const steps = await planRetention(registry.driver, rules, host.clock.now());
    assert.equal(steps.length, 1, name);
    assert.equal((await use({ registry, manifest, subject })).status, 201, name);
    // Only the use that is a lease may count on one.
    host.clock.advance(name === "a push was told of it" ? DAY_MS / 2 : 2 * DAY_MS);
    await applyRetention(host, registry.driver, { steps, graceMs: DAY_MS });
    assert.equal((await registry.call("HEAD", `/v2/os/manifests/${manifest.digest}`)).status, 200, name);
  }
});

interface Pushed {
  readonly digest: string;
  readonly bytes: Buffer;
}

interface Using {
  readonly registry: TestRegistry;
  readonly manifest: Pushed;
  readonly subject: Pushed;
}

function indexOf({ digest, bytes }: Pushed): string {
  const manifests = [{ mediaType: MANIFEST, digest, size: bytes.length }];
  return JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests });
}
