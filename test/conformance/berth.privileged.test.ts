/** berth's registry passes every case on each storage, with TLS and login on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silent } from "../../src/core/progress.ts";
import { createFakeBucket } from "../../src/host/fake-bucket.ts";
import { createLinuxHost } from "../../src/host/linux.ts";
import { SCRATCH } from "../../src/host/scratch.ts";
import { initRegistry } from "../../src/registry/init.ts";
import { startRegistry } from "../../src/registry/serve.ts";
import { CASES, conformance } from "./conformance.ts";

const STORAGES = {
  files: '[storage]\ndriver = "files"\ndirectory = "data"\n',
  s3: '[storage]\ndriver = "s3"\nbucket = "in-memory"\n',
};

for (const [storage, section] of Object.entries(STORAGES)) {
  test(`berth's registry passes every conformance case on ${storage}, over TLS with login on`, async () => {
    const real = createLinuxHost();
    const bucket = createFakeBucket({ now: () => real.clock.now() });
    const env = { AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "S" };
    const host = { ...real, env, network: { ...real.network, openBucket: async () => bucket } };
    using directory = host.files.temporaryDirectory(`${SCRATCH}/berth-conformance-`);
    const credentials = { user: "anna", password: "secret" };
    const { certificate } = await initRegistry(real, directory.path, { ...credentials, hostnames: [], tls: true });
    const config = `${directory.path}/registry.toml`;
    host.files.write(config, host.files.readText(config).replace(/\[storage\]\n(.+\n)+/, section));
    const listen = { host: "127.0.0.1", port: 0 };
    await using registry = await startRegistry(host, directory.path, { listen, progress: silent });
    const { passed, failed } = await conformance(registry.url, credentials, {
      ca: host.files.readText(certificate ?? ""),
    });
    assert.deepEqual(failed, []);
    assert.equal(passed.length, CASES.length);
    assert.equal(bucket.objects.size > 0, storage === "s3");
  });
}
