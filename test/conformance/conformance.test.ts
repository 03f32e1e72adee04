/** berth's registry passes every case: files driver, TLS, login. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silent } from "../../src/core/progress.ts";
import { createLinuxHost } from "../../src/host/linux.ts";
import { initRegistry } from "../../src/registry/init.ts";
import { startRegistry } from "../../src/registry/serve.ts";
import { CASES, conformance } from "./conformance.ts";

test("berth's registry passes every conformance case over TLS with login on", async () => {
  const host = createLinuxHost();
  using directory = host.files.temporaryDirectory("/tmp/berth-conformance-");
  const credentials = { user: "anna", password: "secret" };
  const { certificate } = await initRegistry(host, directory.path, { ...credentials, hostnames: [], tls: true });
  const listen = { host: "127.0.0.1", port: 0 };
  await using registry = await startRegistry(host, directory.path, { listen, progress: silent });
  const { passed, failed } = await conformance(registry.url, credentials, {
    ca: host.files.readText(certificate ?? ""),
  });
  assert.deepEqual(failed, []);
  assert.equal(passed.length, CASES.length);
});
