/** What a copy refuses, what it leaves, and how it goes on. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { digestHex, digestOf } from "../../core/digest.ts";
import { isFailure } from "../../core/failure.ts";
import { silent } from "../../core/progress.ts";
import { createLinuxHost } from "../../host/linux.ts";
import { SCRATCH } from "../../host/scratch.ts";
import { makeImage } from "../testing.ts";
import { applyCopy, type CopyPlan, parsePlatform, planCopy } from "./copy.ts";
import type { CopyContext } from "./image-io.ts";
import { parseImageName } from "./image-name.ts";
import { openSink, openSource, type StoreAccess } from "./open-image.ts";

const host = createLinuxHost();
const context: CopyContext = { host: { ...host, which: () => undefined }, progress: silent };
const image = makeImage([randomBytes(200_000), "two"]);
const [layer = Buffer.alloc(0)] = image.layers;
const access: StoreAccess = {
  store: () => assert.fail("no store"),
  find: () => assert.fail("no store"),
  fullName: (name) => name,
};

interface World extends Disposable {
  readonly at: (name: string) => string;
  plan(from: string, to: string): Promise<CopyPlan>;
  copy(from: string, to: string): Promise<string>;
}

/** `seed` is a dir: image. */
function openWorld(): World {
  const directory = host.files.temporaryDirectory(`${SCRATCH}/berth-copy-test-`);
  const at = (name: string): string => `${directory.path}/${name}`;
  host.files.makeDirectory(at("seed"));
  host.files.write(at("seed/version"), "Directory Transport Version: 1.1\n");
  host.files.write(at("seed/manifest.json"), image.manifestBytes);
  for (const blob of [image.configBytes, ...image.layers])
    host.files.write(at(`seed/${digestHex(digestOf(blob))}`), blob);
  const selection = { all: false, platform: parsePlatform("linux/amd64") };
  return {
    at,
    async plan(from, to) {
      await using source = await openSource(context, parseImageName(from), from, access);
      await using sink = await openSink(context, parseImageName(to), to, access);
      return planCopy(source, sink, selection);
    },
    async copy(from, to) {
      await using source = await openSource(context, parseImageName(from), from, access);
      await using sink = await openSink(context, parseImageName(to), to, access);
      return (await applyCopy(context, source, sink, await planCopy(source, sink, selection))).digest;
    },
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

for (const [kind, to, codes] of [
  ["oci", "oci:DIR/out", ["digest-mismatch"]],
  ["oci-archive", "oci-archive:DIR/out", ["digest-mismatch"]],
  // Damaged bytes cannot be decompressed, which may be noticed before their end.
  ["docker-archive", "docker-archive:DIR/out", ["digest-mismatch", "bad-input"]],
  ["dir", "dir:DIR/out", ["digest-mismatch"]],
] as const) {
  test(`${kind}: a plan writes nothing; a blob that is not its digest leaves no image`, async () => {
    using world = openWorld();
    const target = to.replace("DIR", world.at(""));
    assert.equal((await world.plan(`dir:${world.at("seed")}`, target)).blobs.length, 3);
    assert.deepEqual(host.files.list(world.at("")), ["seed"]);
    host.files.write(world.at(`seed/${digestHex(digestOf(layer))}`), randomBytes(layer.length));
    await assert.rejects(world.copy(`dir:${world.at("seed")}`, target), (error) =>
      codes.some((code) => isFailure(error, code)),
    );
    for (const name of ["out/index.json", "out/manifest.json"]) assert.equal(host.files.exists(world.at(name)), false);
    if (kind.endsWith("archive")) assert.deepEqual(host.files.list(world.at("")), ["seed"]);
  });
}

test("an archive takes away what a killed copy to it has left", async () => {
  using world = openWorld();
  host.files.makeDirectory(world.at("out.tar.0123456789ab"));
  host.files.write(world.at("out.tar.0123456789ab/archive"), "begun");
  await world.copy(`dir:${world.at("seed")}`, `oci-archive:${world.at("out.tar")}`);
  assert.deepEqual(host.files.list(world.at("")), ["out.tar", "seed"]);
});

test("a copy that was broken off goes on with the bytes that came, and skips whole blobs", async () => {
  using world = openWorld();
  const hex = digestHex(digestOf(layer));
  host.files.makeDirectory(world.at("out/partial"));
  host.files.write(world.at(`out/partial/sha256-${hex}`), layer.subarray(0, 150_000));
  host.files.write(world.at("out/oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  // Had the first part been read again, it would be wrong.
  const rest = Buffer.concat([Buffer.alloc(150_000), layer.subarray(150_000)]);
  host.files.write(world.at(`seed/${hex}`), rest);
  assert.equal(await world.copy(`dir:${world.at("seed")}`, `oci:${world.at("out")}:v1`), image.digest);
  assert.deepEqual(host.files.list(world.at("out")), ["blobs", "index.json", "oci-layout"]);
  const again = await world.plan(`dir:${world.at("seed")}`, `oci:${world.at("out")}:v2`);
  assert.deepEqual(
    again.blobs.map(({ isThere }) => isThere),
    [true, true, true],
  );
});

test("bytes kept from before a power cut that are wrong are fetched again", async () => {
  using world = openWorld();
  host.files.makeDirectory(world.at("out/partial"));
  host.files.write(world.at(`out/partial/sha256-${digestHex(digestOf(layer))}`), Buffer.alloc(100_000));
  host.files.write(world.at("out/oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  assert.equal(await world.copy(`dir:${world.at("seed")}`, `oci:${world.at("out")}`), image.digest);
});

test("a second image in an oci: folder stays beside the first", async () => {
  using world = openWorld();
  await world.copy(`dir:${world.at("seed")}`, `oci:${world.at("out")}:a`);
  await world.copy(`oci:${world.at("out")}:a`, `oci:${world.at("out")}:team/b:v1`);
  assert.equal(await world.copy(`oci:${world.at("out")}:team/b:v1`, `oci-archive:${world.at("b.tar")}`), image.digest);
  await assert.rejects(world.plan(`oci:${world.at("out")}:c`, `dir:${world.at("x")}`), (error) => {
    assert.ok(isFailure(error, "not-found"));
    return error.message.endsWith("there is a, team/b:v1");
  });
});

const REFUSED = [
  ["a folder that is no image", "dir:DIR/seed", "dir:DIR/other", "conflict", /not empty and no image/],
  ["a folder that is no layout", "dir:DIR/seed", "oci:DIR/other", "conflict", /no OCI image layout/],
  [
    "a compressed archive",
    "oci-archive:DIR/other/gz.tar",
    "dir:DIR/x",
    "unsupported",
    /it is compressed, wanted a plain tar/,
  ],
  ["a file that is no archive", "docker-archive:DIR/other/text", "dir:DIR/x", "bad-input", /it is no tar archive/],
  [
    "an archive that is cut short within a file",
    "docker-archive:DIR/other/cut.tar",
    "dir:DIR/x",
    "bad-input",
    /it ends at byte 1000 within "[0-9a-f]{64}\.tar", wanted \d{6} bytes or more/,
  ],
  ["an archive with a damaged header", "docker-archive:DIR/other/bad.tar", "dir:DIR/x", "bad-input", /it is damaged/],
  ["a folder as an archive to write", "dir:DIR/seed", "docker-archive:DIR/other", "bad-input", /it is a folder/],
  ["a folder as an archive of a layout", "dir:DIR/seed", "oci-archive:DIR/other", "bad-input", /it is a folder/],
  ["an archive in no folder", "dir:DIR/seed", "oci-archive:DIR/none/x", "not-found", /there is no folder ".*\/none\/"/],
  ["an archive that is missing", "oci-archive:DIR/none", "dir:DIR/x", "not-found", /no such file/],
  ["an archive without an image", "oci-archive:DIR/other/empty.tar", "dir:DIR/x", "not-found", /it has no oci-layout/],
  ["podman's storage without skopeo", "containers-storage:x", "dir:DIR/x", "missing-tool", /skopeo is not installed/],
] as const;
for (const [name, from, to, code, message] of REFUSED) {
  test(`${name} is refused`, async () => {
    using world = openWorld();
    host.files.makeDirectory(world.at("other"));
    host.files.write(world.at("other/gz.tar"), layer);
    host.files.write(world.at("other/text"), "no archive".repeat(100));
    host.files.write(world.at("other/empty.tar"), Buffer.alloc(1024));
    await world.copy(`dir:${world.at("seed")}`, `docker-archive:${world.at("other/whole.tar")}`);
    const whole = host.files.read(world.at("other/whole.tar"));
    host.files.write(world.at("other/cut.tar"), whole.subarray(0, 1000));
    // The last header, before a block of content and the two of the end.
    host.files.write(world.at("other/bad.tar"), whole.fill(0xff, whole.length - 2048, whole.length - 2000));
    const path = (text: string): string => text.replace("DIR", world.at("").replace(/\/$/, ""));
    await assert.rejects(world.plan(path(from), path(to)), (error) => {
      assert.ok(isFailure(error, code), String(error));
      return message.test(error.message);
    });
  });
}

test("parsePlatform() reads three parts and refuses others", () => {
  assert.deepEqual(parsePlatform("linux/arm/v7"), { os: "linux", architecture: "arm", variant: "v7" });
  for (const text of ["", "linux", "linux/", "/arm64", "linux/arm/v7/x", "Linux/amd64"])
    assert.throws(() => parsePlatform(text), SyntaxError);
});
