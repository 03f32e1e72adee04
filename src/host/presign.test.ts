import assert from "node:assert/strict";
import { test } from "node:test";
import { presignGet } from "./presign.ts";

const aws = {
  region: "us-east-1",
  bucket: "examplebucket",
  accessKey: "AKIAIOSFODNN7EXAMPLE",
  secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  key: "test.txt",
  now: Date.UTC(2013, 4, 24),
  lifeSeconds: 86_400,
};

test("presignGet() gives the signature of the specification's example", () => {
  const address = new URL(presignGet({ ...aws, endpoint: "https://s3.amazonaws.com", pathStyle: false }));
  assert.equal(address.origin + address.pathname, "https://examplebucket.s3.amazonaws.com/test.txt");
  assert.equal(
    address.searchParams.get("X-Amz-Signature"),
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
  );
});

test("presignGet() puts the bucket into the path, and carries the token of temporary credentials", () => {
  const address = new URL(
    presignGet({ ...aws, endpoint: "http://127.0.0.1:7480/", pathStyle: true, key: "a b/c", sessionToken: "t/1" }),
  );
  assert.equal(address.pathname, "/examplebucket/a%20b/c");
  assert.equal(address.searchParams.get("X-Amz-Security-Token"), "t/1");
});
