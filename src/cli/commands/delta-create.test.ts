import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeHost } from "../../host/fake.ts";
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

test("delta create of a damaged store is one clear error: it names the object, and nothing is written or pushed", async () => {
  const host = createFakeHost({ files: { "/folder/x": "old" } });
  const names = ["registry.test/os:1", "registry.test/os:2"] as const;
  let damaged = "";
  {
    using store = openWorkstationStore(host);
    for (const name of names) {
      const image = await addFixtureImage(
        store,
        [fixtureLayer(await fixtureTar({ "": null, file: noise(3000, name) }))],
        name,
      );
      const file = lookup(store.readTree(image.config.rootfs.diff_ids), "file");
      assert.ok(file?.kind === "file" && file.content.kind === "external" && file.content.objectId !== undefined);
      damaged = file.content.objectId;
    }
    host.files.write(store.objectPath(damaged), "damaged");
  }
  const { status, err } = await runWords(
    host,
    [deltaCreateCommand],
    ["delta", "create", ...names, "-o", "/folder/x", "--push"],
  );
  assert.equal(status, 1);
  assert.match(
    err,
    new RegExp(`^error: Cannot read object "${damaged}" of the store: its content has the digest `, "m"),
  );
  assert.match(err, /berth store fsck --repair, then pull or build the image again/);
  assert.equal(host.files.readText("/folder/x"), "old");
});
