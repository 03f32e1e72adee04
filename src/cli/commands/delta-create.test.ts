import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { type Authenticate, openToAll } from "../../registry/auth.ts";
import { onlyReads, openTestRegistry } from "../../registry/testing.ts";
import type { StoredImage } from "../../store/store.ts";
import { addFixtureImage, fixtureLayer, fixtureTar, noise } from "../../store/testing.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { lookup } from "../../tree/walk.ts";
import { runWords } from "../testing.ts";
import { deltaCreateCommand } from "./delta-create.ts";

for (const [words, pattern, status] of [
  ["", /wanted --push, -o FILE or --dry-run/, 2],
  ["-o /folder", /Cannot write a delta to "\/folder": it is a folder, wanted a file/, 1],
  ["-o /none/x", /Cannot write a delta to "\/none\/x": there is no folder "\/none\/"/, 1],
  ["-o /folder/y/x", /there is no folder "\/folder\/y\/"/, 1],
  ["-o /folder/x", /Cannot find image "localhost\/a:1"/, 1],
  ["-o /new", /Cannot find image "localhost\/a:1"/, 1],
] as const) {
  test(`delta create ${words} is one clear error, before images are compared`, async () => {
    const host = createFakeHost({ files: { "/folder/x": "old" } });
    const typed = ["delta", "create", "localhost/a:1", "localhost/b:1", ...words.split(" ").filter(Boolean)];
    const result = await runWords(host, [deltaCreateCommand], typed);
    assert.match(result.err, pattern);
    assert.equal(result.status, status);
    assert.equal(host.files.readText("/folder/x"), "old");
  });
}

const NAMES = ["registry.test/os:1", "registry.test/os:2"] as const;

/** A store in which no delta can be made: the message about the object that it names tells that it was tried. */
async function addDamagedImages(host: FakeHost): Promise<{ next: StoredImage; layer: Buffer; damaged: string }> {
  using store = openWorkstationStore(host);
  const layers = await Promise.all(
    NAMES.map(async (name) => fixtureLayer(await fixtureTar({ "": null, file: noise(3000, name) }))),
  );
  const [old, last] = layers;
  assert.ok(old !== undefined && last !== undefined);
  await addFixtureImage(store, [old], NAMES[0]);
  const next = await addFixtureImage(store, [last], NAMES[1]);
  const file = lookup(store.readTree(next.config.rootfs.diff_ids), "file");
  assert.ok(file?.kind === "file" && file.content.kind === "external" && file.content.objectId !== undefined);
  const damaged = file.content.objectId;
  host.files.write(store.objectPath(damaged), "damaged");
  return { next, layer: last.blob, damaged };
}

test("delta create of a damaged store is one clear error: it names the object, and nothing is written or pushed", async () => {
  const host = createFakeHost({ files: { "/folder/x": "old" } });
  const { damaged } = await addDamagedImages(host);
  const typed = ["delta", "create", ...NAMES, "-o", "/folder/x"];
  const { status, err } = await runWords(host, [deltaCreateCommand], typed);
  assert.equal(status, 1);
  assert.match(
    err,
    new RegExp(`^error: Cannot read object "${damaged}" of the store: its content has the digest `, "m"),
  );
  assert.match(err, /berth store fsck --repair, then pull or build the image again/);
  assert.equal(host.files.readText("/folder/x"), "old");
});

const REGISTRIES = {
  "that is not there": {
    authenticate: undefined,
    has: false,
    pattern: /^error: Cannot reach "https:\/\/registry.test"/,
  },
  "that wants a login": {
    authenticate: async () => ({ kind: "challenge", challenge: 'Basic realm="berth"', message: "log in" }),
    has: true,
    pattern: /^error: Cannot use "registry.test\/os": the registry wants a login/,
  },
  "that lacks NEW": {
    authenticate: openToAll,
    has: false,
    pattern:
      /^error: Cannot put a delta beside "registry.test\/os@sha256:\w+": the registry does not have it\nhint: push/,
  },
  "that may only be read": {
    authenticate: onlyReads,
    has: true,
    pattern: /^error: Cannot write "registry.test\/os": /,
  },
  "that may be written": { authenticate: openToAll, has: true, pattern: /^error: Cannot read object "/ },
} satisfies Record<string, { authenticate: Authenticate | undefined; has: boolean; pattern: RegExp }>;

for (const [what, { authenticate, has, pattern }] of Object.entries(REGISTRIES)) {
  test(`delta create --push to a registry ${what} is asked for before images are compared, and leaves no upload`, async () => {
    using registry = openTestRegistry({ authenticate: (...asked) => (authenticate ?? openToAll)(...asked) });
    using filling = openTestRegistry({ driver: registry.driver });
    const respond = async (request: Request): Promise<Response | undefined> =>
      authenticate && registry.handler(request);
    const host = createFakeHost({ network: { respond } });
    const { next, layer } = await addDamagedImages(host);
    if (has) {
      for (const blob of [layer, next.configBytes]) await filling.pushBlob("os", blob);
      const headers = { "content-type": next.manifest.mediaType };
      const put = await filling.call("PUT", "/v2/os/manifests/2", { body: next.manifestBytes, headers });
      assert.equal(put.status, 201);
    }
    const { status, err } = await runWords(host, [deltaCreateCommand], ["delta", "create", ...NAMES, "--push"]);
    assert.equal(status, 1);
    assert.match(err, pattern);
    const begun = registry.log.filter(({ method, status: answer }) => method === "POST" && answer === 202);
    const cancelled = registry.log.filter(({ method, status: answer }) => method === "DELETE" && answer === 204);
    assert.equal(begun.length, what === "that may be written" ? 1 : 0);
    assert.equal(cancelled.length, begun.length);
  });
}
