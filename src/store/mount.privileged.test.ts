import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { isFailure } from "../core/failure.ts";
import { createLinuxHost } from "../host/linux.ts";
import { lookup } from "../tree/walk.ts";
import { addFixtureImage, fixtureLayer, fixtureTar, noise, ROOT } from "./testing.ts";
import { openStore } from "./open.ts";

const host = createLinuxHost();
const layer = fixtureLayer(await fixtureTar(ROOT), "zstd");

test("mountImage() shows the files of the layers, and unmounts without a trace", async () => {
  using scratch = host.files.temporaryDirectory("/tmp/berth-mount-");
  using store = openStore(host, `${scratch.path}/composefs`, { keepBlobs: true, create: true, access: "shared" });
  const image = await addFixtureImage(store, [layer]);
  const target = `${scratch.path}/mnt`;
  host.files.makeDirectory(target);
  {
    using mount = store.mountImage(store.imageId(image, "raw"), target);
    assert.equal(mount.target, target);
    assert.deepEqual(readdirSync(target), ["boot", "etc", "run", "sysroot", "usr"]);
    assert.ok(readFileSync(`${target}/usr/large`).equals(noise(100_000, "large")));
    assert.equal(readFileSync(`${target}/usr/exactly64`, "utf8"), "x".repeat(64));
    assert.equal(readFileSync(`${target}/usr/exactly65`, "utf8"), "y".repeat(65));
    assert.equal(readlinkSync(`${target}/usr/link`), "large");
    assert.throws(() => writeFileSync(`${target}/usr/new`, "x"), /EROFS/);
  }
  assert.deepEqual(readdirSync(target), []);
  assert.equal(
    host.mounts.list().some((mount) => mount.target.startsWith(scratch.path)),
    false,
  );
});

test("mountImage() with an upper directory takes changes, deletions and renames", async () => {
  using scratch = host.files.temporaryDirectory("/tmp/berth-mount-");
  using store = openStore(host, `${scratch.path}/composefs`, { keepBlobs: true, create: true, access: "shared" });
  const image = await addFixtureImage(store, [layer]);
  for (const name of ["mnt", "upper", "work"]) host.files.makeDirectory(`${scratch.path}/${name}`);
  const target = `${scratch.path}/mnt`;
  {
    using mount = store.mountImage(store.imageId(image, "raw"), target, {
      upper: `${scratch.path}/upper`,
      work: `${scratch.path}/work`,
    });
    writeFileSync(`${mount.target}/usr/large`, "changed");
    rmSync(`${mount.target}/etc/motd`);
    host.files.rename(`${mount.target}/usr/exactly65`, `${mount.target}/etc/moved`);
    assert.equal(readFileSync(`${target}/usr/large`, "utf8"), "changed");
    assert.equal(readFileSync(`${target}/etc/moved`, "utf8"), "y".repeat(65));
    assert.deepEqual(readdirSync(`${target}/etc`), ["moved"]);
  }
  const large = lookup(store.readTree([layer.diffId]), "usr/large");
  assert.ok(large?.kind === "file" && large.content.kind === "external");
  assert.ok(store.readObject(large.content.objectId ?? "").equals(noise(100_000, "large")));
});

test("mountImage() refuses an image that is unknown or was changed", async () => {
  using scratch = host.files.temporaryDirectory("/tmp/berth-mount-");
  using store = openStore(host, `${scratch.path}/composefs`, { keepBlobs: true, create: true, access: "shared" });
  const image = await addFixtureImage(store, [layer]);
  host.files.makeDirectory(`${scratch.path}/mnt`);
  const id = store.imageId(image, "raw");
  assert.throws(
    () => store.mountImage("0".repeat(128), `${scratch.path}/mnt`),
    (error) => isFailure(error, "not-found"),
  );
  const bytes = store.readImage(id);
  bytes[5000] = (bytes[5000] ?? 0) ^ 1;
  host.files.remove(store.objectPath(id));
  host.files.write(store.objectPath(id), bytes);
  assert.throws(
    () => store.mountImage(id, `${scratch.path}/mnt`),
    (error) => isFailure(error, "corrupt"),
  );
  assert.equal(
    host.mounts.list().some((mount) => mount.target.startsWith(scratch.path)),
    false,
  );
});
