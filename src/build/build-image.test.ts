import assert from "node:assert/strict";
import { test } from "node:test";
import { readContainerfile } from "../containerfile/stages.ts";
import { digestOf } from "../core/digest.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import { formatImageRef } from "../oci/reference.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { assembleImage } from "./assemble.ts";
import { openBuildCache } from "./build-cache.ts";
import { findImage, prepareBuild } from "./build-image.ts";
import type { BuildRequest } from "./build-request.ts";

function request(text: string): BuildRequest {
  const none = new Map<string, never>();
  return {
    fileName: "Containerfile",
    file: readContainerfile(text),
    buildArgs: none,
    target: undefined,
    labels: none,
    annotations: none,
    network: "private",
    secrets: none,
    proxies: none,
    architecture: "amd64",
    epochSec: undefined,
  };
}

function addImage(store: Store, name: string, onBuild?: readonly string[]): void {
  const parts = {
    created: "2026-01-01T00:00:00Z",
    author: undefined,
    architecture: "amd64",
    variant: undefined,
    layers: [],
    history: [],
    annotations: new Map<string, string>(),
  };
  const config = { Labels: { name }, ...(onBuild !== undefined && { OnBuild: onBuild }) };
  store.tag(name, store.saveImage(assembleImage({ ...parts, config })).digest);
}

function openTestStore(): Store {
  return openStore(createFakeHost(), "/var/lib/berth/composefs", { keepBlobs: true, create: true, access: "shared" });
}

test("what is missing is fetched, by its full name, before the plan is made; what is here or of this machine is not", async () => {
  using store = openTestStore();
  addImage(store, "registry.example.com/here:1");
  const asked: string[] = [];
  const pull = async (ref: Parameters<typeof formatImageRef>[0]): Promise<void> => {
    asked.push(formatImageRef(ref));
    addImage(store, formatImageRef(ref));
  };
  const text =
    "FROM registry.example.com/here:1 AS a\nFROM registry.example.com/away\nCOPY --from=registry.example.com/third:2 /x /x\nCOPY --from=a /x /x\n";
  const plan = await prepareBuild(store, { request: request(text), pull });
  assert.deepEqual(asked, ["registry.example.com/away:latest", "registry.example.com/third:2"]);
  assert.equal(plan.stages.length, 2);
  await assert.rejects(prepareBuild(store, { request: request("FROM localhost/nosuch"), pull }), (error) =>
    isFailure(error, "not-found"),
  );
  assert.equal(asked.length, 2);
});

test("findImage() takes names without host, digests and ids", () => {
  using store = openTestStore();
  addImage(store, "localhost/web:latest");
  const image = store.image("localhost/web:latest");
  assert.ok(image !== undefined);
  for (const name of ["web", "web:latest", "localhost/web", image.digest, image.manifest.config.digest.slice(7, 19)]) {
    assert.equal(findImage(store, name)?.digest, image.digest, name);
  }
  assert.equal(findImage(store, "other"), undefined);
  assert.equal(findImage(store, digestOf("x")), undefined);
});

test("a base with ONBUILD triggers is refused", async () => {
  using store = openTestStore();
  addImage(store, "localhost/onbuild:latest", ["RUN x"]);
  await assert.rejects(
    prepareBuild(store, { request: request("FROM onbuild"), pull: async () => undefined }),
    /it has ONBUILD triggers/,
  );
});

test("the cache forgets steps whose layer is gone and entries that are torn", () => {
  const host = createFakeHost();
  using store = openStore(host, "/var/lib/berth/composefs", { keepBlobs: true, create: true, access: "shared" });
  const cache = openBuildCache(host, store);
  const key = "ab".repeat(32);
  cache.putStep(key, { layer: undefined, created: "2026-01-01T00:00:00Z" });
  assert.deepEqual(cache.step(key), { layer: undefined, created: "2026-01-01T00:00:00Z" });
  const digest = digestOf("x");
  cache.putStep(key, {
    layer: { diffId: digest, descriptor: { mediaType: "m", digest, size: 1 } },
    created: "2026-01-01T00:00:00Z",
  });
  assert.equal(cache.step(key), undefined);
  host.files.write(`/var/lib/berth/cache/build/ab/${"ab".repeat(31)}.json`, '{"created":');
  assert.equal(cache.step(key), undefined);
  assert.equal(cache.image(key), undefined);
  assert.equal(cache.tree([digest]), undefined);
});
