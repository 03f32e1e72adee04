import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../core/digest.ts";
import { MANIFEST_BYTES_MAX } from "../oci/manifest.ts";
import { CONFIG, INDEX, MANIFEST } from "../oci/media-types.ts";
import { openRepository } from "./repository.ts";
import { openTestRegistry, type TestRegistry } from "./testing.ts";

async function list(registry: TestRegistry, path: string): Promise<{ value: unknown; link: string | null }> {
  const got = await registry.call("GET", path);
  assert.equal(got.status, 200, path);
  return { value: await got.json(), link: got.headers.get("link") };
}

test("tags come in byte order; n and last cut them, and Link leads on", async () => {
  using registry = openTestRegistry();
  for (const tag of ["b", "a", "C", "b.1", "_x"]) await registry.pushImage("team/os", tag);
  const tags = ["C", "_x", "a", "b", "b.1"];
  assert.deepEqual(await list(registry, "/v2/team/os/tags/list"), { value: { name: "team/os", tags }, link: null });
  assert.deepEqual((await list(registry, "/v2/team/os/tags/list?last=a")).value, {
    name: "team/os",
    tags: ["b", "b.1"],
  });
  assert.deepEqual(await list(registry, "/v2/team/os/tags/list?n=0"), {
    value: { name: "team/os", tags: [] },
    link: null,
  });
  const seen: string[] = [];
  let path: string | undefined = "/v2/team/os/tags/list?n=2";
  while (path !== undefined) {
    const page = await list(registry, path);
    seen.push(...(page.value as { tags: string[] }).tags);
    path = /^<([^>]+)>; rel="next"$/.exec(page.link ?? "")?.[1];
  }
  assert.deepEqual(seen, tags);
});

test("tags of an unknown repository give 404 NAME_UNKNOWN, a bad n 400", async () => {
  using registry = openTestRegistry();
  assert.equal((await registry.call("GET", "/v2/no/such/tags/list")).status, 404);
  await registry.pushImage("team/os", "v1");
  for (const n of ["-1", "x", "1e3", ""])
    assert.equal((await registry.call("GET", `/v2/team/os/tags/list?n=${n}`)).status, 400);
});

test("the catalog lists repositories in order, in pages", async () => {
  using registry = openTestRegistry();
  assert.deepEqual(await list(registry, "/v2/_catalog"), { value: { repositories: [] }, link: null });
  for (const name of ["b", "a/b-c", "a/b", "a"]) await registry.pushBlob(name, "x");
  assert.deepEqual((await list(registry, "/v2/_catalog")).value, { repositories: ["a", "a/b", "a/b-c", "b"] });
  const page = await list(registry, "/v2/_catalog?n=2");
  assert.deepEqual(page.value, { repositories: ["a", "a/b"] });
  assert.equal(page.link, '</v2/_catalog?n=2&last=a%2Fb>; rel="next"');
});

test("referrers of an unknown subject in an unknown repository are an empty index", async () => {
  using registry = openTestRegistry();
  const got = await registry.call("GET", `/v2/no/such/referrers/${digestOf("x")}`);
  assert.equal(got.status, 200);
  assert.equal(got.headers.get("content-type"), INDEX);
  assert.deepEqual(await got.json(), { schemaVersion: 2, mediaType: INDEX, manifests: [] });
});

test("referrers show type, size, artifactType and annotations; the filter says that it was applied", async () => {
  using registry = openTestRegistry();
  const subject = digestOf("subject");
  const config = await registry.pushBlob("team/os", "{}");
  const push = async (extra: object, type = MANIFEST): Promise<{ digest: string; size: number }> => {
    const parts =
      type === MANIFEST ? { config: { mediaType: CONFIG, digest: config, size: 2 }, layers: [] } : { manifests: [] };
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      ...parts,
      subject: { mediaType: MANIFEST, digest: subject, size: 7 },
      ...extra,
    });
    const done = await registry.call("PUT", `/v2/team/os/manifests/${digestOf(body)}`, {
      body,
      headers: { "content-type": type },
    });
    assert.equal(done.status, 201);
    assert.equal(done.headers.get("oci-subject"), subject);
    return { digest: digestOf(body), size: body.length };
  };
  const sbom = {
    ...(await push({ artifactType: "a/sbom", annotations: { k: "v" } })),
    mediaType: MANIFEST,
    artifactType: "a/sbom",
    annotations: { k: "v" },
  };
  const plain = { ...(await push({})), mediaType: MANIFEST, artifactType: CONFIG };
  const index = { ...(await push({}, INDEX)), mediaType: INDEX };

  const all = (await list(registry, `/v2/team/os/referrers/${subject}`)).value as { manifests: { digest: string }[] };
  const byDigest = (left: { digest: string }, right: { digest: string }): number =>
    left.digest < right.digest ? -1 : 1;
  assert.deepEqual([...all.manifests].sort(byDigest), [sbom, plain, index].sort(byDigest));

  const filtered = await registry.call("GET", `/v2/team/os/referrers/${subject}?artifactType=a/sbom`);
  assert.equal(filtered.headers.get("oci-filters-applied"), "artifactType");
  assert.deepEqual(((await filtered.json()) as { manifests: unknown[] }).manifests, [sbom]);

  assert.equal((await registry.call("DELETE", `/v2/team/os/manifests/${sbom.digest}`)).status, 202);
  const rest = (await list(registry, `/v2/team/os/referrers/${subject}`)).value as { manifests: unknown[] };
  assert.equal(rest.manifests.length, 2);
});

interface Entry {
  readonly digest: string;
  readonly artifactType?: string;
  readonly annotations?: object;
}

/** Each page of the list, as a client follows it. */
async function referrerPages(registry: TestRegistry, subject: Digest): Promise<Entry[][]> {
  const pages: Entry[][] = [];
  let path: string | undefined = `/v2/team/os/referrers/${subject}`;
  while (path !== undefined) {
    const got = await registry.call("GET", path);
    const text = await got.text();
    assert.ok(Buffer.byteLength(text) <= MANIFEST_BYTES_MAX, "clients take no larger list");
    pages.push((JSON.parse(text) as { manifests: Entry[] }).manifests);
    path = /^<([^>]+)>; rel="next"$/.exec(got.headers.get("link") ?? "")?.[1];
  }
  return pages;
}

async function pushReferrer(registry: TestRegistry, subject: Digest, extra: object): Promise<Digest> {
  const config = { mediaType: CONFIG, digest: await registry.pushBlob("team/os", "{}"), size: 2 };
  const referred = { mediaType: MANIFEST, digest: subject, size: 7 };
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config,
    layers: [],
    subject: referred,
    ...extra,
  });
  const headers = { "content-type": MANIFEST };
  assert.equal((await registry.call("PUT", `/v2/team/os/manifests/${digestOf(body)}`, { body, headers })).status, 201);
  return digestOf(body);
}

test("huge annotations and types are left out of the list of referrers, which hides no entry", async () => {
  using registry = openTestRegistry();
  const subject = digestOf("subject");
  const small: Digest[] = [];
  for (let i = 0; i < 8; i += 1) small.push(await pushReferrer(registry, subject, { annotations: { i: String(i) } }));
  const huge = await pushReferrer(registry, subject, { annotations: { k: "x".repeat(4_000_000) } });
  const odd = await pushReferrer(registry, subject, { artifactType: `a/${"x".repeat(4_000_000)}` });
  const found = (await referrerPages(registry, subject)).flat();
  assert.deepEqual(found.map(({ digest }) => digest).sort(), [...small, huge, odd].sort());
  const entry = (digest: Digest): Entry | undefined => found.find((each) => each.digest === digest);
  assert.equal(entry(huge)?.annotations, undefined);
  assert.equal(entry(odd)?.artifactType, undefined);
  assert.deepEqual(entry(small[3] ?? huge)?.annotations, { i: "3" });
});

test("referrers past a page's bytes go on behind Link, also past an entry that fills more than a page", async () => {
  using registry = openTestRegistry();
  const repository = openRepository(registry.driver, "team/os");
  const subject = digestOf("subject");
  const digests = Array.from({ length: 6 }, (_, i) => digestOf(`referrer ${i}`)).sort();
  for (const [i, digest] of digests.entries()) {
    const annotations = { k: "x".repeat([1, 2_000_000, 3_500_000, 3_500_000, 2_000_000, 1][i] ?? 0) };
    const record = { digest, mediaType: MANIFEST, size: 1, subject };
    await repository.addManifest(record, { mediaType: MANIFEST, digest, size: 1, annotations });
  }
  const pages = await referrerPages(registry, subject);
  const [a, b, c, d, e, f] = digests;
  assert.deepEqual(
    pages.map((page) => page.map(({ digest }) => digest)),
    [[a, b], [c], [d], [e, f]],
  );
});
