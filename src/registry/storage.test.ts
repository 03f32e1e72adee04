/** The storage section of the configuration, credentials, and redirects to the store. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../core/digest.ts";
import { Failure, isFailure } from "../core/failure.ts";
import type { BucketOptions } from "../host/bucket.ts";
import { createFakeBucket } from "../host/fake-bucket.ts";
import { createFakeHost, type FakeHost, type FakeHostOptions } from "../host/fake.ts";
import { openToAll } from "./auth.ts";
import { createRegistry } from "./handler.ts";
import { s3Driver } from "./s3-driver.ts";
import { type StorageConfig, storageSection } from "./config/storage.ts";
import { openStorage } from "./storage.ts";

const s3 = storageSection.read(
  { driver: "s3", bucket: "b", endpoint: "https://s3.test", prefix: "os/", credentials: "c" },
  "storage",
);

function open(options: FakeHostOptions): { host: FakeHost; asked: BucketOptions[] } {
  const asked: BucketOptions[] = [];
  const bucket = (wanted: BucketOptions): ReturnType<typeof createFakeBucket> => {
    asked.push(wanted);
    return createFakeBucket({ now: () => 0 });
  };
  return { host: createFakeHost({ ...options, network: { bucket } }), asked };
}

test("openStorage() takes credentials from the file that is named, else from the environment", async () => {
  const file = "[other]\naws_access_key_id = no\n[default]\naws_access_key_id = AK\naws_secret_access_key=S=K\n";
  const named = open({ files: { "/srv/c": file } });
  using _storage = await openStorage(named.host, s3, (path) => `/srv/${path}`);
  assert.deepEqual([named.asked[0]?.accessKey, named.asked[0]?.secretKey], ["AK", "S=K"]);

  const env = open({ env: { AWS_ACCESS_KEY_ID: "E", AWS_SECRET_ACCESS_KEY: "F", AWS_SESSION_TOKEN: "T" } });
  using _other = await openStorage(env.host, { ...s3, credentials: undefined } as StorageConfig, (path) => path);
  assert.deepEqual([env.asked[0]?.accessKey, env.asked[0]?.secretKey, env.asked[0]?.sessionToken], ["E", "F", "T"]);
});

test("openStorage() says where it looked for credentials", async () => {
  for (const [files, pattern] of [
    [{ "/c": "aws_access_key_id = AK" }, /"c" has no aws_access_key_id and aws_secret/],
    [{}, /c/],
  ] as const) {
    const { host } = open({ files });
    await assert.rejects(
      openStorage(host, s3, (path) => path),
      (error) => isFailure(error) && pattern.test(error.message),
    );
  }
  const none = { ...s3, credentials: undefined } as StorageConfig;
  await assert.rejects(
    openStorage(open({}).host, none, (path) => path),
    (error) => isFailure(error, "unauthorized"),
  );
});

test("with redirect, GET of a large blob is answered with an address in the store; small ones and HEAD are not", async () => {
  const host = createFakeHost();
  const driver = s3Driver(host, createFakeBucket({ now: () => host.clock.now() }), { prefix: "", redirect: true });
  const registry = createRegistry({ host, driver, authenticate: openToAll });
  const call = (method: string, path: string): ReturnType<typeof registry> =>
    registry(new Request(`http://r.test/v2/os/${path}`, { method }), { address: "127.0.0.1" });
  const [large, small] = [Buffer.alloc(300_000, 1), Buffer.from("small")];
  for (const bytes of [large, small]) {
    await driver.putBlob(digestOf(bytes), bytes);
    await driver.putRecord(`repositories/os/blobs/${digestOf(bytes).replace(":", "-")}`, "");
  }
  const redirected = await call("GET", `blobs/${digestOf(large)}`);
  assert.equal(redirected.status, 307);
  assert.match(redirected.headers.get("location") ?? "", /^https:\/\/bucket.test\/blobs\/sha256\//);
  assert.equal((await call("HEAD", `blobs/${digestOf(large)}`)).status, 200);
  assert.equal((await call("GET", `blobs/${digestOf(small)}`)).status, 200);
  assert.equal((await call("GET", `blobs/${digestOf("none")}`)).status, 404);
});

test("a store that cannot be reached is a 503 that says so", async () => {
  const host = createFakeHost();
  const bucket = createFakeBucket({
    now: () => host.clock.now(),
    onCall: () => {
      throw new Failure("network", "Cannot read object: the store gives no usable answer");
    },
  });
  const registry = createRegistry({
    host,
    driver: s3Driver(host, bucket, { prefix: "", redirect: false }),
    authenticate: openToAll,
  });
  const answer = await registry(new Request("http://r.test/v2/os/tags/list"), { address: "127.0.0.1" });
  assert.equal(answer.status, 503);
});
