/** A delta of a damaged store: refused where it is made, naming the object. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Digest } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import { writeNewc } from "../../format/cpio/newc.ts";
import { createFakeHost } from "../../host/fake.ts";
import { lookup } from "../../tree/walk.ts";
import { parseObjectLink } from "../layout.ts";
import type { Store, StoredImage } from "../store.ts";
import { addFixtureImage, type FixtureEntries, fixtureLayer, fixtureTar, noise, open } from "../testing.ts";

const host = createFakeHost();

const tree = (version: string): FixtureEntries => ({
  "": null,
  program: Buffer.concat([noise(5000, "program"), Buffer.from(version)]),
  // More than the delta's floor for comparing what is compressed expanded.
  "packed.gz": gzipSync(Buffer.from(`${version}${noise(20_000, "packed").toString("hex")}`)),
  "initrd.gz": gzipSync(
    writeNewc([
      { kind: "file", path: "init", mode: 0o755, content: noise(20_000, version) },
      { kind: "file", path: "held", mode: 0o644, content: noise(3000, "held") },
    ]),
  ),
  held: noise(3000, "held"),
  same: noise(3000, "same"),
});
const add = async (store: Store, version: string): Promise<StoredImage> =>
  addFixtureImage(store, [fixtureLayer(await fixtureTar(tree(version)), "none")]);

/** The object of a file of the image, or of the image's layer itself. */
function objectOf(store: Store, image: StoredImage, name: string): string {
  if (name === "") return streamObject(store, image.config.rootfs.diff_ids[0] ?? image.digest);
  const file = lookup(store.readTree(image.config.rootfs.diff_ids), name);
  assert.ok(file?.kind === "file" && file.content.kind === "external" && file.content.objectId !== undefined);
  return file.content.objectId;
}

function streamObject(store: Store, diffId: Digest): string {
  const objectId = parseObjectLink(host.files.readlink(`${store.path}/streams/oci-layer-${diffId}`), store.algorithm);
  assert.ok(objectId !== undefined);
  return objectId;
}

const flip =
  (at: number) =>
  (bytes: Buffer): Buffer => {
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    return bytes;
  };

for (const { what, of, name, damage } of [
  { what: "a new file", of: "next", name: "program", damage: flip(100) },
  { what: "a new file that ends early", of: "next", name: "program", damage: (bytes: Buffer) => bytes.subarray(1) },
  // Of the header's time stamp: it is a gzip file all the same, and packed again to the very same bytes.
  { what: "a new gzip file that still expands", of: "next", name: "packed.gz", damage: flip(4) },
  { what: "a new gzip file that does not expand", of: "next", name: "packed.gz", damage: flip(5000) },
  { what: "an old file that a new one is compared with", of: "old", name: "program", damage: flip(100) },
  { what: "an old gzip file", of: "old", name: "packed.gz", damage: flip(4) },
  { what: "an old file that the new initramfs holds", of: "old", name: "held", damage: flip(100) },
  { what: "the new layer itself", of: "next", name: "", damage: (bytes: Buffer) => flip(bytes.length - 1)(bytes) },
  { what: "the old layer itself", of: "old", name: "", damage: (bytes: Buffer) => flip(bytes.length - 1)(bytes) },
] as const) {
  test(`createDelta() refuses ${what} that is damaged, naming its object`, async () => {
    using store = open({ host, directory: `/${what}` });
    const images = { old: await add(store, "1"), next: await add(store, "2") };
    const objectId = objectOf(store, images[of], name);
    host.files.write(store.objectPath(objectId), damage(store.readObject(objectId)));
    await assert.rejects(store.createDelta(images.old, images.next), (error) => {
      assert.ok(isFailure(error, "corrupt"), String(error));
      assert.match(
        error.message,
        new RegExp(`^Cannot read object "${objectId}" of the store: its content has the digest `),
      );
      assert.match(error.hint ?? "", /berth store fsck --repair/);
      return true;
    });
  });
}

test("createDelta() does not mind damage in what both images have: machines have their own", async () => {
  using store = open({ host, directory: "/same" });
  const [old, next] = [await add(store, "1"), await add(store, "2")];
  const { chunks } = await store.createDelta(old, next);
  host.files.write(store.objectPath(objectOf(store, next, "same")), "damaged");
  assert.deepEqual((await store.createDelta(old, next)).chunks, chunks);
});
