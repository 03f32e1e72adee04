/** What a crash leaves: the fake disk loses everything that was not synced. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { collectBytes, streamOf } from "../core/bytes.ts";
import { digestOf, type Digest } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import { createFakeHost, type FakeHost } from "../host/fake.ts";
import type { Files } from "../host/host.ts";
import { CONFIG, LAYER_GZIP, MANIFEST } from "../oci/media-types.ts";
import { openToAll } from "./auth.ts";
import { filesDriver } from "./files-driver.ts";
import { createRegistry } from "./handler.ts";
import { toWeb } from "./testing.ts";

const layer = Buffer.from("layer ".repeat(1000));
const config = Buffer.from("{}");
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: CONFIG, digest: digestOf(config), size: config.length },
    layers: [{ mediaType: LAYER_GZIP, digest: digestOf(layer), size: layer.length }],
    subject: { mediaType: MANIFEST, digest: digestOf("subject"), size: 7 },
  }),
);

type Call = (method: string, path: string, body?: Buffer) => Promise<Response>;

function serve(host: FakeHost): Call {
  const registry = createRegistry({ host, driver: filesDriver(host, "/srv/registry"), authenticate: openToAll });
  return async (method, path, body) => {
    const request = new Request(`http://r.test/v2/team/os/${path}`, {
      method,
      headers: { "content-type": MANIFEST },
      ...(body !== undefined && { body }),
    });
    return toWeb(await registry(request, { address: "127.0.0.1" }));
  };
}

/** Names of what was acknowledged with 201, in order. */
async function pushAll(call: Call): Promise<string[]> {
  const done: string[] = [];
  for (const blob of [layer, config]) {
    const digest = digestOf(blob);
    const session = await call("POST", "blobs/uploads/");
    const location = (session.headers.get("location") ?? "").replace("/v2/team/os/", "");
    if ((await call("PATCH", location, blob)).status !== 202) return done;
    if ((await call("PUT", `${location}?digest=${digest}`)).status !== 201) return done;
    done.push(`blobs/${digest}`);
  }
  if ((await call("PUT", "manifests/v1", manifest)).status === 201)
    done.push("manifests/v1", `manifests/${digestOf(manifest)}`);
  return done;
}

test("at every point where the power goes, what was acknowledged is there, and what is there is whole", async () => {
  const dry = createFakeHost();
  assert.equal((await pushAll(serve(dry))).length, 4);
  const points = dry.calls.length;
  assert.ok(points >= 30, `${points} points`);
  for (let at = 1; at <= points; at += 1) {
    for (const crashWhen of ["before", "after"] as const) {
      const host = createFakeHost({ crashAt: at, crashWhen });
      const acknowledged = await pushAll(serve(host));
      host.reboot();
      await checkWhole(serve(host), acknowledged, `${crashWhen} call ${at}`);
      assert.equal((await pushAll(serve(host))).length, 4, `a push after a crash ${crashWhen} call ${at}`);
    }
  }
});

async function checkWhole(call: Call, acknowledged: readonly string[], when: string): Promise<void> {
  const contents: readonly (readonly [string, Buffer])[] = [
    [`blobs/${digestOf(layer)}`, layer],
    [`blobs/${digestOf(config)}`, config],
    ["manifests/v1", manifest],
    [`manifests/${digestOf(manifest)}`, manifest],
  ];
  for (const [path, content] of contents) {
    const got = await call("GET", path);
    if (acknowledged.includes(path)) assert.equal(got.status, 200, `${path} was acknowledged; ${when}`);
    if (got.status === 200) assert.deepEqual(Buffer.from(await got.arrayBuffer()), content, `${path}; ${when}`);
    else assert.equal(got.status, 404, `${path}; ${when}`);
  }
  const tags = await call("GET", "tags/list");
  if (tags.status === 200) {
    for (const tag of ((await tags.json()) as { tags: string[] }).tags)
      assert.equal((await call("HEAD", `manifests/${tag}`)).status, 200, when);
  }
  const referrers = (await (await call("GET", `referrers/${digestOf("subject")}`)).json()) as {
    manifests: { digest: string }[];
  };
  for (const { digest } of referrers.manifests)
    assert.equal((await call("HEAD", `manifests/${digest}`)).status, 200, when);
}

test("a full disk ends an upload with 507 and leaves no blob", async () => {
  const host = createFakeHost({ totalBytes: 100_000 });
  const call = serve(host);
  const big = Buffer.alloc(200_000, 1);
  assert.equal((await call("POST", `blobs/uploads/?digest=${digestOf(big)}`, big)).status, 507);
  assert.equal((await call("HEAD", `blobs/${digestOf(big)}`)).status, 404);
  assert.equal((await call("POST", `blobs/uploads/?digest=${digestOf(config)}`, config)).status, 201);
});

test("keys that are directories are no records, hidden files are not listed", async () => {
  const host = createFakeHost();
  const driver = filesDriver(host, "/r");
  await driver.putRecord("a/b", "1");
  host.files.write("/r/records/a/.b.tmp", "half");
  assert.equal(await driver.hasRecord("a"), false);
  assert.equal(await driver.deleteRecord("a"), false);
  assert.deepEqual(await driver.listRecords("a"), ["b"]);
  assert.deepEqual(await driver.listRecords("none"), []);
  assert.equal(await driver.deleteRecord("a/b"), true);
  assert.equal(await driver.getRecord("a/b"), undefined);
});

test("a session that is unknown, or written half by a crash, cannot be used", async () => {
  const host = createFakeHost({ files: { "/r/uploads/0123/session.json": "", "/r/uploads/0123/data": "x" } });
  const driver = filesDriver(host, "/r");
  for (const id of ["0123", "4567"]) {
    assert.equal(await driver.uploadInfo(id), undefined);
    await assert.rejects(driver.appendUpload(id, 0, (async function* () {})()), (error) =>
      isFailure(error, "not-found"),
    );
  }
});

test("readBlob() gives exactly the range, small and large", async () => {
  const host = createFakeHost();
  const driver = filesDriver(host, "/r");
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => i % 256));
  const digest: Digest = digestOf(bytes);
  await driver.putBlob(digest, bytes);
  for (const [start, end] of [
    [0, 10],
    [5, 5],
    [100, 2_500_000],
    [0, 3_000_000],
  ] as const) {
    assert.deepEqual(await collectBytes(driver.readBlob(digest, { start, end })), bytes.subarray(start, end));
  }
  assert.equal(await driver.deleteBlob(digest), true);
  assert.equal(await driver.blobSize(digest), undefined);
});

test("what a full disk took of a piece is no part of the upload", async () => {
  const host = createFakeHost();
  let isFull = false;
  const open: Files["open"] = (path, mode, permissions) => {
    const file = host.files.open(path, mode, permissions);
    return {
      ...file,
      writeAll(pieces, position) {
        if (!isFull) return file.writeAll(pieces, position);
        file.write(Buffer.from("ta"), position);
        throw new Failure("no-space", "Cannot write: the disk is full");
      },
    };
  };
  const driver = filesDriver({ ...host, files: { ...host.files, open } }, "/r");
  const id = await driver.startUpload("team/os", "sha256");
  await driver.appendUpload(id, 0, streamOf(Buffer.from("good")));
  isFull = true;
  await assert.rejects(driver.appendUpload(id, 4, streamOf(Buffer.from("tail"))), (error) =>
    isFailure(error, "no-space"),
  );
  assert.equal(await driver.finishUpload(id, digestOf("good")), "stored");
  assert.equal(await driver.blobSize(digestOf("good")), 4);
});
