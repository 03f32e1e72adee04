import assert from "node:assert/strict";
import { test } from "node:test";
import { createContainer } from "../../containers/containers.ts";
import { createFakeHost, type FakeHost } from "../../host/fake.ts";
import { addFixtureImage, fixtureLayer, fixtureTar, ROOT } from "../../store/testing.ts";
import { exportLayout } from "../../store/oci-layout.ts";
import { openWorkstationStore } from "../../store/workstation.ts";
import { type Printed, runWords } from "../testing.ts";
import { historyCommand } from "./history.ts";
import { imagesCommand } from "./images.ts";
import { rmiCommand } from "./rmi.ts";
import { imageExportCommand } from "./image-export.ts";
import { imageImportCommand } from "./image-import.ts";
import { storeFsckCommand } from "./store-fsck.ts";
import { storeGcCommand } from "./store-gc.ts";
import { tagCommand } from "./tag.ts";

const layer = fixtureLayer(await fixtureTar(ROOT));
const commands = [
  historyCommand,
  imagesCommand,
  rmiCommand,
  tagCommand,
  storeGcCommand,
  storeFsckCommand,
  imageImportCommand,
  imageExportCommand,
];

const berth = (host: FakeHost, ...words: string[]): Promise<Printed> => runWords(host, commands, words);

async function hostWithFolder(): Promise<FakeHost> {
  const host = createFakeHost();
  using store = openWorkstationStore(host);
  const image = await addFixtureImage(store, [layer], "localhost/os:1");
  await exportLayout(host, store, image, { directory: "/folder", name: "1" });
  return host;
}

test("berth image import brings what berth image export wrote", async () => {
  const host = await hostWithFolder();
  const id = /^[0-9a-f]{64}\n$/;
  assert.match((await berth(host, "image", "import", "oci:/folder:1", "-t", "localhost/again")).out, id);
  const exported = await berth(host, "image", "export", "again", "oci:/second:x");
  assert.equal(exported.status, 0, exported.err);
  assert.match(exported.out, /^sha256:[0-9a-f]{64}\n$/);
  assert.equal(host.files.readText("/second/index.json").includes('"x"'), true);
});

const BAD: readonly (readonly [words: readonly string[], status: number, message: RegExp])[] = [
  [
    ["image", "import", "/folder", "-t", "localhost/x"],
    2,
    /Cannot parse image folder "\/folder": wanted oci:DIRECTORY/,
  ],
  [["image", "export", "os:1", "oci:/folder/index.json"], 1, /"\/folder\/index.json" is a file, wanted a folder/],
  [["image", "import", "oci:/folder:1"], 2, /-t NAME is missing/],
  [["image", "import", "oci:/folder:1", "-t", "localhost/UPPER"], 2, /Cannot parse image reference "localhost\/UPPER"/],
  [["image", "import", "oci:/folder:2", "-t", "localhost/x"], 1, /no image is named "2", there is: 1/],
  [
    ["image", "import", "oci:/nowhere", "-t", "localhost/x"],
    1,
    /Cannot read image folder "\/nowhere": it has no oci-layout/,
  ],
  [["image", "export", "localhost/unknown", "oci:/out"], 1, /Cannot find image "localhost\/unknown"/],
  [["image", "export", "localhost/os:1", "dir:/out"], 2, /Cannot parse image folder "dir:\/out"/],
];
for (const [words, status, message] of BAD) {
  test(`berth ${words.join(" ")} ends with one clear line and changes nothing`, async () => {
    const host = await hostWithFolder();
    const result = await berth(host, ...words);
    assert.equal(result.status, status, result.err);
    assert.match(result.err, message);
    using store = openWorkstationStore(host);
    assert.deepEqual(
      store.images().flatMap(({ names }) => names),
      ["localhost/os:1"],
    );
    assert.equal(host.files.exists("/out"), false);
  });
}

test("berth store gc says what it deletes, and with --dry-run only says it", async () => {
  const host = await hostWithFolder();
  {
    using store = openWorkstationStore(host);
    store.untag("localhost/os:1");
  }
  const dry = await berth(host, "store", "gc", "--dry-run");
  assert.match(dry.out, /^Would delete [1-9]\d* objects, 1 blobs, 3 streams, 0 EROFS images: [0-9.]+ [kM]B\n$/);
  const real = await berth(host, "store", "gc");
  assert.equal(real.out, dry.out.replace("Would delete", "Deleted"));
  assert.match((await berth(host, "store", "gc")).out, /^Deleted 0 objects, 0 blobs/);
});

test("berth store fsck fails on damage, and --repair takes it away", async () => {
  const host = await hostWithFolder();
  assert.equal((await berth(host, "store", "fsck")).out, "The store is whole\n");
  host.files.write(`/var/lib/berth/blobs/sha256/${layer.descriptor.digest.slice(7)}`, "damaged");
  const found = await berth(host, "store", "fsck");
  assert.equal(found.status, 1);
  assert.match(found.err, /1 of its files are damaged/);
  assert.match((await berth(host, "store", "fsck", "--repair")).out, /^Deleted 1 damaged files/);
  assert.equal((await berth(host, "store", "fsck")).status, 0);
});

test("berth store gc keeps what containers stand on, and takes the scratch of killed builds away", async () => {
  const host = await hostWithFolder();
  const { id, path } = ((): { id: string; path: string } => {
    using store = openWorkstationStore(host);
    const image = store.image("localhost/os:1");
    assert.ok(image);
    const record = createContainer(host, store, {
      image,
      imageName: "localhost/os:1",
      name: "web",
      args: ["/bin/true"],
      entrypoint: undefined,
      env: [],
      cwd: undefined,
      user: undefined,
      hostname: undefined,
      network: "none",
      ports: [],
      mounts: [],
      readOnly: false,
      terminal: false,
      interactive: false,
      autoRemove: false,
    });
    return { id: record.mountedImage, path: store.path };
  })();
  assert.match((await berth(host, "rmi", "localhost/os:1")).err, /container web was made of it\nhint: berth rm web/);
  assert.equal((await berth(host, "tag", "localhost/os:1", "localhost/os:2")).status, 0);
  const both = await berth(host, "rmi", "localhost/os:1", "localhost/os:2");
  assert.match(both.err, /"localhost\/os:2": container web was made of it/);
  assert.match((await berth(host, "images")).out, /localhost\/os +1/, "nothing was removed");
  assert.equal((await berth(host, "rmi", "--force", "localhost/os:1", "localhost/os:2")).status, 0);
  const scratch = "/var/lib/berth/cache/scratch";
  host.files.makeDirectory(`${scratch}/0123456789ab/deep`);
  assert.equal((await berth(host, "store", "gc", "--dry-run")).status, 0);
  assert.deepEqual(host.files.list(scratch), ["0123456789ab"]);
  const collected = await berth(host, "store", "gc");
  assert.equal(collected.status, 0, collected.err);
  assert.deepEqual(host.files.list(scratch), []);
  assert.ok(host.files.exists(`${path}/images/${id}`));
  using store = openWorkstationStore(host);
  assert.equal(store.image("localhost/os:1"), undefined);
  assert.ok(store.hasImage(id));
});

test("berth store gc says that another command uses the store", async () => {
  const host = await hostWithFolder();
  using _other = openWorkstationStore(host);
  const { status, err } = await berth(host, "store", "gc");
  assert.equal(status, 1);
  assert.match(err, /^error: Cannot have store ".*" alone: another berth command uses it\nhint: run this again/m);
});

test("berth images and history show an image that lost a layer, beside the others", async () => {
  const host = await hostWithFolder();
  {
    using store = openWorkstationStore(host);
    const other = fixtureLayer(await fixtureTar({ "only-here": "x".repeat(100) }));
    await addFixtureImage(store, [layer, other], "localhost/torn:1");
    host.files.remove(`${store.path}/streams/oci-layer-${other.diffId}`);
  }
  const images = await berth(host, "images");
  assert.match(images.out, /^localhost\/os .* [kM]?B$/m);
  assert.match(images.out, /^localhost\/torn .* incomplete$/m);
  const rows: unknown = JSON.parse((await berth(host, "images", "--json")).out);
  assert.ok(Array.isArray(rows) && rows.length === 2);
  assert.equal((await berth(host, "history", "torn:1")).status, 0);
  assert.equal((await berth(host, "rmi", "torn:1")).status, 0);
});
