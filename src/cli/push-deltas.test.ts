/** `push --delta-from` in the steps of the command, against the real registry handler: three tags, and what machines then fetch. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { streamOf } from "../core/bytes.ts";
import { isFailure } from "../core/failure.ts";
import { createFakeHost } from "../host/fake.ts";
import { createLinuxHost } from "../host/linux.ts";
import { type ImageRef, parseImageRef } from "../oci/reference.ts";
import { openTestRegistry } from "../registry/testing.ts";
import { listDeltas } from "../remote/delta-artifact.ts";
import { previousImages } from "../remote/previous-images.ts";
import { pullImage } from "../remote/pull.ts";
import { pushImage } from "../remote/push.ts";
import { pushEndpoint, readRegistriesConf } from "../remote/registries-conf.ts";
import { openSession } from "../remote/session.ts";
import { createTestClient, REGISTRY } from "../remote/testing.ts";
import { openStore } from "../store/open.ts";
import type { Store, StoredImage } from "../store/store.ts";
import { fixtureDocuments, fixtureTar, noise } from "../store/testing.ts";
import { pushCommand } from "./commands/push.ts";
import { pushDeltas, readDeltaCount } from "./push-deltas.ts";
import { runWords } from "./testing.ts";

const host = createLinuxHost();
const refOf = (tag: string): ImageRef => parseImageRef(`${REGISTRY}/team/os:${tag}`);

test("three tags pushed with deltas from the last two: each has those of its predecessors, and machines take them", async () => {
  using registry = openTestRegistry();
  const open = (name: string, keepBlobs: boolean): Store =>
    openStore(host, `${registry.root}/${name}/composefs`, { keepBlobs, create: true, access: "shared" });
  using builder = open("builder", true);
  using machine = open("machine", false);
  const { context, lines } = createTestClient({ [REGISTRY]: registry.handler });
  const session = await openSession(context, pushEndpoint(readRegistriesConf(context.host), refOf("1")), {
    access: "pull,push",
  });
  const push = async (version: string): Promise<StoredImage> => {
    const program = Buffer.concat([noise(200_000, "program"), Buffer.from(version), noise(100_000, "rest")]);
    const packed = execFileSync("xz", ["-c"], { input: `${version}${noise(5000, "module").toString("hex")}` });
    const tar = await fixtureTar({ "": null, program, "module.xz": packed });
    const layer = await builder.addLayer(streamOf(tar));
    const next = builder.saveImage(fixtureDocuments([{ ...layer, tar, blob: Buffer.alloc(0) }]));
    const ref = refOf(version);
    const from = await previousImages(session, ref.tag, 2);
    await pushImage(context, builder, next, ref);
    await pushDeltas(context, builder, session, { next, ref, from, keepXz: version === "3" });
    return next;
  };
  const images = [await push("1"), await push("2"), await push("3")] as const;
  const olds = async (image: StoredImage): Promise<string[]> =>
    (await listDeltas(session, image.digest)).map(({ old }) => old).sort();
  const [first, second, third] = images;
  assert.deepEqual(await olds(first), []);
  assert.deepEqual(await olds(second), [first.digest]);
  assert.deepEqual(await olds(third), [first.digest, second.digest].sort());
  const needs = async (image: StoredImage): Promise<unknown[]> =>
    (await listDeltas(session, image.digest)).map((offer) => offer.needs);
  assert.deepEqual([await needs(second), await needs(third)], [[["xz"]], [[], []]]);

  await pullImage(context, machine, refOf("1"));
  lines.length = 0;
  const pulled = await pullImage(context, machine, refOf("3"));
  assert.ok(
    lines.some((line) => line.includes(`made from ${first.digest.slice(7, 19)}`)),
    lines.join("\n"),
  );
  assert.equal(machine.imageId(pulled, "raw"), builder.imageId(third, "raw"));
});

test("a predecessor that is not in the store is told and left out", async () => {
  using registry = openTestRegistry();
  using builder = openStore(host, `${registry.root}/builder/composefs`, {
    keepBlobs: true,
    create: true,
    access: "shared",
  });
  const { context, lines } = createTestClient({ [REGISTRY]: registry.handler });
  const tar = await fixtureTar({ "": null, file: noise(1000, "file") });
  const layer = await builder.addLayer(streamOf(tar));
  const next = builder.saveImage(fixtureDocuments([{ ...layer, tar, blob: Buffer.alloc(0) }]));
  await pushImage(context, builder, next, refOf("2"));
  const session = await openSession(context, pushEndpoint(readRegistriesConf(context.host), refOf("2")), {
    access: "pull,push",
  });
  const [digest] = next.config.rootfs.diff_ids;
  assert.ok(digest !== undefined);
  await pushDeltas(context, builder, session, { next, ref: refOf("2"), from: [{ tag: "1", digest }], keepXz: false });
  assert.deepEqual(await listDeltas(session, next.digest), []);
  assert.ok(
    lines.some((line) => line.includes("is not in the store (pull it first)")),
    lines.join("\n"),
  );
});

test("a predecessor that is damaged in the store is an error that names the object, and no delta is pushed", async () => {
  using registry = openTestRegistry();
  using builder = openStore(host, `${registry.root}/builder/composefs`, {
    keepBlobs: true,
    create: true,
    access: "shared",
  });
  const { context } = createTestClient({ [REGISTRY]: registry.handler });
  const push = async (tag: string): Promise<StoredImage> => {
    const tar = await fixtureTar({ "": null, file: noise(1000, tag) });
    const layer = await builder.addLayer(streamOf(tar));
    const image = builder.saveImage(fixtureDocuments([{ ...layer, tar, blob: Buffer.alloc(0) }]));
    await pushImage(context, builder, image, refOf(tag));
    return image;
  };
  const [old, next] = [await push("1"), await push("2")];
  const objectId = builder.putObject(noise(1000, "1"));
  host.files.write(builder.objectPath(objectId), "damaged");
  const session = await openSession(context, pushEndpoint(readRegistriesConf(context.host), refOf("2")), {
    access: "pull,push",
  });
  const wanted = { next, ref: refOf("2"), from: [{ tag: "1", digest: old.digest }], keepXz: false };
  await assert.rejects(
    pushDeltas(context, builder, session, wanted),
    (error) => isFailure(error, "corrupt") && error.message.includes(objectId),
  );
  assert.deepEqual(await listDeltas(session, next.digest), []);
});

test("--keep-xz without --delta-from is a usage error", async () => {
  const { status, err } = await runWords(createFakeHost(), [pushCommand], ["push", "--keep-xz", "localhost/os"]);
  assert.equal(status, 2);
  assert.match(err, /no deltas are made, wanted --delta-from N/);
});

for (const text of ["0", "101", "-1", "two", "", "1.5"]) {
  test(`readDeltaCount() refuses ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => readDeltaCount(text),
      (error) => isFailure(error, "usage"),
    );
  });
}
