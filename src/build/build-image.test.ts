import assert from "node:assert/strict";
import { test } from "node:test";
import { ContainerfileError } from "../containerfile/containerfile-error.ts";
import { createIgnoreRules } from "../containerfile/ignore.ts";
import { readContainerfile } from "../containerfile/stages.ts";
import { digestOf } from "../core/digest.ts";
import { createFakeHost } from "../host/fake.ts";
import { formatImageRef, type ImageRef } from "../oci/reference.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { assembleImage } from "./assemble.ts";
import { openBuildCache } from "./build-cache.ts";
import { findImage, prepareBuild } from "./build-image.ts";
import type { BuildRequest } from "./build-request.ts";
import type { BuildPlan } from "./step.ts";

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

const host = createFakeHost();
host.files.makeDirectory("/context/sub");
host.files.write("/context/here", "x");
host.files.write("/context/hidden.log", "x");

function prepare(
  store: Store,
  text: string,
  pull: (ref: ImageRef) => Promise<void> = async () => undefined,
): Promise<BuildPlan> {
  const rules = createIgnoreRules(["*.log"]);
  const context = { root: "/context", rules, isImage: false, title: 'build context "."' };
  return prepareBuild(host, store, { request: request(text), context, pull });
}

function openTestStore(): Store {
  return openStore(createFakeHost(), "/var/lib/berth/composefs", { keepBlobs: true, create: true, access: "shared" });
}

test("what is missing is fetched, by its full name, before the plan is made; what is here or of this machine is not", async () => {
  using store = openTestStore();
  addImage(store, "registry.example.com/here:1");
  const asked: string[] = [];
  const pull = async (ref: ImageRef): Promise<void> => {
    asked.push(formatImageRef(ref));
    addImage(store, formatImageRef(ref));
  };
  const text =
    "FROM registry.example.com/here:1 AS a\nFROM registry.example.com/away\nCOPY --from=registry.example.com/third:2 /x /x\nCOPY --from=a /x /x\n";
  const plan = await prepare(store, text, pull);
  assert.deepEqual(asked, ["registry.example.com/away:latest", "registry.example.com/third:2"]);
  assert.equal(plan.stages.length, 2);
  await assert.rejects(
    prepare(store, "FROM localhost/nosuch", pull),
    /base image "localhost\/nosuch" is not in the store/,
  );
  assert.equal(asked.length, 2);
});

const missing: readonly (readonly [text: string, line: number, column: number, message: RegExp])[] = [
  ["FROM nosuch", 1, 6, /^base image "nosuch" is not in the store$/],
  ["FROM --platform=linux/amd64 nosuch", 1, 29, /^base image "nosuch" is not in the store$/],
  [
    "FROM scratch\nCOPY here nosuch /d/",
    2,
    11,
    /^cannot use "nosuch": there is no such file in the build context "\."$/,
  ],
  ["FROM scratch\nADD sub/nosuch /d/", 2, 5, /there is no such file/],
  ["FROM scratch\nCOPY \\\n  *.md /d/", 3, 3, /nothing in the build context "\." matches/],
  ["FROM scratch\nCOPY hidden.log /d/", 2, 6, /an ignore rule excludes it/],
  ["FROM scratch\nENV v=nosuch\nCOPY $v /d/", 3, 6, /cannot use "nosuch"/],
  ["FROM scratch\nRUN --mount=type=bind,source=nosuch,target=/x true", 2, 13, /cannot use "nosuch"/],
];
for (const [text, line, column, message] of missing) {
  test(`prepareBuild() points at what is missing in ${JSON.stringify(text)}`, async () => {
    using store = openTestStore();
    await assert.rejects(prepare(store, text), (error) => {
      assert.ok(error instanceof ContainerfileError, String(error));
      assert.deepEqual([error.line, error.column], [line, column]);
      assert.match(error.message, message);
      return true;
    });
  });
}

test("prepareBuild() takes sources that are there, and leaves those of stages to their time", async () => {
  using store = openTestStore();
  const text = "FROM scratch AS a\nCOPY here sub h* <<EOF /d/\ntext\nEOF\nFROM scratch\nCOPY --from=a nosuch /\n";
  assert.equal((await prepare(store, text)).stages.length, 2);
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
  await assert.rejects(prepare(store, "FROM onbuild"), /it has ONBUILD triggers/);
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
