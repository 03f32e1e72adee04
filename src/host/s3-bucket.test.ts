/** The S3 client against a store that stops to answer; what a real one does is in test/registry-s3.privileged.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLinuxHost } from "./linux.ts";

test("close() ends what waits for a store that does not answer", async () => {
  const { network } = createLinuxHost();
  const asked = Promise.withResolvers<void>();
  let requests = 0;
  const list =
    '<?xml version="1.0"?><ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated></ListBucketResult>';
  await using server = await network.serve(
    async () => {
      requests += 1;
      if (requests === 1) return new Response(list, { headers: { "content-type": "application/xml" } });
      asked.resolve();
      return new Promise<never>(() => {});
    },
    { host: "127.0.0.1", port: 0 },
  );
  const bucket = await network.openBucket({
    endpoint: `http://127.0.0.1:${server.port}`,
    region: "us-east-1",
    bucket: "b",
    accessKey: "A",
    secretKey: "S",
    pathStyle: true,
  });
  const waiting = assert.rejects(bucket.read("x"), /bucket "b"/);
  await asked.promise;
  bucket.close();
  await waiting;
  assert.equal(requests, 2, "it was not asked again");
  server.abort();
});
